/* Stages in training: steps with what is noted, refitted, audited and kept on the way.
 * See stage.h. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/files.h"
#include "detect/fit.h"
#include "loop/credit.h"
#include "loop/ledger_file.h"
#include "loop/stage_private.h"

enum { LOG_EVERY = 10, CHECKPOINT_EVERY = 50 };

static double now_seconds(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_REALTIME, &t); /* cannot fail with this clock */
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

il_status il__stage_note(il_stage_work *s, int64_t step, const il_metric *metrics,
                         size_t count, il_error *err)
{
    IL_TRY(il_record_add(s->record, step, metrics, count, err));
    return s->out != NULL
               ? il_run_job_point(s->out, now_seconds(), step, metrics, count, err)
               : IL_OK;
}

il_status il__stage_look(il_stage_work *s, int64_t step, bool last, il_error *err)
{
    IL_TRY(il__stage_audit(s, step, last, err));
    IL_TRY(il__stage_note(s, step, s->metrics, s->metric_count, err));
    return il__stage_audit_histograms(s, step, err);
}

static il_status note_losses(il_stage_work *s, il_trainer *t, il_error *err)
{
    size_t count = t->terms->count;
    bool ledger = il_ledger_sampled(s->ledger);
    size_t most = ledger ? 4 * s->ledger->count : 0;
    il_tally notes;
    il_metric *metrics;
    size_t n = 0;
    il_status status = IL_OK;

    il_tally_open(&notes);
    status = il_trainer_notes(t, &notes, err);
    metrics = calloc(count + most + notes.count + 2, sizeof *metrics);
    if (status == IL_OK && metrics == NULL) {
        status = il_error_set(err, IL_ERR_MEMORY, s->label, "out of memory");
    }
    for (size_t i = 0; status == IL_OK && i < count; i++) {
        metrics[n].name =
            il_arena_printf(s->arena, "loss.%s", t->terms->items[i].spec->name);
        metrics[n++].value = t->values[i];
    }
    if (status == IL_OK && ledger) {
        n += il_ledger_metrics(s->ledger, s->arena, metrics + n, most);
    }
    for (size_t i = 0; status == IL_OK && i < notes.count; i++) {
        metrics[n].name = il_arena_strdup(s->arena, notes.items[i].name);
        metrics[n++].value = il_tally_value(&notes, notes.items[i].name);
    }
    if (status == IL_OK) {
        metrics[n].name = "grad_norm";
        metrics[n++].value = t->norm;
        status = il__stage_note(s, t->step, metrics, n, err);
    }
    il_tally_close(&notes);
    free(metrics);
    return status;
}

/* The line of a sampled step, and its histograms. */
static il_status note_ledger(il_stage_work *s, const il_trainer *t, il_error *err)
{
    il_text line = {0};
    il_status status;

    il_ledger_line(s->ledger, &line);
    status = il_record_ledger(s->record, t->step, &line, err);
    il_text_free(&line);
    return status == IL_OK ? il__stage_ledger_histograms(s, t, err) : status;
}

/* What the ledger comes to, once the last step is done. */
static il_status close_ledger(il_stage_work *s, const il_trainer *t, il_error *err)
{
    json_t *totals = NULL;
    il_status status;

    if (s->ledger == NULL || !il_file_exists(il_record_ledger_path(s->record))) {
        return IL_OK; /* none is kept, or the stage ended before its first step */
    }
    IL_TRY(il_ledger_totals(s->ledger, il_record_ledger_path(s->record), t->step,
                            &totals, err));
    status = il_record_json(s->record, "ledger.json", totals, err);
    json_decref(totals);
    return status;
}

/* Refits what is due before the step to come. An audit of the same step has seen the
 * detector that pressed on the steps before, and a stage ends with that one. */
static il_status refit_due(il_stage_work *s, const il_trainer *t, il_error *err)
{
    il_world *w = s->world;

    /* What is read is refitted before what reads it. */
    for (size_t d = 0; t->step > 0 && d < (1 + IL_DETECTOR_LEVELS) * w->detector_count;
         d++) {
        il_detector *det = w->detectors[d % w->detector_count];
        const il_refit_spec *r = &det->spec->refit;

        if (det->fitted && det->spec->level == (int)(d / w->detector_count) &&
            (r->kind == IL_REFIT_EVERY || r->kind == IL_REFIT_FRESH) &&
            t->step % r->every == 0) {
            IL_TRY(il__stage_refit(s, det, t->step, err));
        }
    }
    return IL_OK;
}

/* Refits on the batch just trained on, for detectors that learn online. Rows are read
 * with the weights of after the step: the detector follows the model. */
static il_status refit_online(il_stage_work *s, il_trainer *t, il_error *err)
{
    il_world *w = s->world;

    for (size_t d = 0; d < (1 + IL_DETECTOR_LEVELS) * w->detector_count; d++) {
        il_detector *det = w->detectors[d % w->detector_count];
        const il_refit_spec *r = &det->spec->refit;

        if (!det->fitted || det->spec->level != (int)(d / w->detector_count)) {
            continue;
        }
        if (r->kind == IL_REFIT_ONLINE) {
            il_acts *acts = NULL;
            il_status status;

            status = il_trainer_acts(t, det, &acts, err);
            if (status == IL_OK) {
                status =
                    il_detector_online(det, w->host.blas, acts, r->steps, r->lr, err);
            }
            il_acts_destroy(acts);
            IL_TRY(status);
        }
    }
    return IL_OK;
}

static il_status checkpoint(il_stage_work *s, const il_trainer *t, il_error *err)
{
    IL_TRY(il_record_sync(s->record, err));
    return il__stage_write(s, IL_STATE_CHECKPOINT, t, err);
}

/* Whether a metric says how a declared detector does on what judges it first. */
static bool is_health(const il_stage_work *s, const char *metric)
{
    for (size_t d = 0; d < s->world->detector_count; d++) {
        const char *name = s->world->detectors[d]->spec->name;
        size_t n = strlen(name);

        if (strncmp(metric, name, n) == 0 &&
            (strcmp(metric + n, ".auroc") == 0 || strcmp(metric + n, ".tpr") == 0)) {
            return true;
        }
    }
    return false;
}

/* Memory that is out costs a line of progress, no more. */
static void progress(const il_stage_work *s, const il_trainer *t, double since,
                     int64_t from)
{
    size_t losses = t->terms->count;
    il_metric *all = calloc(losses + s->metric_count + 1, sizeof *all);
    il_progress p = {.label = s->label,
                     .step = t->step,
                     .steps = il_train_length(&s->spec->train),
                     .rate = (double)(t->step - from) / (now_seconds() - since + 1e-9),
                     .losses = all};

    p.left = (double)(p.steps - p.step) / p.rate;
    if (s->host->progress == NULL || all == NULL) {
        il_log_write(s->host->host.log, IL_LOG_DEBUG, s->label,
                     "step %lld/%lld  %.1f/s  %.0f s left", (long long)p.step,
                     (long long)p.steps, p.rate, p.left);
        free(all);
        return;
    }
    p.health = all + losses;
    for (size_t i = 0; i < losses; i++) {
        all[p.loss_count++] = (il_metric){t->terms->items[i].spec->name, t->values[i]};
    }
    for (size_t i = 0; i < s->metric_count; i++) {
        if (is_health(s, s->metrics[i].name)) {
            all[losses + p.health_count++] = s->metrics[i];
        }
    }
    s->host->progress(s->host->progress_user, &p);
    free(all);
}

/* Says of a reward that nothing was found of it that an action could earn. */
static void warn_of(const il_stage_work *s, const char *signal, const json_t *action)
{
    const char *verdict = json_string_value(json_object_get(action, "verdict"));

    if (verdict != NULL && strcmp(verdict, "drops_out") == 0) {
        il_log_write(
            s->host->host.log, IL_LOG_WARN, s->label,
            "signal '%s' is the same whatever the action: as a reward it drops "
            "out in expectation",
            signal);
    } else if (verdict != NULL && strcmp(verdict, "none_found") == 0) {
        il_log_write(
            s->host->host.log, IL_LOG_WARN, s->label,
            "signal '%s' was not found to depend on the action (p %.2f, %lld "
            "rows): as a reward it may drop out in expectation",
            signal, json_number_value(json_object_get(action, "p")),
            (long long)json_integer_value(json_object_get(action, "compared")));
    }
}

/* The credit map as it is at an audit: the file, and what it says of rewards beside the
 * audit's numbers. */
static il_status note_credit(il_stage_work *s, il_trainer *t, bool warns, il_error *err)
{
    json_t *map = NULL;
    json_t *rewards = json_object();
    const char *name;
    json_t *signal;
    il_status status = il_credit_map(t, &map, err);

    json_object_foreach(json_object_get(map, "signals"), name, signal)
    {
        json_t *action = json_object_get(signal, "action");

        if (action != NULL) {
            json_object_set(rewards, name, action);
        }
        if (warns) {
            warn_of(s, name, action);
        }
    }
    if (status == IL_OK && map != NULL) {
        status = il_record_json(s->record, "credit.json", map, err);
    }
    if (status == IL_OK && json_object_size(rewards) > 0) {
        json_object_set(s->audit, "credit", rewards);
    }
    json_decref(rewards);
    json_decref(map);
    return status;
}

/* An audit on the way, and what follows from it. */
static il_status look_ahead(il_stage_work *s, il_trainer *t, il_error *err)
{
    int64_t step = t->step;

    IL_TRY(il__stage_look(s, step, false, err));
    IL_TRY(note_credit(s, t, false, err));
    return il__stage_halt(s, t, step, false, err);
}

static il_status train_steps(il_stage_work *s, il_trainer *t, il_error *err)
{
    const il_audit_spec *audit = &s->spec->audit;
    int64_t steps = il_train_length(&s->spec->train);
    int64_t every =
        s->host->checkpoint_every > 0 ? s->host->checkpoint_every : CHECKPOINT_EVERY;
    int64_t from = t->step;
    double since = now_seconds();

    if (t->step == 0 && audit->given && audit->every > 0) {
        IL_TRY(look_ahead(s, t, err));
    }
    while (t->step < steps && s->ended == NULL) {
        bool logs = (t->step + 1) % LOG_EVERY == 0 || t->step + 1 == steps;

        IL_TRY(refit_due(s, t, err));
        IL_TRY(il_trainer_step(t, logs, err));
        IL_TRY(refit_online(s, t, err));
        if (il_ledger_sampled(s->ledger)) {
            IL_TRY(note_ledger(s, t, err));
        }
        if (logs || il_ledger_sampled(s->ledger)) {
            IL_TRY(note_losses(s, t, err));
            progress(s, t, since, from);
        }
        if (audit->given && t->step < steps && audit->every > 0 &&
            t->step % audit->every == 0) {
            IL_TRY(look_ahead(s, t, err));
        }
        if (t->step < steps && s->ended == NULL &&
            (t->step % every == 0 || (s->host->stop != NULL && *s->host->stop))) {
            IL_TRY(checkpoint(s, t, err));
        }
        if (s->host->stop != NULL && *s->host->stop) {
            return il_error_set(
                err, IL_ERR_INTERRUPTED, s->label,
                "stopped at step %lld; the same command goes on from there",
                (long long)t->step);
        }
    }
    /* The last audit is for the result, so what may still choose one comes first. */
    if (s->ended == NULL && il_halts_go_back(&s->halts) && steps % audit->every == 0) {
        IL_TRY(look_ahead(s, t, err));
    }
    return IL_OK;
}

/* The audit of what the stage leaves. */
static il_status look_last(il_stage_work *s, il_trainer *t, il_error *err)
{
    int64_t step = s->ended != NULL ? s->ended_at : t->step;

    if (!s->spec->audit.given) {
        return IL_OK;
    }
    IL_TRY(il__stage_look(s, step, true, err));
    IL_TRY(note_credit(s, t, true, err));
    if (s->judged != step) {
        IL_TRY(il__stage_halt(s, t, step, true, err));
    }
    return il__stage_halted(s, step, err);
}

/* Whether every reference that a term compares with or reads is there, and every
 * detector that edits has been fitted. */
static il_status check_references(const il_stage_work *s, const il_trainer *t,
                                  il_error *err)
{
    for (size_t i = 0; i < t->terms->sift_count; i++) {
        const il_detector *d = s->world->detectors[t->terms->sifts[i].detector];

        IL_TRY(il__stage_reference(s, d->spec->on, err));
        if (!il_detector_ready(d)) {
            return il_error_set(err, IL_ERR_INPUT, t->terms->sifts[i].spec->name,
                                "detector '%s' has not been fitted yet: there is "
                                "nothing to score examples by",
                                d->spec->name);
        }
    }
    for (size_t i = 0; i < t->terms->edit_count; i++) {
        const il_detector *d = s->world->detectors[t->terms->edits[i].detector];

        if (!il_detector_ready(d)) {
            return il_error_set(err, IL_ERR_INPUT, t->terms->edits[i].spec->name,
                                "detector '%s' has not been fitted yet: there is "
                                "nothing to edit by",
                                d->spec->name);
        }
    }
    for (size_t i = 0; i < t->terms->count; i++) {
        const il_term *term = &t->terms->items[i];
        int who[] = {term->detector, term->gate};

        if (term->kind == IL_TERM_KL) {
            IL_TRY(il__stage_reference(s, term->spec->source.name, err));
        }
        for (int k = 0; k < 2; k++) {
            IL_TRY(il__stage_reference(
                s, who[k] >= 0 ? s->world->detectors[who[k]]->spec->on : NULL, err));
        }
    }
    return IL_OK;
}

il_status il__stage_train(il_stage_work *s, il_problems *problems, il_error *err)
{
    il_trainer *t = NULL;
    il_plan *plan = NULL;
    bool resumes = il_state_exists(s->folder, IL_STATE_CHECKPOINT);
    il_status status = il__stage_parent(s, NULL, err);

    if (status == IL_OK) {
        status =
            il_trainer_create(&t, s->world, s->spec, (uint32_t)s->at, problems, err);
    }
    if (status == IL_OK && s->spec->train.continue_optimizer) {
        status = il__stage_parent(s, t, err);
    }
    if (status == IL_OK) {
        status = il_plan_make(&plan, t, &s->pressed, s->job->chain, s->at + 1, err);
    }
    if (status == IL_OK) {
        status = il_verdict_demand(plan->verdict, plan->demand, s->label, err);
    }
    if (status == IL_OK) {
        il_trainer_start(t);
        status = check_references(s, t, err);
    }
    if (status == IL_OK) {
        if (resumes) {
            status = il__stage_read(s, s->folder, IL_STATE_CHECKPOINT, t, false, err);
            if (status == IL_OK) {
                il__stage_refreeze(s, t);
                il_log_write(s->host->host.log, IL_LOG_INFO, s->label,
                             "goes on from step %lld", (long long)t->step);
            }
        }
    }
    if (status == IL_OK) {
        status =
            il_record_open(&s->record, s->record_folder, resumes ? t->step : -1, err);
    }
    if (status == IL_OK) {
        status = il_ledger_open(&s->ledger, t, plan, err);
    }
    if (status == IL_OK) {
        status = train_steps(s, t, err);
    }
    if (status == IL_OK) {
        status = close_ledger(s, t, err);
    }
    if (status == IL_OK) {
        il_plan_inherit(plan, t, &s->pressed);
        status = look_last(s, t, err);
    }
    if (status == IL_OK) {
        status = il__stage_write(s, IL_STATE_RESULT, t, err);
    }
    il_ledger_close(s->ledger);
    s->ledger = NULL;
    il_plan_destroy(plan);
    il_trainer_destroy(t);
    return status;
}
