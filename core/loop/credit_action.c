/* Whether advantages depend on the action: see credit.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "interloop/rng.h"
#include "loop/credit.h"

enum { DEALS = 199 };
/* Beyond this chance of as much among values dealt anew, nothing was found. Whether
 * that says anything is another matter: it does where a share of a twentieth would have
 * been found. */
static const double CHANCE = 0.05;
static const double SHARE = 0.05;

const char *il_credit_verdict_name(il_credit_verdict v)
{
    static const char *const names[] = {"depends", "none_found", "drops_out",
                                        "undetermined"};

    return names[v];
}

static int64_t position_end(const il_credit_rows *r, int64_t from)
{
    int64_t end = from;

    while (end < r->count && r->positions[end] == r->positions[from]) {
        end++;
    }
    return end;
}

/* Of one position: squares between its actions about its mean, and how many actions. */
static double between(const il_credit_rows *r, const double *values, int64_t from,
                      int64_t end, int64_t *actions)
{
    double all = 0;
    double sum = 0;

    *actions = 0;
    for (int64_t i = from; i < end;) {
        double own = 0;
        int64_t first = i;

        for (; i < end && r->actions[i] == r->actions[first]; i++) {
            own += values[i];
        }
        sum += own * own / (double)(i - first);
        all += own;
        ++*actions;
    }
    return sum - all * all / (double)(end - from);
}

/* What is summed over positions where there was a choice. */
typedef struct spread {
    double between;
    double whole;
    int64_t actions; /* degrees of freedom between actions ... */
    int64_t within;  /* ... and within them */
    int64_t compared;
} spread;

static void center(const il_credit_rows *r, double *values)
{
    for (int64_t from = 0; from < r->count;) {
        int64_t end = position_end(r, from);
        double mean = 0;

        for (int64_t i = from; i < end; i++) {
            mean += values[i] / (double)(end - from);
        }
        for (; from < end; from++) {
            values[from] -= mean;
        }
    }
}

static spread spread_of(const il_credit_rows *r, const double *values)
{
    spread s = {0};

    for (int64_t from = 0; from < r->count;) {
        int64_t end = position_end(r, from);
        int64_t actions;
        double squares = between(r, values, from, end, &actions);

        if (actions > 1) {
            s.between += squares;
            s.actions += actions - 1;
            s.within += end - from - actions;
            s.compared += end - from;
            for (int64_t i = from; i < end; i++) {
                s.whole += values[i] * values[i];
            }
        }
        from = end;
    }
    return s;
}

/* Deals the values of each position anew. */
static void deal(const il_credit_rows *r, double *values, il_rng *rng)
{
    for (int64_t from = 0; from < r->count;) {
        int64_t end = position_end(r, from);

        for (int64_t i = end - 1; i > from; i--) {
            int64_t other = from + il_rng_below(rng, (uint32_t)(i - from + 1));
            double kept = values[i];

            values[i] = values[other];
            values[other] = kept;
        }
        from = end;
    }
}

static int by_value(const void *a, const void *b)
{
    const double *x = a;
    const double *y = b;

    return (*x > *y) - (*x < *y);
}

bool il_credit_depends(const il_credit_rows *rows, uint64_t seed, uint64_t key,
                       il_credit_action *out)
{
    double *values = malloc(((size_t)rows->count + 1) * sizeof *values);
    double squares = 0;
    double residual = 0;
    int64_t as_much = 1;
    spread s;
    il_rng rng;

    if (values == NULL) {
        return false;
    }
    *out = (il_credit_action){
        .verdict = IL_CREDIT_UNDETERMINED, .rows = rows->count, .share = NAN, .p = NAN};
    memcpy(values, rows->values, (size_t)rows->count * sizeof *values);
    for (int64_t i = 0; i < rows->count; i++) {
        squares += values[i] * values[i];
    }
    center(rows, values);
    for (int64_t i = 0; i < rows->count; i++) {
        residual += values[i] * values[i];
    }
    s = spread_of(rows, values);
    out->compared = s.compared;
    out->variance = rows->count > 0 ? residual / (double)rows->count : 0.0;
    if (s.compared > 0 && residual <= 1e-12 * squares) {
        out->verdict = IL_CREDIT_DROPS_OUT;
    } else if (s.actions > 0 && s.within > 0) {
        double noise = (s.whole - s.between) / (double)s.within;
        double dealt[DEALS];

        out->share = fmax(0.0, (s.between - (double)s.actions * noise) / s.whole);
        for (int k = 0; k < DEALS; k++) {
            il_rng_open(&rng, seed, 0, IL_RNG_SCRAMBLE, key, (uint64_t)k);
            deal(rows, values, &rng);
            dealt[k] = spread_of(rows, values).between;
            as_much += dealt[k] >= s.between * (1 - 1e-12);
        }
        qsort(dealt, DEALS, sizeof *dealt, by_value);
        noise = s.whole / (double)(s.actions + s.within); /* where nothing depends */
        out->least =
            (dealt[DEALS - DEALS / 20 - 1] - (double)s.actions * noise) / s.whole;
        out->p = (double)as_much / (DEALS + 1);
        out->verdict = out->p <= CHANCE      ? IL_CREDIT_DEPENDS
                       : out->least <= SHARE ? IL_CREDIT_NONE_FOUND
                                             : IL_CREDIT_UNDETERMINED;
    }
    free(values);
    return true;
}
