/* Attention probe: each head weighs the positions it may read by a learned query and
 * sums a learned value over them,
 *
 *     logit_t = b + sum_h sum_s softmax_s(x_s . q_h) (x_s . v_h),   s readable from t.
 *
 * A query that does not depend on t makes a softmax over the past a running one:
 * position t adds one term to the sums of position t-1. So both directions take O(T)
 * a document and head, and keep running maxima, since an early position may lie far
 * below a later one. A bias on how far back s lies is a term of s alone while it is
 * linear, since what depends on t alone cancels; any other (distance.c) is not. */
#include <interloop/plugin.h>
#include <math.h>
#include "distance.h"

typedef struct probe {
    int64_t heads;  /* H */
    il_param query; /* (H,W) */
    il_param value; /* (H,W) */
    il_param bias;  /* (1) */
    int position;   /* a place in position_names */
    il_param where; /* slopes (H,1), or a bias a distance (H,D) */
} probe;

enum { POSITION_NONE, POSITION_LINEAR, POSITION_DISTANCE };
static const char *const position_names[] = {"none", "linear", "distance", NULL};

/* Slopes are in units of this many positions, so that they learn as fast as queries. */
#define SLOPE_POSITIONS 32.0f

static const il_param_spec params[] = {
    IL_PARAM_INT("heads", "2", 1, 64, "heads",
                 "how many queries, each with a value of its own"),
    IL_PARAM_CHOICE("position", "none", position_names,
                    "what attention knows of positions: nothing, a learned slope, or a "
                    "learned bias for each distance"),
    IL_PARAM_INT("distances", "32", 1, 4096, "positions",
                 "how many distances have a bias of their own; further ones share the "
                 "last")};

/* [setup] */
static il_status probe_create(const il_setup *s, void **self, il_error *err)
{
    probe *p = il_setup_new(s, sizeof *p);
    int64_t width = 0;

    if (p == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "attention_probe", "out of memory");
    }
    p->heads = il_setup_int(s, "heads");
    for (int32_t i = 0; i < il_setup_site_count(s); i++) {
        width += il_setup_site_width(s, i);
    }
    /* Small, so that attention starts even, and drawn, so that heads start apart. */
    IL_TRY(il_setup_param(s, &p->query, "query", IL_SHAPE(p->heads, width),
                          IL_INIT_NORMAL(0.02), err));
    IL_TRY(il_setup_param(s, &p->value, "value", IL_SHAPE(p->heads, width),
                          IL_INIT_NORMAL(0.02), err));
    IL_TRY(il_setup_param(s, &p->bias, "bias", IL_SHAPE(1), IL_INIT_ZERO, err));
    while (strcmp(il_setup_text(s, "position"), position_names[p->position]) != 0) {
        p->position++;
    }
    if (p->position == POSITION_LINEAR) {
        IL_TRY(il_setup_param(s, &p->where, "slope", IL_SHAPE(p->heads, 1),
                              IL_INIT_ZERO, err));
    } else if (p->position == POSITION_DISTANCE) {
        IL_TRY(il_setup_param(s, &p->where, "distance",
                              IL_SHAPE(p->heads, il_setup_int(s, "distances")),
                              IL_INIT_ZERO, err));
    }
    *self = p;
    return IL_OK;
}

/* What one pooling remembers. The arrays are (B,T,H) and hold, at t, the softmax up
 * to t: the largest key, the sum of exp(key - largest), and the pooled value. */
typedef struct pool {
    int64_t batch;
    int64_t length;
    int64_t heads;
    int32_t context;
    const int32_t *lengths; /* (B), or NULL for full rows */
    float *largest;
    float *total;
    float *pooled;
} pool;

static int64_t pool_length(const pool *p, int64_t b)
{
    int64_t n = p->lengths != NULL ? p->lengths[b] : p->length;

    return n < 0 ? 0 : n < p->length ? n : p->length;
}

/* in: keys (B,T,H), values (B,T,H) -> out (B,T): the pooled values summed over
 * heads; 0 at padding. */
static void pool_forward(void *state, const il_tensor *const *in, il_tensor *out)
{
    pool *p = state;
    int64_t heads = p->heads;

    for (int64_t i = 0; i < p->batch * p->length; i++) {
        il_f32(out)[i] = 0.0f;
    }
    for (int64_t b = 0; b < p->batch; b++) {
        const int64_t at = b * p->length;
        const int64_t n = pool_length(p, b);

        for (int64_t h = 0; h < heads; h++) {
            float largest = -INFINITY;
            float total = 0.0f;
            float pooled = 0.0f;

            for (int64_t t = 0; t < n; t++) {
                const int64_t i = (at + t) * heads + h;
                const float key = il_f32(in[0])[i];
                const float value = il_f32(in[1])[i];
                const float next = key > largest ? key : largest;
                const float keep = expf(largest - next) * total;
                const float term = expf(key - next);

                total = keep + term;
                /* A running mean rather than a running sum: it stays within the
                 * values. */
                pooled += (value - pooled) * (term / total);
                largest = next;
                p->largest[i] = largest;
                p->total[i] = total;
                p->pooled[i] = pooled;
                if (p->context == IL_CONTEXT_PAST) {
                    il_f32(out)[at + t] += pooled;
                } else if (p->context == IL_CONTEXT_SELF) {
                    il_f32(out)[at + t] += value;
                }
            }
            if (p->context == IL_CONTEXT_ALL) {
                for (int64_t t = 0; t < n; t++) {
                    il_f32(out)[at + t] += pooled;
                }
            }
        }
    }
}

/* With w_st the softmax of s in t and y_t the pooled value, g_t the gradient of the
 * logit:
 *
 *     d value_s = sum_t w_st g_t,    d key_s = sum_t w_st g_t (value_s - y_t).
 *
 * w_st = exp(key_s - m_t) / D_t, and m_t never falls with t, so from the last
 * position back R_s = g_s / D_s + exp(m_s - m_s+1) R_s+1 collects the first sum
 * relative to m_s without overflow, and Q, with g_t y_t for g_t, the second. Over
 * ALL positions every t sees the last softmax. */
static void pool_backward(const void *state, const il_tensor *const *in,
                          const il_tensor *out, const float *dout, float *const *din)
{
    const pool *p = state;
    const int64_t heads = p->heads;

    (void)out;
    for (int64_t b = 0; b < p->batch; b++) {
        const int64_t at = b * p->length;
        const int64_t n = pool_length(p, b);

        for (int64_t h = 0; h < heads; h++) {
            float largest = 0.0f;
            float r = 0.0f;
            float q = 0.0f;

            if (p->context == IL_CONTEXT_ALL && n > 0) {
                const int64_t last = (at + n - 1) * heads + h;
                float g = 0.0f;

                for (int64_t t = 0; t < n; t++) {
                    g += dout[at + t];
                }
                largest = p->largest[last];
                r = g / p->total[last];
                q = r * p->pooled[last];
            }
            for (int64_t t = n - 1; t >= 0; t--) {
                const int64_t i = (at + t) * heads + h;
                const float value = il_f32(in[1])[i];
                float weight;

                if (p->context == IL_CONTEXT_SELF) {
                    if (din[1] != NULL) {
                        din[1][i] += dout[at + t];
                    }
                    continue;
                }
                if (p->context == IL_CONTEXT_PAST) {
                    const float g = dout[at + t] / p->total[i];
                    const float fade =
                        t == n - 1 ? 0.0f : expf(p->largest[i] - largest);

                    r = g + fade * r;
                    q = g * p->pooled[i] + fade * q;
                    largest = p->largest[i];
                }
                weight = expf(il_f32(in[0])[i] - largest);
                if (din[0] != NULL) {
                    din[0][i] += weight * (value * r - q);
                }
                if (din[1] != NULL) {
                    din[1][i] += weight * r;
                }
            }
        }
    }
}

static const il_custom pool_op = {sizeof(il_custom), "attention_probe.pool",
                                  pool_forward, pool_backward};

/* The slopes' part of the keys, (B,T,H): what depends on the position that is scored
 * is the same for all that it reads. */
static il_tensor *slope_keys(const probe *p, il_pass *pass, const il_reading *r)
{
    il_tensor *at = il_constant(pass, IL_SHAPE(r->batch, r->length, 1), NULL);

    for (int64_t i = 0; !il_pass_failed(pass) && i < r->batch * r->length; i++) {
        il_f32(at)[i] = (float)(i % r->length) / SLOPE_POSITIONS;
    }
    return il_linear(pass, at, il_use(pass, p->where), NULL);
}

/* (B,T,width_i) of every site -> (B,T) logits. [work] */
static il_tensor *probe_score(const void *self, il_pass *pass, const il_reading *r)
{
    const probe *p = self;
    il_tensor *x = r->sites == 1 ? r->acts[0] : il_concat(pass, r->sites, r->acts);
    il_tensor *in[2];
    il_tensor *pooled;
    size_t bytes = (size_t)(r->batch * r->length * p->heads) * sizeof(float);
    pool *state = il_pass_alloc(pass, sizeof *state);
    int32_t *lengths = NULL;

    in[0] = il_linear(pass, x, il_use(pass, p->query), NULL);
    in[1] = il_linear(pass, x, il_use(pass, p->value), NULL);
    if (p->position == POSITION_LINEAR) {
        in[0] = il_add(pass, in[0], slope_keys(p, pass, r));
    }
    if (p->position == POSITION_DISTANCE) {
        pooled = distance_pool(pass, r, in[0], in[1], il_use(pass, p->where));
        return il_add(pass, pooled, il_use(pass, p->bias));
    }
    if (r->lengths != NULL) {
        lengths = il_pass_alloc(pass, (size_t)r->batch * sizeof *lengths);
    }
    if (state != NULL) {
        state->batch = r->batch;
        state->length = r->length;
        state->heads = p->heads;
        state->context = r->context;
        state->lengths = lengths;
        state->largest = il_pass_alloc(pass, bytes);
        state->total = il_pass_alloc(pass, bytes);
        state->pooled = il_pass_alloc(pass, bytes);
    }
    /* A copy, since the backward may run after the reading is gone. */
    for (int64_t b = 0; lengths != NULL && b < r->batch; b++) {
        lengths[b] = r->lengths[b];
    }
    pooled = il_custom_op(pass, &pool_op, state, 2, in, IL_SHAPE(r->batch, r->length));
    return il_add(pass, pooled, il_use(pass, p->bias));
}

static const il_recipe recipe = {.struct_size = sizeof(il_recipe),
                                 .method = "adamw",
                                 .steps = 150,
                                 .lr = 0.02f,
                                 .l2 = 0.0f,
                                 .weight_decay = 1e-3f,
                                 .standardize = 1};

static const il_detector_api api = {.struct_size = sizeof(il_detector_api),
                                    .reads = IL_READS_SEQUENCES,
                                    .recipe = &recipe,
                                    .create = probe_create,
                                    .score = probe_score};

IL_PLUGIN("interloop", "1.0.0", "MIT", "The Interloop authors",
          "probe that attends over the positions of a document",
          IL_DETECTOR("attention_probe", "learned queries and values over positions",
                      &api, IL_PARAMS(params)))
