#include "audit/outcome_units.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "interloop/rng.h"

/* ---- shares --------------------------------------------------------------------- */

/* What units add up to. */
typedef struct sums {
    double bad, weight, good, good_weight, rows, now, then, veiled;
} sums;

static void add_unit(sums *s, const il_outcome_unit *u, double times)
{
    s->bad += times * u->bad;
    s->weight += times * u->weight;
    s->good += times * u->good;
    s->good_weight += times * u->good_weight;
    s->rows += times * u->rows;
    s->now += times * u->now;
    s->then += times * u->then;
    s->veiled += times * u->veiled;
}

static double ratio(double part, double whole)
{
    return whole > 0 ? part / whole : NAN;
}

static il_outcome_inputs shares_of(const il_outcome_run *run, const sums *s,
                                   double flagged, double kept)
{
    return (il_outcome_inputs){.behaviour = ratio(s->bad, s->weight),
                               .good = s->good_weight > 0 ? s->good / s->good_weight
                                                          : run->good,
                               .flag_now = ratio(s->now, s->rows),
                               .flag_then = ratio(s->then, s->rows),
                               .kept = ratio(kept, flagged),
                               .alarm = run->alarm};
}

il_outcome_inputs il_outcome_shares(const il_outcome_run *run, double *veiled)
{
    double flagged = 0;
    double kept = 0;
    sums s = {0};

    for (size_t i = 0; i < run->count; i++) {
        add_unit(&s, &run->units[i], 1);
    }
    for (size_t i = 0; i < run->past_count; i++) {
        flagged += run->past[i].flagged;
        kept += run->past[i].kept;
    }
    if (veiled != NULL) {
        *veiled = ratio(s.veiled, s.rows);
    }
    return shares_of(run, &s, flagged, kept);
}

/* Sums of inputs, each over those that have it. */
typedef struct means {
    double sum[IL_OUTCOME_INPUTS];
    size_t count[IL_OUTCOME_INPUTS];
} means;

static void add_mean(means *m, il_outcome_inputs in)
{
    for (int i = 0; i < IL_OUTCOME_INPUTS; i++) {
        double x = *il_outcome_input(&in, i);

        if (!isnan(x)) {
            m->sum[i] += x;
            m->count[i]++;
        }
    }
}

static il_outcome_inputs mean_of(const means *m)
{
    il_outcome_inputs in;

    for (int i = 0; i < IL_OUTCOME_INPUTS; i++) {
        *il_outcome_input(&in, i) = ratio(m->sum[i], (double)m->count[i]);
    }
    return in;
}

il_outcome_inputs il_outcome_mean(const il_outcome_run *runs, size_t count)
{
    means m = {0};

    for (size_t i = 0; i < count; i++) {
        add_mean(&m, il_outcome_shares(&runs[i], NULL));
    }
    return mean_of(&m);
}

/* ---- resamples ------------------------------------------------------------------- */

static double draw_exponential(il_rng *r)
{
    return -log1p(-il_rng_uniform(r));
}

/* Gamma(1/2): half of the square of a normal. */
static double draw_half(il_rng *r)
{
    double z = il_rng_normal(r);

    return z * z / 2;
}

/* Half a unit at the upper end of a scale (`most` a unit) and half a unit at its lower
 * end; `weight` is all that `count` units weigh. */
static void add_ends(il_rng *r, double *part, double *whole, double weight,
                     size_t count, double most)
{
    double unit = count > 0 ? weight / (double)count : 0;
    double up = unit * draw_half(r);
    double down = unit * draw_half(r);

    *part += up * most;
    *whole += up + down;
}

/* One draw of a seed's shares. */
static il_outcome_inputs draw_shares(const il_outcome_run *run,
                                     const il_outcome_rule *rule, il_rng *r)
{
    double good_full = isnan(rule->good_full) ? 1 : rule->good_full;
    double flagged = 0;
    double flagged_drawn = 0;
    double kept = 0;
    size_t seen = 0;
    size_t with_rows = 0;
    sums all = {0};
    sums s = {0};
    double rows;

    for (size_t i = 0; i < run->count; i++) {
        add_unit(&all, &run->units[i], 1);
        add_unit(&s, &run->units[i], draw_exponential(r));
        with_rows += run->units[i].rows > 0;
    }
    add_ends(r, &s.bad, &s.weight, all.weight, run->count, rule->full);
    if (all.good_weight > 0) {
        add_ends(r, &s.good, &s.good_weight, all.good_weight, run->count, good_full);
    }
    /* Now and then are asked of the same rows. */
    rows = s.rows;
    add_ends(r, &s.now, &rows, all.rows, with_rows, 1);
    s.now = ratio(s.now, rows) * s.rows;
    rows = s.rows;
    add_ends(r, &s.then, &rows, all.rows, with_rows, 1);
    s.then = ratio(s.then, rows) * s.rows;
    for (size_t i = 0; i < run->past_count; i++) {
        double times = draw_exponential(r);

        flagged += run->past[i].flagged;
        flagged_drawn += times * run->past[i].flagged;
        kept += times * run->past[i].kept;
        seen += run->past[i].flagged > 0;
    }
    add_ends(r, &kept, &flagged_drawn, flagged, seen, 1);
    return shares_of(run, &s, flagged_drawn, kept);
}

static il_outcome_bounds draw_bounds(const il_outcome_run *twins, size_t count,
                                     const il_outcome_rule *rule, il_rng *r)
{
    il_outcome_inputs in;
    means m = {0};

    for (size_t i = 0; i < count; i++) {
        /* Seeds with replacement; one seed stays itself. */
        add_mean(&m, draw_shares(&twins[il_rng_below(r, (uint32_t)count)], rule, r));
    }
    in = mean_of(&m);
    return il_outcome_bounds_of(rule, count > 0 ? &in : NULL);
}

/* The share of seeds of a class that k of n seeds are of. */
static double draw_share(size_t k, size_t n, il_rng *r)
{
    double yes = draw_half(r);
    double no = draw_half(r);

    for (size_t i = 0; i < n; i++) {
        double e = draw_exponential(r);

        yes += i < k ? e : 0;
        no += i < k ? 0 : e;
    }
    return yes / (yes + no);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

static void draw_once(const il_outcome_run *runs, size_t count,
                      const il_outcome_run *twins, size_t twin_count,
                      const il_outcome_rule *rule, uint64_t key, int draw,
                      double *shares, il_outcome_odds *out)
{
    size_t classes[IL_OUTCOMES] = {0};
    il_outcome_bounds bounds;
    il_rng r;

    il_rng_open(&r, key, 0, IL_RNG_BOOTSTRAP, (uint64_t)draw, UINT64_MAX);
    bounds = draw_bounds(twins, twin_count, rule, &r);
    for (size_t i = 0; i < count; i++) {
        il_outcome_inputs in = draw_shares(&runs[i], rule, &r);

        classes[il_outcome_of(&in, &bounds)]++;
    }
    for (int o = 0; o < IL_OUTCOMES; o++) {
        out->probability[o] += (double)classes[o] / (double)count;
        shares[o] = draw_share(classes[o], count, &r);
    }
}

il_status il_outcome_resample(const il_outcome_run *runs, size_t count,
                              const il_outcome_run *twins, size_t twin_count,
                              const il_outcome_rule *rule, int draws, uint64_t key,
                              il_outcome_odds *out, il_error *err)
{
    double *shares;
    double *sorted;

    for (size_t i = 0; i < count; i++) {
        if (runs[i].count < 1) {
            return il_error_set(err, IL_ERR_INPUT, "outcome",
                                "seed %lld has no answer to resample",
                                (long long)runs[i].seed);
        }
    }
    if (count < 1 || draws < 1) {
        return il_error_set(err, IL_ERR_INPUT, "outcome", "no answer to resample");
    }
    shares = calloc((size_t)draws * (IL_OUTCOMES + 1), sizeof *shares);
    if (shares == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "outcome", "out of memory");
    }
    sorted = shares + (size_t)draws * IL_OUTCOMES;
    memset(out, 0, sizeof *out);
    for (int d = 0; d < draws; d++) {
        draw_once(runs, count, twins, twin_count, rule, key, d,
                  shares + (size_t)d * IL_OUTCOMES, out);
    }
    for (int o = 0; o < IL_OUTCOMES; o++) {
        for (int d = 0; d < draws; d++) {
            sorted[d] = shares[(size_t)d * IL_OUTCOMES + (size_t)o];
        }
        qsort(sorted, (size_t)draws, sizeof *sorted, by_value);
        out->probability[o] /= draws;
        out->low[o] = sorted[(size_t)(0.025 * (draws - 1))];
        out->high[o] = sorted[(size_t)ceil(0.975 * (draws - 1))];
    }
    free(shares);
    return IL_OK;
}
