/* Halts: see halt.h. */
#include "loop/halt.h"

#include <math.h>
#include <string.h>
#include "base/text.h"

il_status il_halts_open(il_halts *out, const il_stage_spec *stage, il_arena *arena,
                        il_error *err)
{
    *out = (il_halts){0};
    out->items = il_arena_calloc(arena, stage->signal_count + 1, sizeof *out->items);
    if (out->items == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, stage->name, "out of memory");
    }
    for (size_t i = 0; i < stage->signal_count; i++) {
        if (stage->signals[i].channel == IL_CHANNEL_HALT) {
            out->items[out->count++] = (il_halt){.spec = &stage->signals[i],
                                                 .first = -1,
                                                 .value = NAN,
                                                 .best = NAN,
                                                 .kept = -1};
        }
    }
    return IL_OK;
}

bool il_halts_go_back(const il_halts *h)
{
    for (size_t i = 0; i < h->count; i++) {
        if (h->items[i].spec->halt.keep != IL_HALT_KEEP_LAST) {
            return true;
        }
    }
    return false;
}

/* ---- the rule ------------------------------------------------------------------- */

/* Whether a reading is on the ill side; who is ill stays so up to `until`. */
static bool finds_ill(const il_halt *h, double reading)
{
    const il_halt_spec *s = &h->spec->halt;
    double line = h->ill ? s->until : s->bound;

    return s->below ? reading < line : reading > line;
}

unsigned il_halt_judge(il_halt *h, double reading, int64_t step)
{
    const il_halt_spec *s = &h->spec->halt;
    unsigned out = 0;

    if (isnan(reading)) {
        return 0;
    }
    h->looks++;
    h->value = reading;
    h->ill = finds_ill(h, reading);
    h->in_row = h->ill ? h->in_row + 1 : 0;
    if (isnan(h->best) || (s->below ? reading > h->best : reading < h->best)) {
        h->best = reading;
        out |= s->keep == IL_HALT_KEEP_BEST ? IL_HALT_KEEP : 0u;
    }
    if (!h->ill) {
        h->raised = h->raised && s->action == IL_HALT_FREEZE;
        out |= s->keep == IL_HALT_KEEP_BEFORE ? IL_HALT_KEEP : 0u;
    } else if (h->in_row >= s->patience && !h->raised) {
        h->raised = true;
        h->first = h->first < 0 ? step : h->first;
        h->times++;
        out |= IL_HALT_FIRES;
    }
    if (out & IL_HALT_KEEP) {
        h->kept = step;
    }
    return out;
}

/* ---- words ---------------------------------------------------------------------- */

const char *il_halt_reading(il_arena *arena, const il_halt_spec *h)
{
    return h->minus == NULL
               ? h->metric
               : il_arena_printf(arena, "%s minus %s", h->metric, h->minus);
}

const char *il_halt_line(il_arena *arena, const il_halt_spec *h)
{
    const char *reading = il_halt_reading(arena, h);
    char bound[32];

    il_format_real(h->bound, bound);
    if (reading == NULL) {
        return NULL;
    }
    return h->patience == 1 ? il_arena_printf(arena, "%s %s %s", reading,
                                              h->below ? "below" : "above", bound)
                            : il_arena_printf(arena, "%s %s %s for %lld audits",
                                              reading, h->below ? "below" : "above",
                                              bound, (long long)h->patience);
}

const char *il_halt_deed(il_arena *arena, const il_halt_spec *h)
{
    static const char *const keeps[] = {"stop", "stop, and keep the state of before",
                                        "stop, and keep the best state"};
    const char *groups = "";

    if (h->action != IL_HALT_FREEZE) {
        return h->action == IL_HALT_ALARM ? "alarm" : keeps[h->keep];
    }
    for (size_t i = 0; groups != NULL && i < h->freeze.count; i++) {
        groups = il_arena_printf(arena, "%s%s%s", groups, i > 0 ? ", " : "",
                                 h->freeze.items[i]);
    }
    return groups != NULL ? il_arena_printf(arena, "freeze %s", groups) : NULL;
}

static bool measures_fresh(const char *metric)
{
    return metric != NULL && strncmp(metric, "fresh.", strlen("fresh.")) == 0;
}

int64_t il_halt_ends(const il_stage_spec *stage, const il_halt_spec *h)
{
    int64_t steps = il_train_length(&stage->train);
    int64_t every = stage->audit.every;
    /* Fresh readers of the parent's weights stand in the parent's own audit. */
    bool late = measures_fresh(h->metric) || measures_fresh(h->minus);
    int64_t fires;

    if (every < 1 || h->action == IL_HALT_ALARM) {
        return 1;
    }
    /* At the last step of all nothing is left to stop or to freeze; only an earlier
     * state can still be taken. */
    fires = (steps - 1) / every + (late ? 0 : 1) - (h->patience - 1);
    if (h->keep != IL_HALT_KEEP_LAST && steps % every == 0) {
        fires++;
    }
    return fires > 0 ? fires + 1 : 1;
}

/* ---- records -------------------------------------------------------------------- */

static json_t *number_or_null(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *step_or_null(int64_t step)
{
    return step >= 0 ? json_integer(step) : json_null();
}

json_t *il_halts_report(const il_halts *h, const il_stage_spec *stage, il_arena *arena)
{
    static const char *const actions[] = {"stop", "alarm", "freeze"};
    static const char *const keeps[] = {"last", "before", "best"};
    json_t *all = json_array();

    for (size_t i = 0; i < h->count; i++) {
        const il_halt *halt = &h->items[i];
        const il_halt_spec *s = &halt->spec->halt;
        int64_t ends = il_halt_ends(stage, s);
        const char *line = il_halt_line(arena, s);
        const char *reading = il_halt_reading(arena, s);

        json_array_append_new(
            all,
            json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:f, s:I, s:o, s:o, "
                      "s:I, s:o}",
                      "signal", halt->spec->name, "source", halt->spec->source.name,
                      "reading", reading != NULL ? reading : "", "line",
                      line != NULL ? line : "", "do", actions[s->action], "keep",
                      keeps[s->keep], "ends", (json_int_t)ends, "bits",
                      log2((double)ends), "looks", (json_int_t)halt->looks, "value",
                      number_or_null(halt->value), "fired", step_or_null(halt->first),
                      "times", (json_int_t)halt->times, "kept",
                      step_or_null(halt->kept)));
    }
    return all;
}

json_t *il_halts_json(const il_halts *h)
{
    json_t *all = json_array();

    for (size_t i = 0; i < h->count; i++) {
        const il_halt *halt = &h->items[i];

        json_array_append_new(
            all, json_pack("{s:b, s:I, s:b, s:I, s:I, s:I, s:o, s:o, s:I}", "ill",
                           halt->ill, "in_row", (json_int_t)halt->in_row, "raised",
                           halt->raised, "first", (json_int_t)halt->first, "times",
                           (json_int_t)halt->times, "looks", (json_int_t)halt->looks,
                           "value", number_or_null(halt->value), "best",
                           number_or_null(halt->best), "kept", (json_int_t)halt->kept));
    }
    return all;
}

static double number_of(const json_t *x)
{
    return json_is_number(x) ? json_number_value(x) : (double)NAN;
}

il_status il_halts_read(il_halts *h, const json_t *json, il_error *err)
{
    if (json_array_size(json) != h->count) {
        return il_error_set(err, IL_ERR_INPUT, "halts",
                            "the checkpoint has %zu halts, expected %zu",
                            json_array_size(json), h->count);
    }
    for (size_t i = 0; i < h->count; i++) {
        const json_t *from = json_array_get(json, i);
        il_halt *halt = &h->items[i];

        halt->ill = json_is_true(json_object_get(from, "ill"));
        halt->in_row = json_integer_value(json_object_get(from, "in_row"));
        halt->raised = json_is_true(json_object_get(from, "raised"));
        halt->first = json_integer_value(json_object_get(from, "first"));
        halt->times = json_integer_value(json_object_get(from, "times"));
        halt->looks = json_integer_value(json_object_get(from, "looks"));
        halt->value = number_of(json_object_get(from, "value"));
        halt->best = number_of(json_object_get(from, "best"));
        halt->kept = json_integer_value(json_object_get(from, "kept"));
    }
    return IL_OK;
}
