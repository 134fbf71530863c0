/* A trial: components in a pass, with gradients, on the engine itself. Each part is
 * a component as a host of tests/plugins/host.h declared it, with a store and, in
 * the pass, its own run of bits. */
#ifndef TESTS_PLUGINS_TRIAL_H
#define TESTS_PLUGINS_TRIAL_H

#include "plugins/host.h"
#include "tensor/pass.h"
#include <math.h>

typedef struct part {
    host *host;
    il_store *store;
    float **values; /* by parameter number, into the store */
    float **grads;  /* as large */
    il_scope scope;
} part;

typedef struct trial {
    il_pass *pass;
    size_t bits;
    il_word route[8];
    float *grads[512]; /* by bit */
} trial;

/* A pass with room for the parts that follow. */
static void trial_open(trial *t)
{
    const il_blas *blas = NULL;
    il_error err = {.code = IL_OK};

    memset(t, 0, sizeof *t);
    ck_assert_msg(il_blas_open(&blas, true, &err) == IL_OK, "%s", err.message);
    ck_assert_msg(il_pass_create(&t->pass, blas, 512, &err) == IL_OK, "%s",
                  err.message);
}

/* What a host declared, with initial values drawn. `trained` parts have bits in the
 * pass and a gradient. */
static void part_open(part *p, trial *t, host *h, const char *label, bool trained)
{
    il_error err = {.code = IL_OK};
    size_t n = (size_t)h->param_count;

    memset(p, 0, sizeof *p);
    p->host = h;
    ck_assert_int_eq(il_store_create(&p->store, &err), IL_OK);
    for (size_t i = 0; i < n; i++) {
        const host_param *d = &h->params[i];

        ck_assert_msg(il_store_add(p->store, d->name, d->group, d->ndim, d->shape,
                                   d->init, &err) == IL_OK,
                      "%s", err.message);
    }
    ck_assert_int_eq(il_store_fill(p->store, 7, &err), IL_OK);
    p->values = calloc(n + 1, sizeof *p->values);
    p->grads = calloc(n + 1, sizeof *p->grads);
    p->scope = (il_scope){label, p->store, (const float *const *)p->values, -1};
    if (trained) {
        ck_assert_uint_le(t->bits + n, 512);
        p->scope.first_bit = (int64_t)t->bits;
    }
    for (size_t i = 0; i < n; i++) {
        p->values[i] = p->store->values + p->store->items[i].offset;
        p->grads[i] = calloc((size_t)p->store->items[i].count, sizeof(float));
        if (trained) {
            t->grads[t->bits] = p->grads[i];
            il_bits_set(t->route, t->bits++);
        }
    }
}

static void part_close(part *p)
{
    for (int32_t i = 0; i < p->host->param_count; i++) {
        free(p->grads[i]);
    }
    free(p->values);
    free(p->grads);
    il_store_destroy(p->store);
}

static void trial_check(trial *t)
{
    il_error err = {.code = IL_OK};

    ck_assert_msg(il_pass_status(t->pass, &err) == IL_OK, "%s: %s", err.where,
                  err.message);
}

/* Gradients of sum <seeds[i], roots[i]> in every trained part, from zero. */
IL_UNUSED static void trial_backward(trial *t, part *const *parts, size_t part_count,
                                     size_t count, il_tensor *const *roots,
                                     const float *const *seeds)
{
    il_error err = {.code = IL_OK};

    for (size_t i = 0; i < part_count; i++) {
        for (size_t k = 0; k < parts[i]->store->count; k++) {
            memset(parts[i]->grads[k], 0,
                   (size_t)parts[i]->store->items[k].count * sizeof(float));
        }
    }
    trial_check(t);
    ck_assert_msg(il_pass_backward(t->pass, count, roots, seeds, t->route, t->grads,
                                   &err) == IL_OK,
                  "%s: %s", err.where, err.message);
}

/* Numbers in [-1,1) that depend on `salt` alone. */
IL_UNUSED static void noise(float *out, size_t count, uint64_t salt, float scale)
{
    il_rng r;

    il_rng_open(&r, 99, 0, IL_RNG_PLUGIN, salt, 0);
    for (size_t i = 0; i < count; i++) {
        out[i] = scale * (2.0f * il_rng_uniform(&r) - 1.0f);
    }
}

/* Central differences of `loss` in every element of a part, against its gradients as
 * they are: the largest difference over a tensor in units of the tensor's largest
 * gradient. */
IL_UNUSED static double differences(part *p, double (*loss)(void *), void *context,
                                    float step)
{
    double worst = 0.0;

    for (size_t k = 0; k < p->store->count; k++) {
        double apart = 0.0;
        double largest = 0.0;

        for (int64_t i = 0; i < p->store->items[k].count; i++) {
            float *x = &p->values[k][i];
            const float held = *x;
            double up;
            double down;
            double slope;

            *x = held + step;
            up = loss(context);
            *x = held - step;
            down = loss(context);
            *x = held;
            slope = (up - down) / (2.0 * (double)step);
            apart = fmax(apart, fabs(slope - (double)p->grads[k][i]));
            largest = fmax(largest, fabs((double)p->grads[k][i]));
        }
        ck_assert_msg(largest > 1e-3, "no gradient in %s", p->store->items[k].name);
        worst = fmax(worst, apart / largest);
    }
    return worst;
}

#endif
