/* What a query's attention looks like, head by head, in numbers from 0 to 1: shared by
 * the plugins that read attention patterns. Static, so that each of them still needs
 * nothing but libc and libm. */
#ifndef PLUGINS_DETECTORS_PATTERNS_H
#define PLUGINS_DETECTORS_PATTERNS_H

#include <interloop/plugin.h>
#include <math.h>

/* In the order of patterns_names. */
typedef enum patterns_score {
    PATTERNS_ENTROPY,   /* of the weights, over that of equal ones on all keys so far */
    PATTERNS_FIRST,     /* the weight of the first position */
    PATTERNS_SELF,      /* of the query's own */
    PATTERNS_PREVIOUS,  /* of the one before it */
    PATTERNS_DUPLICATE, /* of earlier positions with the query's token */
    PATTERNS_INDUCTION, /* of positions that come after such a one */
    PATTERNS_KEYS,      /* of those that the pipeline's mask `keys` names */
    PATTERNS_SCORES
} patterns_score;

IL_UNUSED static const char *const patterns_names[] = {
    "entropy", "first", "self", "previous", "duplicate", "induction", "keys", NULL};

/* What a measure of one site remembers. */
typedef struct patterns_state {
    int64_t rows; /* N */
    int64_t heads;
    int64_t keys;
    int64_t length;      /* T */
    unsigned scores;     /* a bit each */
    const int32_t *at;   /* (N) b*T+t */
    const int32_t *ids;  /* (B,T), or NULL */
    const uint8_t *mask; /* (B,T), or NULL */
} patterns_state;

static inline int64_t patterns_count(unsigned scores)
{
    int64_t n = 0;

    for (int k = 0; k < PATTERNS_SCORES; k++) {
        n += scores >> k & 1u;
    }
    return n;
}

/* Whether a score of the query at `at` counts key s; entropy counts all. */
static inline bool patterns_counts(const patterns_state *p, int k, int64_t at,
                                   int64_t s)
{
    const int64_t t = at % p->length;
    const int32_t *ids = p->ids != NULL ? p->ids + at / p->length * p->length : NULL;

    switch (k) {
    case PATTERNS_FIRST:
        return s == 0;
    case PATTERNS_SELF:
        return s == t;
    case PATTERNS_PREVIOUS:
        return s + 1 == t;
    case PATTERNS_DUPLICATE:
        return ids != NULL && s < t && ids[s] == ids[t];
    case PATTERNS_INDUCTION:
        return ids != NULL && s > 0 && s <= t && ids[s - 1] == ids[t];
    case PATTERNS_KEYS:
        return p->mask != NULL && p->mask[at / p->length * p->length + s] != 0;
    default:
        return true;
    }
}

/* Keys that a query may weigh: those up to it. */
static inline int64_t patterns_reach(const patterns_state *p, int64_t at)
{
    const int64_t reach = at % p->length + 1;

    return reach < p->keys ? reach : p->keys;
}

/* in (N,H*K) -> out (N,H*F), head by head. */
static inline void patterns_forward(void *state, const il_tensor *const *in,
                                    il_tensor *out)
{
    const patterns_state *p = state;
    float *to = il_f32(out);

    for (int64_t i = 0; i < p->rows; i++) {
        const int64_t reach = patterns_reach(p, p->at[i]);

        for (int64_t h = 0; h < p->heads; h++) {
            const float *w = il_f32(in[0]) + (i * p->heads + h) * p->keys;

            for (int k = 0; k < PATTERNS_SCORES; k++) {
                double sum = 0;

                if (!(p->scores >> k & 1u)) {
                    continue;
                }
                for (int64_t s = 0; s < reach; s++) {
                    if (k == PATTERNS_ENTROPY) {
                        /* Not `> 0` alone: what is no number has to come through. */
                        sum -= w[s] <= 0 ? 0 : (double)w[s] * log((double)w[s]);
                    } else if (patterns_counts(p, k, p->at[i], s)) {
                        sum += (double)w[s];
                    }
                }
                if (k == PATTERNS_ENTROPY) {
                    sum = reach > 1 ? sum / log((double)reach) : 0 * sum;
                }
                *to++ = (float)sum;
            }
        }
    }
}

/* The masses are sums; of the entropy, -(log w + 1) / log reach, and none where a
 * weight has vanished. */
static inline void patterns_backward(const void *state, const il_tensor *const *in,
                                     const il_tensor *out, const float *dout,
                                     float *const *din)
{
    const patterns_state *p = state;

    (void)out;
    for (int64_t i = 0; din[0] != NULL && i < p->rows; i++) {
        const int64_t reach = patterns_reach(p, p->at[i]);

        for (int64_t h = 0; h < p->heads; h++) {
            const int64_t from = (i * p->heads + h) * p->keys;
            const float *w = il_f32(in[0]) + from;

            for (int k = 0; k < PATTERNS_SCORES; k++) {
                float g;

                if (!(p->scores >> k & 1u)) {
                    continue;
                }
                g = *dout++;
                for (int64_t s = 0; s < reach; s++) {
                    if (k != PATTERNS_ENTROPY) {
                        din[0][from + s] +=
                            patterns_counts(p, k, p->at[i], s) ? g : 0.0f;
                    } else if (reach > 1 && w[s] > 0) {
                        din[0][from + s] -=
                            g * (logf(w[s]) + 1.0f) / logf((float)reach);
                    }
                }
            }
        }
    }
}

static const il_custom patterns_op = {sizeof(il_custom), "attention_scores",
                                      patterns_forward, patterns_backward};

/* What does not outlive the reading, kept for the backward. */
static inline const int32_t *patterns_keep(il_pass *pass, const int32_t *from,
                                           int64_t count)
{
    int32_t *kept = il_pass_alloc(pass, ((size_t)count + 1) * sizeof *kept);

    for (int64_t i = 0; kept != NULL && i < count; i++) {
        kept[i] = from[i];
    }
    return kept;
}

/* (N, scores of every head of every site), or NULL and an error that sticks. heads[i]
 * are those of site i. [work] */
static inline il_tensor *patterns_measure(il_pass *pass, const il_reading *r,
                                          const int64_t *heads, unsigned scores)
{
    const unsigned by_token = 1u << PATTERNS_DUPLICATE | 1u << PATTERNS_INDUCTION;
    il_tensor **parts = il_pass_alloc(pass, (size_t)r->sites * sizeof(il_tensor *));
    const int32_t *ids = NULL;
    uint8_t *mask = NULL;
    const int32_t *at;
    int64_t rows;

    if (il_pass_failed(pass) || parts == NULL) {
        return NULL;
    }
    rows = il_rows(r->acts[0]);
    if (!IL_HAS(r, rows) || r->length < 1) {
        il_pass_fail(pass, IL_ERR_UNSUPPORTED,
                     "an attention pattern is read where its positions are known");
        return NULL;
    }
    if ((scores & by_token) != 0) {
        if (!IL_HAS(r, inputs)) {
            il_pass_fail(pass, IL_ERR_UNSUPPORTED,
                         "the scores duplicate and induction need the tokens that the "
                         "model read, and it read none");
            return NULL;
        }
        ids = patterns_keep(pass, r->inputs, r->batch * r->length);
    }
    if ((scores >> PATTERNS_KEYS & 1u) != 0) {
        if (!IL_HAS(r, keys)) {
            il_pass_fail(pass, IL_ERR_UNSUPPORTED,
                         "the score keys needs a mask: give the detector `keys`");
            return NULL;
        }
        mask = il_pass_alloc(pass, (size_t)(r->batch * r->length) + 1);
        for (int64_t i = 0; mask != NULL && i < r->batch * r->length; i++) {
            mask[i] = r->keys[i];
        }
    }
    at = patterns_keep(pass, r->rows, rows);
    for (int32_t i = 0; i < r->sites; i++) {
        patterns_state *p = il_pass_alloc(pass, sizeof *p);

        if (p == NULL || at == NULL) {
            return NULL;
        }
        *p = (patterns_state){.rows = rows,
                              .heads = heads[i],
                              .keys = il_width(r->acts[i]) / heads[i],
                              .length = r->length,
                              .scores = scores,
                              .at = at,
                              .ids = ids,
                              .mask = mask};
        parts[i] = il_custom_op(pass, &patterns_op, p, 1, &r->acts[i],
                                IL_SHAPE(rows, heads[i] * patterns_count(scores)));
    }
    return r->sites == 1 ? parts[0] : il_concat(pass, r->sites, parts);
}

enum { PATTERNS_SITES = 64 };

/* Heads of every site; the sum in *total. [setup] */
static inline il_status patterns_heads(const il_setup *s, const char *where,
                                       int64_t heads[PATTERNS_SITES], int64_t *total,
                                       il_error *err)
{
    int32_t sites = il_setup_site_count(s);

    if (sites > PATTERNS_SITES) {
        return il_error_set(err, IL_ERR_INPUT, where, "it reads %d sites at most",
                            PATTERNS_SITES);
    }
    *total = 0;
    for (int32_t i = 0; i < sites; i++) {
        heads[i] = il_setup_site_heads(s, i);
        if (heads[i] < 1) {
            return il_error_set(err, IL_ERR_INPUT, where,
                                "it reads attention patterns, and its site %d is none: "
                                "expected one such as blocks.0.attn.hook_pattern",
                                (int)i + 1);
        }
        *total += heads[i];
    }
    return IL_OK;
}

#endif
