#include "detect/calibration.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "detect/reliability.h"
#include "tensor/pass.h"

enum { ECE_BINS = 10, STEPS_MAX = 200 };

static const char *const names[] = {"none", "platt", "temperature", "isotonic"};

il_calibration_kind il_calibration_kind_of(const char *method)
{
    for (int i = 1; method != NULL && i < 4; i++) {
        if (strcmp(method, names[i]) == 0) {
            return (il_calibration_kind)i;
        }
    }
    return IL_CALIBRATION_NONE;
}

const char *il_calibration_name(il_calibration_kind kind)
{
    return names[kind];
}

/* ---- platt and temperature ------------------------------------------------------ */

typedef struct sigmoid_fit {
    int64_t n;
    const float *z;
    const uint8_t *labels;
    double target[2];
    bool shifts;
} sigmoid_fit;

/* sum of -t log p - (1 - t) log(1 - p), which never overflows. */
static double loss_at(const sigmoid_fit *f, double slope, double shift)
{
    double sum = 0;

    for (int64_t i = 0; i < f->n; i++) {
        double t = f->target[f->labels[i] != 0];
        double a = slope * f->z[i] + shift;

        sum += a < 0 ? log1p(exp(a)) - t * a : log1p(exp(-a)) + (1 - t) * a;
    }
    return sum;
}

/* One Newton step from (slope, shift), halved until the loss falls; false where none
 * does. */
static bool newton(const sigmoid_fit *f, double *slope, double *shift, double *loss)
{
    double g[2] = {0, 0};
    double h[3] = {1e-12, 0, 1e-12}; /* slope, both, shift */
    double det;
    double step[2];

    for (int64_t i = 0; i < f->n; i++) {
        double z = f->z[i];
        double p = 1 / (1 + exp(-(*slope * z + *shift)));
        double d = p - f->target[f->labels[i] != 0];

        g[0] += d * z;
        g[1] += d;
        h[0] += p * (1 - p) * z * z;
        h[1] += p * (1 - p) * z;
        h[2] += p * (1 - p);
    }
    if (!f->shifts) {
        g[1] = 0;
        h[1] = 0;
        h[2] = 1;
    }
    det = h[0] * h[2] - h[1] * h[1];
    step[0] = -(h[2] * g[0] - h[1] * g[1]) / det;
    step[1] = -(h[0] * g[1] - h[1] * g[0]) / det;
    if (fabs(g[0]) < 1e-11 * (double)f->n && fabs(g[1]) < 1e-11 * (double)f->n) {
        return false;
    }
    for (double size = 1; size > 1e-10; size /= 2) {
        double next = loss_at(f, *slope + size * step[0], *shift + size * step[1]);

        if (next < *loss) {
            *slope += size * step[0];
            *shift += size * step[1];
            *loss = next;
            return true;
        }
    }
    return false;
}

static il_status fit_sigmoid(il_calibration *c, int64_t n, const float *z,
                             const uint8_t *labels, int64_t positives, il_error *err)
{
    sigmoid_fit f = {.n = n,
                     .z = z,
                     .labels = labels,
                     .target = {1.0 / (double)(n - positives + 2),
                                (double)(positives + 1) / (double)(positives + 2)},
                     .shifts = c->kind == IL_CALIBRATION_PLATT};
    double slope = 0;
    double shift =
        f.shifts ? log((double)(positives + 1) / (double)(n - positives + 1)) : 0;
    double loss = loss_at(&f, slope, shift);

    for (int i = 0; i < STEPS_MAX && newton(&f, &slope, &shift, &loss); i++) {
    }
    if (!f.shifts && slope <= 0) {
        return il_error_set(
            err, IL_ERR_NUMERIC, "calibration",
            "no temperature fits scores that rank the classes the wrong "
            "way round: expected another detector, or method platt");
    }
    c->slope = slope;
    c->shift = shift;
    return IL_OK;
}

/* ---- isotonic ------------------------------------------------------------------- */

typedef struct scored {
    float z;
    uint8_t label;
} scored;

static int by_score(const void *a, const void *b)
{
    const scored *x = a;
    const scored *y = b;

    return x->z < y->z ? -1 : x->z > y->z;
}

/* A run of scores with one value. */
typedef struct block {
    float first, last;
    double weight;
    double mean;
} block;

/* Pools a new block with those before it that lie above it; returns how many there
 * are. */
static int64_t pool_violators(block *blocks, int64_t count)
{
    while (count > 1 && blocks[count - 2].mean >= blocks[count - 1].mean) {
        block *a = &blocks[count - 2];
        const block *b = &blocks[count - 1];

        a->mean = (a->mean * a->weight + b->mean * b->weight) / (a->weight + b->weight);
        a->weight += b->weight;
        a->last = b->last;
        count--;
    }
    return count;
}

static il_status fit_isotonic(il_calibration *c, int64_t n, const float *z,
                              const uint8_t *labels, il_arena *arena, il_error *err)
{
    scored *rows = calloc((size_t)n + 1, sizeof *rows);
    block *blocks = calloc((size_t)n + 1, sizeof *blocks);
    float *x = il_arena_alloc(arena, (2 * (size_t)n + 1) * sizeof *x);
    float *p = il_arena_alloc(arena, (2 * (size_t)n + 1) * sizeof *p);
    int64_t count = 0;
    bool whole = rows != NULL && blocks != NULL && x != NULL && p != NULL;

    for (int64_t i = 0; whole && i < n; i++) {
        rows[i] = (scored){z[i], labels[i] != 0};
    }
    if (whole) {
        qsort(rows, (size_t)n, sizeof *rows, by_score);
    }
    for (int64_t i = 0; whole && i < n;) {
        block b = {rows[i].z, rows[i].z, 0, 0};

        for (; i < n && rows[i].z == b.first; i++) {
            b.weight += 1;
            b.mean += rows[i].label;
        }
        b.mean /= b.weight;
        blocks[count++] = b;
        count = pool_violators(blocks, count);
    }
    c->count = 0;
    for (int64_t k = 0; whole && k < count; k++) {
        x[c->count] = blocks[k].first;
        p[c->count++] = (float)blocks[k].mean;
        if (blocks[k].last > blocks[k].first) {
            x[c->count] = blocks[k].last;
            p[c->count++] = (float)blocks[k].mean;
        }
    }
    c->logits = x;
    c->probabilities = p;
    free(rows);
    free(blocks);
    return whole ? IL_OK
                 : il_error_set(err, IL_ERR_MEMORY, "calibration", "out of memory");
}

static double between(const il_calibration *c, double z)
{
    int64_t low = 0;
    int64_t high = c->count - 1;
    double share;

    if (z <= c->logits[0]) {
        return c->probabilities[0];
    }
    if (z >= c->logits[high]) {
        return c->probabilities[high];
    }
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;

        if (c->logits[middle] <= z) {
            low = middle;
        } else {
            high = middle;
        }
    }
    share = (z - c->logits[low]) / ((double)c->logits[high] - c->logits[low]);
    return c->probabilities[low] +
           share * ((double)c->probabilities[high] - c->probabilities[low]);
}

/* ---- both ----------------------------------------------------------------------- */

double il_calibration_probability(const il_calibration *c, double logit)
{
    if (c == NULL || c->kind == IL_CALIBRATION_NONE || logit != logit) {
        return 1 / (1 + exp(-logit));
    }
    return c->kind == IL_CALIBRATION_ISOTONIC
               ? between(c, logit)
               : 1 / (1 + exp(-(c->slope * logit + c->shift)));
}

static il_status check_scores(int64_t n, const float *z, const uint8_t *labels,
                              int64_t *positives, il_error *err)
{
    bool moves = false;

    *positives = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(z[i])) {
            return il_error_set(err, IL_ERR_NUMERIC, "calibration",
                                "the score of row %lld is no number", (long long)i);
        }
        moves = moves || z[i] != z[0];
        *positives += labels[i] != 0;
    }
    if (n < IL_CALIBRATION_ROWS || *positives == 0 || *positives == n) {
        return il_error_set(err, IL_ERR_INPUT, "calibration",
                            "expected at least %d rows, of both classes, got %lld with "
                            "%lld positive",
                            IL_CALIBRATION_ROWS, (long long)n, (long long)*positives);
    }
    return moves ? IL_OK
                 : il_error_set(err, IL_ERR_NUMERIC, "calibration",
                                "all %lld scores are %g: nothing can be told from them",
                                (long long)n, (double)z[0]);
}

il_status il_calibration_fit(il_calibration *out, il_calibration_kind kind, int64_t n,
                             const float *logits, const uint8_t *labels,
                             il_arena *arena, il_error *err)
{
    il_calibration c = {.kind = kind, .slope = 1, .rows = n};
    il_scores scores = {.count = n, .logits = logits, .labels = labels};
    int64_t positives = 0;

    IL_TRY(check_scores(n, logits, labels, &positives, err));
    c.ece_before = il_scores_ece(&scores, ECE_BINS);
    if (kind == IL_CALIBRATION_ISOTONIC) {
        IL_TRY(fit_isotonic(&c, n, logits, labels, arena, err));
    } else if (kind != IL_CALIBRATION_NONE) {
        IL_TRY(fit_sigmoid(&c, n, logits, labels, positives, err));
    }
    scores.calibration = &c;
    c.ece_after = il_scores_ece(&scores, ECE_BINS);
    *out = c;
    return IL_OK;
}

il_tensor *il_calibration_odds(const il_calibration *c, il_pass *pass,
                               il_tensor *logits)
{
    return c->kind == IL_CALIBRATION_PLATT || c->kind == IL_CALIBRATION_TEMPERATURE
               ? il_affine(pass, logits, (float)c->slope, (float)c->shift)
               : logits;
}

il_tensor *il_calibration_sigmoid(const il_calibration *c, il_pass *pass,
                                  il_tensor *logits)
{
    float *p;

    if (c->kind != IL_CALIBRATION_ISOTONIC) {
        return il_sigmoid(pass, il_calibration_odds(c, pass, logits));
    }
    p = logits != NULL && !il_pass_failed(pass)
            ? il_pass_alloc(pass, ((size_t)il_count(logits) + 1) * sizeof *p)
            : NULL;
    if (p == NULL) {
        return logits;
    }
    for (int64_t i = 0; i < il_count(logits); i++) {
        p[i] = (float)between(c, il_f32(logits)[i]);
    }
    return il_pass_leaf(pass, logits->ndim, logits->shape, p, il_tensor_v(logits));
}
