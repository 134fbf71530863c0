#include "distance.h"

#include <math.h>

/* What is remembered of each scored position and head, (B,T,H): the largest key, the
 * sum of exp(key - largest), and the pooled value. */
typedef struct pool {
    int64_t batch;
    int64_t length;
    int64_t heads;
    int64_t distances;
    int32_t context;
    const int32_t *lengths; /* (B) */
    const uint8_t *scored;  /* (B,T) */
    float *largest;
    float *total;
    float *pooled;
} pool;

/* The positions that t of document b may read, from *first up to the one before *end;
 * none where t is not scored. */
static void readable(const pool *p, int64_t b, int64_t t, int64_t *first, int64_t *end)
{
    int64_t n = p->lengths[b] < p->length ? p->lengths[b] : p->length;

    *first = p->context == IL_CONTEXT_SELF ? t : 0;
    *end = p->context == IL_CONTEXT_ALL ? n : t + 1;
    if (t >= n || p->scored[b * p->length + t] == 0) {
        *end = *first;
    }
}

static int64_t bucket(const pool *p, int64_t t, int64_t s)
{
    int64_t apart = t > s ? t - s : s - t;

    return apart < p->distances ? apart : p->distances - 1;
}

static void pool_forward(void *state, const il_tensor *const *in, il_tensor *out)
{
    pool *p = state;

    for (int64_t at = 0; at < p->batch * p->length; at++) {
        const int64_t b = at / p->length;
        const int64_t t = at % p->length;
        int64_t first;
        int64_t end;

        readable(p, b, t, &first, &end);
        il_f32(out)[at] = 0.0f;
        for (int64_t h = 0; first < end && h < p->heads; h++) {
            const float *bias = il_f32(in[2]) + h * p->distances;
            float largest = -INFINITY;
            float total = 0.0f;
            float pooled = 0.0f;

            for (int64_t s = first; s < end; s++) {
                const int64_t i = (b * p->length + s) * p->heads + h;
                const float key = il_f32(in[0])[i] + bias[bucket(p, t, s)];
                const float next = key > largest ? key : largest;
                const float term = expf(key - next);

                total = expf(largest - next) * total + term;
                /* A running mean stays within the values. */
                pooled += (il_f32(in[1])[i] - pooled) * (term / total);
                largest = next;
            }
            p->largest[at * p->heads + h] = largest;
            p->total[at * p->heads + h] = total;
            p->pooled[at * p->heads + h] = pooled;
            il_f32(out)[at] += pooled;
        }
    }
}

/* With w the softmax: d value_s += w_s g, d key_s and its bias += w_s g (value_s - y).
 */
static void pool_backward(const void *state, const il_tensor *const *in,
                          const il_tensor *out, const float *dout, float *const *din)
{
    const pool *p = state;

    (void)out;
    for (int64_t at = 0; at < p->batch * p->length; at++) {
        const int64_t b = at / p->length;
        const int64_t t = at % p->length;
        int64_t first;
        int64_t end;

        readable(p, b, t, &first, &end);
        for (int64_t h = 0; first < end && h < p->heads; h++) {
            const int64_t own = at * p->heads + h;
            const float *bias = il_f32(in[2]) + h * p->distances;

            for (int64_t s = first; s < end; s++) {
                const int64_t i = (b * p->length + s) * p->heads + h;
                const int64_t d = bucket(p, t, s);
                const float w =
                    expf(il_f32(in[0])[i] + bias[d] - p->largest[own]) / p->total[own];
                const float dkey = w * dout[at] * (il_f32(in[1])[i] - p->pooled[own]);

                if (din[0] != NULL) {
                    din[0][i] += dkey;
                }
                if (din[1] != NULL) {
                    din[1][i] += w * dout[at];
                }
                if (din[2] != NULL) {
                    din[2][h * p->distances + d] += dkey;
                }
            }
        }
    }
}

static const il_custom pool_op = {sizeof(il_custom), "attention_probe.distance",
                                  pool_forward, pool_backward};

il_tensor *distance_pool(il_pass *pass, const il_reading *r, il_tensor *keys,
                         il_tensor *values, il_tensor *bias)
{
    const int64_t positions = r->batch * r->length;
    pool *p = il_pass_alloc(pass, sizeof *p);
    int32_t *lengths = il_pass_alloc(pass, (size_t)(r->batch + 1) * sizeof *lengths);
    uint8_t *scored = il_pass_alloc(pass, (size_t)positions + 1);
    il_tensor *in[3] = {keys, values, bias};
    size_t bytes;

    if (p == NULL || lengths == NULL || scored == NULL || il_pass_failed(pass)) {
        return NULL;
    }
    /* Copies, since the backward may run after the reading is gone. */
    for (int64_t b = 0; b < r->batch; b++) {
        lengths[b] = r->lengths != NULL ? r->lengths[b] : (int32_t)r->length;
    }
    for (int64_t at = 0; at < positions; at++) {
        scored[at] = r->scored == NULL || r->scored[at] != 0;
    }
    *p = (pool){.batch = r->batch,
                .length = r->length,
                .heads = il_width(keys),
                .distances = il_width(bias),
                .context = r->context,
                .lengths = lengths,
                .scored = scored};
    bytes = (size_t)(positions * p->heads + 1) * sizeof(float);
    p->largest = il_pass_alloc(pass, bytes);
    p->total = il_pass_alloc(pass, bytes);
    p->pooled = il_pass_alloc(pass, bytes);
    if (p->largest == NULL || p->total == NULL || p->pooled == NULL) {
        return NULL;
    }
    return il_custom_op(pass, &pool_op, p, 3, in, IL_SHAPE(r->batch, r->length));
}
