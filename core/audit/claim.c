/* Claims: see claim.h. */
#include "audit/claim.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "loop/json.h"

enum { DRAWS = 2000 };

static il_status no_memory(const char *where, il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, where, "out of memory");
}

/* An interval of the mean from seeds drawn with replacement. */
static il_status resample(il_claim *c, il_arena *arena, il_error *err)
{
    il_clustered *rows = il_arena_calloc(arena, c->count + 1, sizeof *rows);

    c->resampled = (il_interval){(double)NAN, (double)NAN, (double)NAN};
    if (rows == NULL) {
        return no_memory(c->metric, err);
    }
    if (c->count < 2) {
        return IL_OK;
    }
    for (size_t i = 0; i < c->count; i++) {
        rows[i] =
            (il_clustered){.seed = (int64_t)i, .value = c->difference[i], .weight = 1};
    }
    return il_clustered_interval(rows, c->count, DRAWS, 0.95, 1, &c->resampled, err);
}

il_status il_claim_make(il_claim *out, const il_arm *arm, const il_arm *against,
                        const char *versus, const char *metric, double margin,
                        il_arena *arena, il_error *err)
{
    size_t room = arm->count + 1;
    uint64_t *seeds = il_arena_calloc(arena, room, sizeof *seeds);
    double *run = il_arena_calloc(arena, room, sizeof *run);
    double *other = il_arena_calloc(arena, room, sizeof *other);
    double *difference = il_arena_calloc(arena, room, sizeof *difference);
    double *sorted = il_arena_calloc(arena, room, sizeof *sorted);
    il_claim c = {.metric = metric,
                  .versus = versus,
                  .arm = arm,
                  .against = against,
                  .seeds = seeds,
                  .run = run,
                  .other = other,
                  .difference = difference,
                  .margin = margin,
                  .p_holm = (double)NAN};

    if (seeds == NULL || run == NULL || other == NULL || difference == NULL ||
        sorted == NULL) {
        return no_memory(metric, err);
    }
    for (size_t i = 0; i < arm->count; i++) {
        const il_arm_row *row = il_arm_seed(against, arm->rows[i].seed);

        if (row != NULL && il_arm_metric(&arm->rows[i], metric, &run[c.count]) &&
            il_arm_metric(row, metric, &other[c.count])) {
            seeds[c.count] = arm->rows[i].seed;
            difference[c.count] = run[c.count] - other[c.count];
            sorted[c.count] = difference[c.count];
            c.count++;
        }
    }
    c.test = il_paired_test_of(difference, c.count, 0.95, 1);
    c.within = il_equivalence_of(difference, c.count, margin, 0.05);
    c.iqm = il_interquartile_mean(sorted, c.count);
    IL_TRY(resample(&c, arena, err));
    *out = c;
    return IL_OK;
}

bool il_claims_correct(il_claim *claims, size_t count, bool primary)
{
    double *p = calloc(count + 1, sizeof *p);
    size_t n = 0;

    for (size_t i = 0; p != NULL && i < count; i++) {
        if (claims[i].primary == primary) {
            p[n++] = claims[i].test.t_p;
        }
    }
    if (p == NULL) {
        return false;
    }
    il_holm(p, n);
    n = 0;
    for (size_t i = 0; i < count; i++) {
        if (claims[i].primary == primary) {
            claims[i].p_holm = p[n++];
        }
    }
    free(p);
    return true;
}

static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *numbers(const double *values, size_t count)
{
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++) {
        (void)json_array_append_new(list, json_real(values[i]));
    }
    return list;
}

json_t *il_claim_json(const il_claim *c)
{
    json_t *seeds = json_array();
    json_t *out;

    for (size_t i = 0; i < c->count; i++) {
        (void)json_array_append_new(seeds, il__json_seed(c->seeds[i]));
    }
    out = json_pack(
        "{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, "
        "s:o, s:o, s:o}",
        "metric", c->metric, "versus", c->versus, "against", il_arm_name(c->against),
        "rank", c->primary ? "primary" : "secondary", "seeds", seeds, "run",
        numbers(c->run, c->count), "other", numbers(c->other, c->count), "difference",
        numbers(c->difference, c->count), "mean", number(c->test.mean), "iqm",
        number(c->iqm), "low", number(c->test.low), "high", number(c->test.high),
        "resampled_low", number(c->resampled.low), "resampled_high",
        number(c->resampled.high), "p_signs", number(c->test.flip_p), "p_floor",
        number(c->test.floor_p), "p_t", number(c->test.t_p), "p_holm",
        number(c->p_holm));
    if (c->health && c->margin > 0) {
        (void)json_object_set_new(out, "alive",
                                  json_pack("{s:f, s:o, s:b}", "margin", c->margin, "p",
                                            number(c->within.p), "holds",
                                            c->within.shown));
    }
    return out;
}
