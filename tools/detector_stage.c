/* A pipeline's stage for the words of `interloop detector`: brought about where it has
 * not been yet, with its weights and detectors at hand. See detector.h. */
#include "detector.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

il_stage_host il_detector_stage_host(const il_session *s, const il_detector_cli *c)
{
    return (il_stage_host){.host = il_session_host(s),
                           .runs = c->cli.run.runs,
                           .run_name = "detector",
                           .numerics = s->numerics,
                           .stop = il_cli_stop()};
}

il_status il_detector_session_open(il_session *s, il_detector_cli *c,
                                   const char *usage_text, il_error *err)
{
    for (size_t i = 0; i < c->accept_count; i++) {
        if (il_cli_accept(&c->cli, c->accept[i], usage_text) >= 0) {
            return il_error_set(err, IL_ERR_INPUT, "--accept",
                                "expected DETECTOR.WORD, got '%s'", c->accept[i]);
        }
    }
    c->cli.run.log = il_cli_log();
    return il_session_open(s, &c->cli.run, err);
}

void il_detector_session_close(il_session *s, il_detector_cli *c)
{
    il_session_close(s);
    il_log_destroy(c->cli.run.log);
}

il_status il_detector_stage_open(il_detector_stage *st, il_session *s,
                                 const il_detector_cli *c, il_error *err)
{
    il_stage_host host = il_detector_stage_host(s, c);
    il_stage_result result = {0};
    size_t last;
    il_status status;

    memset(st, 0, sizeof *st);
    IL_TRY(il_cli_job(s, &c->cli, &st->job, err));
    IL_TRY(il_world_create(&st->world, &host.host, st->job->pipeline, st->job->seed,
                           &s->problems, err));
    last = st->job->chain_count - 1;
    st->spec = st->job->chain[last].spec;
    status = il_stage_ensure(&host, st->world, st->job, last, NULL, &result,
                             &s->problems, err);
    il_stage_result_free(&result);
    IL_TRY(status);
    return il_stage_load(&host, st->world, st->job, (int64_t)last, NULL, err);
}

void il_detector_stage_close(il_detector_stage *st)
{
    il_world_destroy(st->world);
    memset(st, 0, sizeof *st);
}

bool il_detector_wanted(const il_detector_cli *c, const char *name)
{
    for (size_t i = 0; i < c->detector_count; i++) {
        if (strcmp(c->detectors[i], name) == 0) {
            return true;
        }
    }
    return c->detector_count == 0;
}

il_status il_detector_names_check(const il_detector_stage *st, const il_detector_cli *c,
                                  il_error *err)
{
    for (size_t i = 0; i < c->detector_count; i++) {
        if (il_world_detector(st->world, c->detectors[i]) == NULL) {
            const char *names[64];
            size_t count = 0;
            const char *nearest;

            for (; count < st->world->detector_count && count < 64; count++) {
                names[count] = st->world->detectors[count]->spec->name;
            }
            nearest = il_nearest(c->detectors[i], names, count);
            return il_error_set(
                err, IL_ERR_INPUT, c->cli.run.path, "there is no detector '%s'%s%s%s",
                c->detectors[i], nearest != NULL ? ", did you mean '" : "",
                nearest != NULL ? nearest : "", nearest != NULL ? "'?" : "");
        }
    }
    return IL_OK;
}

/* ---- judged --------------------------------------------------------------------- */

il_status il_detector_judge_draw(const il_stage_spec *stage, const char *split,
                                 il_draw_spec *draw, il_draw *purpose,
                                 const char **name, il_error *err)
{
    const il_audit_spec *audit = &stage->audit;

    memset(draw, 0, sizeof *draw);
    *purpose = IL_DRAW_JUDGE;
    if (split != NULL || audit->splits.count > 0) {
        draw->split = split != NULL ? split : audit->splits.items[0];
        *name = draw->split;
    } else if (audit->reference.policy != NULL) {
        draw->rollouts = audit->reference;
        *purpose = IL_DRAW_REFERENCE;
        *name = audit->reference.policy;
    } else if (audit->rollouts.policy != NULL) {
        draw->rollouts = audit->rollouts;
        *name = audit->rollouts.policy;
    } else {
        return il_error_set(err, IL_ERR_INPUT, stage->name,
                            "its audit names no split and no rollouts, so nothing is "
                            "there to judge by");
    }
    return IL_OK;
}

/* Ids of the rows that judge against those that fitted or calibrated it, and so with
 * every detector that it reads. */
static il_status check_apart(const il_detector *d, const il_acts *acts, il_error *err)
{
    const il_documents *used[] = {&d->fit_ids, &d->calibration_ids};
    il_arena *arena = il_arena_create(1 << 14);
    int64_t n = 0;
    int64_t shared = 0;
    int64_t *ids = arena != NULL ? il_documents_list(&acts->rows, arena, &n) : NULL;
    il_status status =
        ids != NULL ? IL_OK
                    : il_error_set(err, IL_ERR_MEMORY, d->spec->name, "out of memory");

    for (int i = 0; status == IL_OK && i < 2; i++) {
        if (il_documents_meet(n, ids, used[i]->count, used[i]->ids, &shared)) {
            status = il_error_set(err, IL_ERR_INPUT, d->spec->name,
                                  "document %" PRId64 " would judge this detector, and "
                                  "it %s it",
                                  shared, i == 0 ? "fitted" : "calibrated");
        }
    }
    il_arena_destroy(arena);
    for (size_t i = 0; status == IL_OK && i < d->member_count; i++) {
        status = check_apart(d->members[i], acts, err);
    }
    return status;
}

const char *il_detector_label(const il_world *w, const il_detector *d)
{
    const char *label = d->fields.label;

    for (size_t i = 0; i < w->detector_count && label == NULL; i++) {
        label = w->detectors[i]->fields.label;
    }
    return label;
}

il_status il_detector_judge_stage(il_detector_judged *out, const il_world *w,
                                  const il_stage_spec *stage, const char *split,
                                  il_detector *d, const char **from, il_error *err)
{
    const char *label = d->fields.label;
    il_draw_spec draw;
    il_draw purpose;
    il_acts *acts = NULL;
    il_status status;

    IL_TRY(il_detector_judge_draw(stage, split, &draw, &purpose, from, err));
    d->fields.label = il_detector_label(w, d);
    if (d->fields.label == NULL) {
        return il_error_set(err, IL_ERR_INPUT, d->spec->name,
                            "no detector names a label to judge by");
    }
    status = il_stage_rows(&acts, w, d, &draw, purpose, 0, err);
    d->fields.label = label;
    if (status == IL_OK) {
        status = check_apart(d, acts, err);
    }
    if (status == IL_OK) {
        status = il_detector_judge(out, d, w->host.blas, acts, w->seed, err);
    }
    il_acts_destroy(acts);
    return status;
}
