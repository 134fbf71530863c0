/* Worlds checked: what detectors and audits ask of episodes, before anything is
 * trained. */
#include <string.h>
#include "interloop/abi.h"
#include "detect/edit.h"
#include "loop/world_private.h"

static void check_rollout(const il_instance *environment, const char *policy,
                          il_place place, il_problems *problems)
{
    const il_environment_api *api;
    const il_named *policies = NULL;
    const char *names[64] = {"own"};
    size_t n = 1;
    int32_t count = 0;

    if (policy == NULL) {
        return;
    }
    if (environment == NULL) {
        il_problem_add(problems, place,
                       "it asks for episodes, and there is no `environment`");
        return;
    }
    api = il_instance_environment(environment);
    if (strcmp(policy, "own") == 0 || il_rollout_policy(environment, policy) >= 0) {
        return;
    }
    if (api->form == IL_ENVIRONMENT_STEPS && IL_HAS(api, policies)) {
        policies = api->policies(environment->self, &count);
    }
    for (int32_t i = 0; i < count && n < sizeof names / sizeof *names; i++) {
        names[n++] = policies[i].name;
    }
    il_problem_add_nearest(problems, place, policy, names, n,
                           "the environment has no policy '%s'", policy);
}

/* Re-zeroing reads trusted rows of the data. */
static void check_zero(const il_world *w, const il_rezero_spec *zero,
                       il_problems *problems)
{
    int64_t rows = -1;

    if (zero->split == NULL) {
        return;
    }
    if (w->data == NULL) {
        il_problem_add(problems, zero->place,
                       "it is re-zeroed on a split, and there is no `data`");
        return;
    }
    il_split_check(w->data, zero->split, zero->place, problems);
    if (il_split_find(w->data, zero->split, &rows) >= 0 && rows >= 0 &&
        rows < zero->rows) {
        il_problem_add(problems, zero->place,
                       "split '%s' has %lld rows, expected at least %lld", zero->split,
                       (long long)rows, (long long)zero->rows);
    }
}

static void check_detector(const il_world *w, const il_detector_spec *d,
                           il_problems *problems)
{
    const il_rollout_spec *draws[] = {&d->fit.draw.rollouts,
                                      &d->threshold.draw.rollouts,
                                      &d->calibrate.draw.rollouts};

    for (size_t i = 0; i < 3; i++) {
        check_rollout(w->environment, draws[i]->policy, draws[i]->place, problems);
    }
    for (size_t i = 0; i < d->refit.rollout_count; i++) {
        check_rollout(w->environment, d->refit.rollouts[i].policy, d->refit.place,
                      problems);
    }
    check_zero(w, &d->rezero, problems);
    if (d->rezero.split != NULL && d->refit.kind == IL_REFIT_ONLINE) {
        il_problem_add(problems, d->refit.place,
                       "detector '%s' is re-zeroed, so it cannot be refitted online: "
                       "its zero would follow the refit; expected every or fresh",
                       d->name);
    }
    if (d->refit.rollout_count > 0 && d->fit.draw.rollouts.policy == NULL) {
        il_problem_add(problems, d->refit.place,
                       "detector '%s' is fitted on a split and refitted on episodes: "
                       "expected both of one kind",
                       d->name);
    }
}

/* Whether an edit knows its rows where the audit reads: in the data's splits, and while
 * the model acts. */
static void check_edit_rows(const il_world *w, const il_audit_spec *a,
                            const il_audit_edit_spec *e, const char *tokens,
                            il_problems *problems)
{
    const il_instance *env = w->environment;
    bool text =
        env != NULL && il_instance_environment(env)->form == IL_ENVIRONMENT_TEXT;
    bool plays = a->samples > 0 ||
                 (a->rollouts.policy != NULL && strcmp(a->rollouts.policy, "own") == 0);
    const il_field *f;

    if (strcmp(tokens, "all") == 0) {
        return;
    }
    if (plays && text) {
        il_problem_add(problems, e->place,
                       "mask '%s' is not known while an answer is written: edit with "
                       "`tokens: all`",
                       tokens);
        return;
    }
    f = plays && env != NULL                     ? il_field_find(env, tokens)
        : a->splits.count > 0 && w->data != NULL ? il_field_find(w->data, tokens)
                                                 : NULL;
    if (f == NULL || f->role != IL_FIELD_MASK) {
        il_problem_add(problems, e->place,
                       "there is no mask '%s' in what the audit reads", tokens);
    }
}

static void check_audit_edits(const il_world *w, const il_audit_spec *a,
                              il_problems *problems)
{
    for (size_t i = 0; i < a->edit_count; i++) {
        const il_audit_edit_spec *e = &a->edits[i];
        const il_detector *d = il_world_detector(w, e->detector);

        if (d != NULL) {
            il_editor_check(d, &e->edit, problems);
            check_edit_rows(w, a, e, e->tokens != NULL ? e->tokens : d->spec->tokens,
                            problems);
        }
    }
}

static void check_audit(const il_world *w, const il_audit_spec *a,
                        il_problems *problems)
{
    const il_instance *e = w->environment;
    const il_field *mask;

    check_audit_edits(w, a, problems);
    check_rollout(e, a->rollouts.policy, a->rollouts.place, problems);
    check_rollout(e, a->reference.policy, a->reference.place, problems);
    if (a->tokens != NULL && e != NULL) {
        mask = il_field_find(e, a->tokens);
        if (mask == NULL || mask->role != IL_FIELD_MASK) {
            il_problem_add(problems, a->place, "the environment has no mask '%s'",
                           a->tokens);
        }
    }
    if (a->samples > 0 &&
        (e == NULL || il_instance_environment(e)->form != IL_ENVIRONMENT_TEXT)) {
        il_problem_add(problems, a->place,
                       "'samples' asks for answers, and there is no environment of "
                       "text");
    }
}

void il__world_check(const il_world *w, il_problems *problems)
{
    const il_pipeline *p = w->pipeline;

    for (size_t i = 0; i < p->detector_count; i++) {
        check_detector(w, &p->detectors[i], problems);
    }
    for (size_t i = 0; i < p->stage_count; i++) {
        if (p->stages[i].train.given && w->model->store->count == 0) {
            il_problem_add(problems, p->stages[i].place,
                           "stage '%s' trains, and the model has no parameters: its "
                           "detectors can be fitted and judged",
                           p->stages[i].name);
        }
        if (p->stages[i].audit.given) {
            check_audit(w, &p->stages[i].audit, problems);
        }
    }
}
