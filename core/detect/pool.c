#include "detect/pool.h"

#include <math.h>
#include <string.h>

/* What a forward keeps for its backwards. */
typedef struct pooling {
    il_pool_spec how;
    const il_scored *rows; /* the pass's own */
    float *share;          /* (n) of each position in its sequence's score */
    char *taken;           /* (n) */
} pooling;

/* The share of position `at` and those before it in an average that forgets. */
static void share_decay(float *share, int64_t at, double decay)
{
    double left = 1;

    for (int64_t t = at; t > 0; t--) {
        share[t] = (float)(left * (1 - decay));
        left *= decay;
    }
    share[0] = (float)left;
}

static void pick_largest(float *share, const float *x, int64_t n, int64_t k,
                         char *taken)
{
    k = k < n ? k : n;
    for (int64_t i = 0; i < k; i++) {
        int64_t best = -1;

        for (int64_t t = 0; t < n; t++) {
            best = !taken[t] && (best < 0 || x[t] > x[best]) ? t : best;
        }
        taken[best] = 1;
        share[best] = (float)(1.0 / (double)k);
    }
}

static void pick_average(float *share, const float *x, int64_t n, double decay)
{
    double e = x[0];
    double most = e;
    int64_t at = 0;

    for (int64_t t = 1; t < n; t++) {
        e = decay * e + (1 - decay) * x[t];
        at = e > most ? t : at;
        most = e > most ? e : most;
    }
    share_decay(share, at, decay);
}

static void pick_window(float *share, const float *x, int64_t n, int64_t window)
{
    int64_t w = window < n ? window : n;
    int64_t best = 0;
    double most = -INFINITY;

    for (int64_t first = 0; first + w <= n; first++) {
        double sum = 0; /* from the start: a running one would round differently */

        for (int64_t t = first; t < first + w; t++) {
            sum += x[t];
        }
        best = sum > most ? first : best;
        most = sum > most ? sum : most;
    }
    for (int64_t t = best; t < best + w; t++) {
        share[t] = (float)(1.0 / (double)w);
    }
}

static void attend(float *share, const float *keys, int64_t n)
{
    float most = keys[0];
    double sum = 0;

    for (int64_t t = 1; t < n; t++) {
        most = keys[t] > most ? keys[t] : most;
    }
    for (int64_t t = 0; t < n; t++) {
        sum += exp((double)keys[t] - most);
    }
    for (int64_t t = 0; t < n; t++) {
        share[t] = (float)(exp((double)keys[t] - most) / sum);
    }
}

static void fill_shares(const pooling *p, float *share, const float *x,
                        const float *keys, int64_t n, char *taken)
{
    memset(share, 0, (size_t)n * sizeof *share);
    switch (p->how.kind) {
    case IL_POOL_LAST:
        share[n - 1] = 1.0f;
        break;
    case IL_POOL_MAX:
        pick_largest(share, x, n, 1, taken);
        break;
    case IL_POOL_TOP_K_MEAN:
        pick_largest(share, x, n, p->how.k, taken);
        break;
    case IL_POOL_EMA_MAX:
        pick_average(share, x, n, p->how.decay);
        break;
    case IL_POOL_ROLLING_MEAN_MAX:
        pick_window(share, x, n, p->how.window);
        break;
    case IL_POOL_ATTENTION:
        attend(share, keys, n);
        break;
    default: /* mean */
        for (int64_t t = 0; t < n; t++) {
            share[t] = (float)(1.0 / (double)n);
        }
    }
}

/* in: logits (n) and, for attention, keys (n) -> out (N). */
static void pool_forward(void *state, const il_tensor *const *in, il_tensor *out)
{
    pooling *p = state;
    const float *keys = p->how.kind == IL_POOL_ATTENTION ? il_f32(in[1]) : NULL;

    memset(p->taken, 0, (size_t)il_count(in[0]) + 1);
    for (int64_t u = 0; u < p->rows->count; u++) {
        int64_t first = il_scored_first(p->rows, u);
        int64_t n = il_scored_first(p->rows, u + 1) - first;
        const float *x = il_f32(in[0]) + first;
        double sum = 0;

        fill_shares(p, p->share + first, x, keys != NULL ? keys + first : NULL, n,
                    p->taken + first);
        for (int64_t t = 0; t < n; t++) {
            float share = p->share[first + t];

            /* What has no share adds nothing, but what is no number is not lost. */
            sum += share != 0.0f || x[t] != x[t] ? (double)share * x[t] : 0.0;
        }
        il_f32(out)[u] = (float)sum;
    }
}

/* d x_t = share_t g;  attention's keys: d k_t = share_t (x_t - y) g. */
static void pool_backward(const void *state, const il_tensor *const *in,
                          const il_tensor *out, const float *dout, float *const *din)
{
    const pooling *p = state;

    for (int64_t u = 0; u < p->rows->count; u++) {
        int64_t end = il_scored_first(p->rows, u + 1);

        for (int64_t i = il_scored_first(p->rows, u); i < end; i++) {
            float flow = p->share[i] * dout[u];

            if (din[0] != NULL) {
                din[0][i] += flow;
            }
            if (p->how.kind == IL_POOL_ATTENTION && din[1] != NULL) {
                din[1][i] += flow * (il_f32(in[0])[i] - il_f32(out)[u]);
            }
        }
    }
}

static const il_custom pool_op = {sizeof(il_custom), "pool", pool_forward,
                                  pool_backward};

il_tensor *il_pool_logits(il_pass *pass, const il_pool_spec *how, const il_scored *rows,
                          il_tensor *logits, il_tensor *keys)
{
    size_t n = (size_t)il_scored_first(rows, rows->count);
    pooling *p = il_pass_alloc(pass, sizeof *p);
    il_scored *own = il_pass_alloc(pass, sizeof *own);
    il_tensor *in[] = {logits, keys};

    if (p == NULL || own == NULL) {
        return logits;
    }
    *own = *rows;
    *p = (pooling){.how = *how,
                   .rows = own,
                   .share = il_pass_alloc(pass, (n + 1) * sizeof *p->share),
                   .taken = il_pass_alloc(pass, n + 1)};
    if (p->share == NULL || p->taken == NULL) {
        return logits;
    }
    return il_custom_op(pass, &pool_op, p, how->kind == IL_POOL_ATTENTION ? 2 : 1, in,
                        IL_SHAPE(rows->count));
}
