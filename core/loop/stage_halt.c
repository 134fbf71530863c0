/* Stages that halt: audits judged, and what follows done. See halt.h and stage.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "loop/stage_private.h"

/* ---- readings ------------------------------------------------------------------- */

/* A metric of the last audit by its name; false when it measured none such. */
static bool find_metric(const il_stage_work *s, const char *name, double *out)
{
    for (size_t i = 0; i < s->metric_count; i++) {
        if (strcmp(s->metrics[i].name, name) == 0) {
            *out = s->metrics[i].value;
            return true;
        }
    }
    return false;
}

il_status il__stage_reading(const il_stage_work *s, const il_halt *h, int64_t step,
                            double *out, il_error *err)
{
    const char *const names[] = {h->spec->halt.metric, h->spec->halt.minus};
    double values[] = {NAN, 0};

    for (size_t i = 0; i < 2 && names[i] != NULL; i++) {
        if (find_metric(s, names[i], &values[i])) {
            continue;
        }
        if (step > 0) {
            return il_error_set(err, IL_ERR_INPUT, h->spec->name,
                                "the audit at step %lld measured no '%s' to halt by",
                                (long long)step, names[i]);
        }
        values[i] = NAN;
    }
    *out = values[0] - values[1];
    return IL_OK;
}

/* ---- kept states ---------------------------------------------------------------- */

static const char *kept_name(const il_stage_work *s, const il_halt *h, char out[32])
{
    (void)snprintf(out, 32, "kept%zu", (size_t)(h - s->halts.items));
    return out;
}

il_status il__stage_unkeep(const il_stage_work *s, il_error *err)
{
    char name[32];

    for (size_t i = 0; i < s->halts.count; i++) {
        if (s->halts.items[i].spec->halt.keep != IL_HALT_KEEP_LAST) {
            IL_TRY(il_state_remove(s->folder, kept_name(s, &s->halts.items[i], name),
                                   err));
        }
    }
    return IL_OK;
}

/* ---- deeds ---------------------------------------------------------------------- */

void il__stage_refreeze(const il_stage_work *s, il_trainer *t)
{
    for (size_t i = 0; i < s->halts.count; i++) {
        const il_halt *h = &s->halts.items[i];

        if (h->spec->halt.action == IL_HALT_FREEZE && h->raised) {
            il_trainer_freeze(t, &h->spec->halt.freeze);
        }
    }
}

/* Ends the stage here, with the state that is to be kept. */
static il_status stop(il_stage_work *s, const il_halt *h, il_trainer *t, int64_t step,
                      il_error *err)
{
    int64_t looks = s->looks;
    char name[32];

    s->ended = h;
    s->ended_at = step;
    if (h->spec->halt.keep == IL_HALT_KEEP_LAST || h->kept == step) {
        return IL_OK;
    }
    if (h->kept < 0) {
        il_log_write(s->host->host.log, IL_LOG_WARN, s->label,
                     "%s: no audit found it healthy, so that there is no earlier state "
                     "to keep",
                     h->spec->name);
        return IL_OK;
    }
    IL_TRY(il__stage_read(s, s->folder, kept_name(s, h, name), t, false, err));
    s->looks = looks; /* they have been taken */
    return IL_OK;
}

static void say(il_stage_work *s, const il_halt *h, int64_t step)
{
    const il_halt_spec *spec = &h->spec->halt;
    const char *line = il_halt_line(s->arena, spec);
    const char *deed = il_halt_deed(s->arena, spec);

    il_log_write(s->host->host.log, IL_LOG_WARN, s->label,
                 "%s: %s %.4g at step %lld (%s): %s", h->spec->name,
                 il_halt_reading(s->arena, spec), h->value, (long long)step,
                 line != NULL ? line : "", deed != NULL ? deed : "");
}

static il_status judge(il_stage_work *s, il_halt *h, il_trainer *t, int64_t step,
                       il_error *err)
{
    const il_halt_spec *spec = &h->spec->halt;
    double reading = NAN;
    unsigned due;
    char name[32];

    IL_TRY(il__stage_reading(s, h, step, &reading, err));
    due = il_halt_judge(h, reading, step);
    if (due & IL_HALT_KEEP) {
        IL_TRY(il__stage_write(s, kept_name(s, h, name), t, err));
    }
    if (!(due & IL_HALT_FIRES)) {
        return IL_OK;
    }
    say(s, h, step);
    if (spec->action == IL_HALT_FREEZE) {
        il_trainer_freeze(t, &spec->freeze);
    } else if (spec->action == IL_HALT_STOP && s->ended == NULL) {
        s->ended = h; /* done once all have been judged by what is measured here */
    }
    return IL_OK;
}

il_status il__stage_halt(il_stage_work *s, il_trainer *t, int64_t step, bool last,
                         il_error *err)
{
    il_metric *raised = il_arena_calloc(s->arena, s->halts.count + 1, sizeof *raised);
    size_t count = 0;

    if (raised == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, s->label, "out of memory");
    }
    for (size_t i = 0; i < s->halts.count; i++) {
        il_halt *h = &s->halts.items[i];

        if (last && il_signal_acts(h->spec)) {
            continue;
        }
        IL_TRY(judge(s, h, t, step, err));
        raised[count].name = il_arena_printf(s->arena, "%s.fired", h->spec->name);
        raised[count++].value = h->raised ? 1.0 : 0.0;
        if (raised[count - 1].name == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, s->label, "out of memory");
        }
    }
    s->judged = step;
    if (count > 0) {
        IL_TRY(il__stage_note(s, step, raised, count, err));
    }
    return s->ended != NULL && !last ? stop(s, s->ended, t, step, err) : IL_OK;
}

/* ---- what became of them -------------------------------------------------------- */

il_status il__stage_halted(il_stage_work *s, int64_t step, il_error *err)
{
    size_t room = s->metric_count + 2 * s->halts.count + 1;
    il_metric *all;

    if (s->halts.count == 0) {
        return IL_OK;
    }
    all = il_arena_calloc(s->arena, room, sizeof *all);
    if (all == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, s->label, "out of memory");
    }
    memcpy(all, s->metrics, s->metric_count * sizeof *all);
    for (size_t i = 0; i < s->halts.count; i++) {
        const il_halt *h = &s->halts.items[i];

        if (h->first < 0) {
            continue;
        }
        all[s->metric_count].name =
            il_arena_printf(s->arena, "%s.fired", h->spec->name);
        all[s->metric_count++].value = (double)h->first;
        if (s->ended == h) {
            all[s->metric_count].name =
                il_arena_printf(s->arena, "%s.kept", h->spec->name);
            all[s->metric_count++].value = (double)(h->kept >= 0 ? h->kept : step);
        }
    }
    s->metrics = all;
    if (s->audit != NULL) {
        json_object_set_new(s->audit, "halts",
                            il_halts_report(&s->halts, s->spec, s->arena));
        if (s->ended != NULL) {
            json_object_set_new(
                s->audit, "ended",
                json_pack("{s:s, s:I, s:I}", "signal", s->ended->spec->name, "step",
                          (json_int_t)step, "kept",
                          (json_int_t)(s->ended->kept >= 0 ? s->ended->kept : step)));
        }
    }
    return IL_OK;
}
