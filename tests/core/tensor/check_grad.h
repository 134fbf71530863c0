/* What the tests of ops share: an op as a case of a table, held against a twin in
 * double and against differences.
 *
 * The twin is a naive loop in double. The differences are of fourth order in a step of
 * 0.02, of the f32 forward's outputs summed in double; a gradient passes when |g - d|
 * <= 1e-3 (|g| + |d|) in the norm over the whole input. Each gradient is taken five
 * ways: onto a parameter that holds something already, onto an intermediate tensor that
 * nothing has reached yet, onto one that a second op has reached, and onto each input
 * alone by its route, the others' blocks being absent. */
#ifndef IL_TESTS_CHECK_GRAD_H
#define IL_TESTS_CHECK_GRAD_H

#include "interloop/rng.h"
#include "tensor/pass.h"
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GRAD_INPUTS = 6 };

typedef struct grad_shape {
    int32_t ndim;
    int64_t shape[IL_DIMS_MAX];
} grad_shape;

typedef struct grad_case {
    const char *name;
    il_tensor *(*build)(il_pass *p, il_tensor *const *x, const struct grad_case *c);
    void (*twin)(double *y, const float *const *x, const struct grad_case *c);
    int inputs;
    grad_shape in[GRAD_INPUTS];
    int arg;             /* the op's own: an activation, heads, a start */
    float away;          /* values keep this far from 0, for ops with a kink there */
    int fixed;           /* this many last inputs are constants in [0,1] */
    const int32_t *ints; /* ids or targets */
    grad_shape ints_are;
} grad_case;

static inline int64_t grad_count(const grad_shape *s)
{
    int64_t n = 1;

    for (int32_t i = 0; i < s->ndim; i++) {
        n *= s->shape[i];
    }
    return n;
}

/* The case's integers as a batch would give them. */
static inline il_tensor grad_ints(const grad_case *c)
{
    il_tensor t = {0};

    t.data = (void *)(uintptr_t)c->ints;
    t.device_type = IL_DEVICE_CPU;
    t.dtype = (il_dtype){IL_CODE_INT, 32, 1};
    t.ndim = c->ints_are.ndim;
    memcpy(t.shape, c->ints_are.shape, sizeof t.shape);
    return t;
}

static inline const il_blas *grad_blas(void)
{
    const il_blas *blas = NULL;
    il_error err = {0};

    ck_assert_msg(il_blas_open(&blas, false, &err) == IL_OK, "%s: %s", err.where,
                  err.message);
    return blas;
}

static inline void grad_draw(float *x, int64_t n, uint64_t stream, float away,
                             bool unit)
{
    il_rng rng;

    il_rng_open(&rng, 7, 0, IL_RNG_PLUGIN, stream, 0);
    for (int64_t i = 0; i < n; i++) {
        float v = il_rng_normal(&rng);

        x[i] = unit ? il_rng_uniform(&rng) : 0.8f * v + (v < 0 ? -away : away);
    }
}

/* Everything of one run of a case. */
typedef struct grad_run {
    const grad_case *c;
    il_pass *pass;
    il_store *store;
    const float *values[GRAD_INPUTS];
} grad_run;

/* How the op's inputs reach it. */
typedef enum grad_way { GRAD_DIRECT, GRAD_THROUGH, GRAD_TWICE } grad_way;

/* Runs the op in a fresh micro-batch; `bits` says whether the inputs are parameters. */
static inline il_tensor *grad_forward(grad_run *r, bool bits, grad_way way,
                                      il_tensor **second)
{
    il_scope scope = {"case", r->store, r->values, bits ? 0 : -1};
    il_tensor *x[GRAD_INPUTS];
    il_tensor *y;
    il_error err = {0};

    il_pass_begin(r->pass);
    il_pass_enter(r->pass, &scope);
    for (int i = 0; i < r->c->inputs; i++) {
        x[i] = il_use(r->pass, (il_param){i});
        if (i >= r->c->inputs - r->c->fixed) {
            x[i] = il_constant(r->pass, x[i]->ndim, x[i]->shape, il_f32(x[i]));
        } else if (way != GRAD_DIRECT) {
            x[i] = il_affine(r->pass, x[i], 1.0f, 0.0f);
        }
    }
    y = r->c->build(r->pass, x, r->c);
    if (way == GRAD_TWICE) {
        *second = r->c->build(r->pass, x, r->c);
    }
    il_pass_leave(r->pass);
    ck_assert_msg(il_pass_status(r->pass, &err) == IL_OK, "%s: %s: %s", r->c->name,
                  err.where, err.message);
    return y;
}

static inline double grad_dot(const il_tensor *y, const float *seed)
{
    double sum = 0.0;

    for (int64_t i = 0; i < il_count(y); i++) {
        sum += (double)il_f32(y)[i] * seed[i];
    }
    return sum;
}

/* The derivative of <seed, y> in one element, by differences. */
static inline double grad_difference(grad_run *r, float *at, const float *seed)
{
    const double h = 0.02;
    const float was = *at;
    double f[4];
    const int step[4] = {-2, -1, 1, 2};

    for (int i = 0; i < 4; i++) {
        *at = was + (float)(step[i] * h);
        f[i] = grad_dot(grad_forward(r, false, GRAD_DIRECT, NULL), seed);
    }
    *at = was;
    return (8.0 * (f[2] - f[1]) - (f[3] - f[0])) / (12.0 * h);
}

/* One backward onto the inputs of `route`, whose blocks hold 0.5 before, held against
 * `want` times `factor`. */
static inline void grad_compare(grad_run *r, grad_way way, il_word route,
                                const float *seed, double *const *want, double factor)
{
    il_tensor *roots[2] = {NULL, NULL};
    const float *seeds[2] = {seed, seed};
    float *grads[GRAD_INPUTS] = {0};
    il_error err = {0};
    int live = r->c->inputs - r->c->fixed;

    roots[0] = grad_forward(r, true, way, &roots[1]);
    for (int i = 0; i < live; i++) {
        int64_t n = grad_count(&r->c->in[i]);

        if (route >> i & 1) {
            grads[i] = malloc((size_t)(n + 1) * sizeof(float));
            for (int64_t j = 0; j < n; j++) {
                grads[i][j] = 0.5f;
            }
        }
    }
    ck_assert_int_eq(il_pass_backward(r->pass, way == GRAD_TWICE ? 2 : 1, roots, seeds,
                                      &route, grads, &err),
                     IL_OK);
    for (int i = 0; i < live; i++) {
        double off = 0.0;
        double norm = 1e-12;

        for (int64_t j = 0; grads[i] != NULL && j < grad_count(&r->c->in[i]); j++) {
            double g = (double)grads[i][j] - 0.5;
            double d = factor * want[i][j];

            off += (g - d) * (g - d);
            norm += g * g + d * d;
        }
        ck_assert_msg(sqrt(off) <= 1e-3 * sqrt(norm) + 1e-5,
                      "%s: input %d, way %d: off by %g of %g", r->c->name, i, (int)way,
                      sqrt(off), sqrt(norm));
        free(grads[i]);
    }
}

static inline void grad_check_twin(grad_run *r)
{
    il_tensor *y = grad_forward(r, true, GRAD_DIRECT, NULL);
    int64_t n = il_count(y);
    double *want = calloc((size_t)n + 1, sizeof *want);
    double most = 0.0;

    r->c->twin(want, r->values, r->c);
    for (int64_t i = 0; i < n; i++) {
        most = fmax(most, fabs(want[i]));
    }
    for (int64_t i = 0; i < n; i++) {
        ck_assert_msg(fabs(il_f32(y)[i] - want[i]) <= 1e-5 * (1.0 + most),
                      "%s: element %d is %.9g, the twin says %.9g", r->c->name, (int)i,
                      (double)il_f32(y)[i], want[i]);
    }
    free(want);
}

/* Holds one case against its twin and against differences. */
static inline void grad_check(const grad_case *c)
{
    grad_run r = {.c = c};
    il_error err = {0};
    double *want[GRAD_INPUTS] = {0};
    float *seed;
    int live = c->inputs - c->fixed;
    int64_t outputs;

    ck_assert_int_eq(il_store_create(&r.store, &err), IL_OK);
    for (int i = 0; i < c->inputs; i++) {
        char name[2] = {(char)('a' + i), '\0'};

        ck_assert_int_eq(il_store_add(r.store, name, "model", c->in[i].ndim,
                                      c->in[i].shape, IL_INIT_ZERO, &err),
                         IL_OK);
    }
    ck_assert_int_eq(il_store_fill(r.store, 1, &err), IL_OK);
    for (int i = 0; i < c->inputs; i++) {
        r.values[i] = r.store->values + r.store->items[i].offset;
        grad_draw(r.store->values + r.store->items[i].offset, r.store->items[i].count,
                  (uint64_t)i, c->away, i >= live);
    }
    ck_assert_int_eq(il_pass_create(&r.pass, grad_blas(), (size_t)c->inputs, &err),
                     IL_OK);
    grad_check_twin(&r);
    outputs = il_count(grad_forward(&r, false, GRAD_DIRECT, NULL));
    seed = malloc((size_t)(outputs + 1) * sizeof *seed);
    grad_draw(seed, outputs, 99, 0.0f, false);
    for (int i = 0; i < live; i++) {
        float *x = r.store->values + r.store->items[i].offset;

        want[i] = malloc((size_t)r.store->items[i].count * sizeof(double));
        for (int64_t j = 0; j < r.store->items[i].count; j++) {
            want[i][j] = grad_difference(&r, x + j, seed);
        }
    }
    grad_compare(&r, GRAD_DIRECT, ((il_word)1 << live) - 1, seed, want, 1.0);
    grad_compare(&r, GRAD_THROUGH, ((il_word)1 << live) - 1, seed, want, 1.0);
    grad_compare(&r, GRAD_TWICE, ((il_word)1 << live) - 1, seed, want, 2.0);
    for (int i = 0; i < live; i++) {
        grad_compare(&r, GRAD_DIRECT, (il_word)1 << i, seed, want, 1.0);
        grad_compare(&r, GRAD_THROUGH, (il_word)1 << i, seed, want, 1.0);
    }
    for (int i = 0; i < live; i++) {
        free(want[i]);
    }
    free(seed);
    il_pass_destroy(r.pass);
    il_store_destroy(r.store);
}

#endif
