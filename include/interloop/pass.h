/* A pass: one trip of a micro-batch through a model and the detectors that read it.
 *
 * Forward code is written in the ops below; the tape behind the pass remembers them and
 * gives the gradients. Tensors made here belong to the pass and end with it. An op
 * never makes its caller check: the first error sticks to the pass, every later op
 * hands back an empty tensor (NULL data), and the loop reports the error with the
 * instance, the op and the shapes.
 *
 * Shapes: (...,W) means any leading dimensions, flattened to rows. All arithmetic is
 * f32. Every op here is differentiable in each f32 input unless it says otherwise.
 * Thread tag of everything here: [work], never twice at once for one pass. */
#ifndef INTERLOOP_PASS_H
#define INTERLOOP_PASS_H

#include <stdbool.h>
#include "interloop/setup.h"
#include "interloop/status.h"
#include "interloop/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct il_pass il_pass;

typedef enum il_act { /* values are ABI: append only */
                      IL_ACT_NONE = 0,
                      IL_ACT_RELU = 1,
                      IL_ACT_TANH = 2,
                      IL_ACT_SIGMOID = 3,
                      IL_ACT_GELU =
                          4, /* x Phi(x), with erf: Hendrycks and Gimpel 2016 */
                      IL_ACT_GELU_TANH = 5, /* their tanh form, as in GPT-2 */
                      IL_ACT_SOFTPLUS = 6,
                      IL_ACT_EXP = 7,
                      IL_ACT_SQUARE = 8,
                      IL_ACT_SILU = 9 /* x sigmoid(x): Elfwing et al. 2017 */
} il_act;

#define IL_CUSTOM_INPUTS_MAX 8

/* An op of the author's own. `forward` fills `out`, whose shape the caller gave.
 * `backward` adds to each din[i] that is not NULL the product of `dout` with the
 * derivative in in[i]; it may run several times for one forward, so it must leave
 * `state` as it is. Neither calls an op of the pass. */
typedef struct il_custom {
    size_t struct_size;
    const char *name;
    void (*forward)(void *state, const il_tensor *const *in, il_tensor *out);
    void (*backward)(const void *state, const il_tensor *const *in,
                     const il_tensor *out, const float *dout, float *const *din);
} il_custom;

/* A matrix (N,F) of which few numbers are not 0, kept row by row; belongs to the pass.
 */
typedef struct il_sparse {
    size_t struct_size;
    int64_t rows;           /* N */
    int64_t width;          /* F */
    int64_t count;          /* M numbers kept */
    const int32_t *starts;  /* (N+1): row i has numbers [starts[i],starts[i+1]) */
    const int32_t *columns; /* (M), ascending in each row */
    il_tensor *values;      /* (M), differentiable */
} il_sparse;

/* Causal attention of grouped heads (Ainslie et al. 2023), with a window, or step by
 * step. Fill by name; what is left at zero is not asked for. */
typedef struct il_attention {
    size_t struct_size;
    il_tensor *q; /* (B,T,heads*D), head by head */
    il_tensor *k; /* (B,T,groups*D): as many groups as its width has of D, each read by
                     heads/groups heads that stand together */
    il_tensor *v; /* as k */
    int32_t heads;
    float scale;         /* of scores; 0: 1/sqrt(D) */
    int64_t window;      /* a query sees so many keys, its own included; 0: all */
    il_tensor **pattern; /* receives (B,heads,T,T), differentiable; NULL: not asked */
    /* Positions [at,at+T) alone, after what the cache holds, as in il_cached_attention:
     * 2*groups*D*length numbers a row. No gradient flows through it, and there is no
     * pattern. */
    float *cache;
    int64_t at, length, apart;
} il_attention;

typedef struct il_pass_api {
    size_t struct_size;
    /* the model's side of the pass */
    il_tensor *(*use)(il_pass *p, il_param param);
    il_tensor *(*hook)(il_pass *p, il_site site, il_tensor *x);
    bool (*hook_wanted)(const il_pass *p, il_site site);
    void (*output)(il_pass *p, const char *name, il_tensor *x);
    void (*output_linear)(il_pass *p, const char *name, il_tensor *h, il_tensor *w,
                          il_tensor *b);
    void (*loss)(il_pass *p, const char *name, il_tensor *rows);
    /* memory and constants */
    void *(*alloc)(il_pass *p, size_t bytes);
    il_tensor *(*constant)(il_pass *p, int32_t ndim, const int64_t *shape,
                           const float *data);
    void (*fail)(il_pass *p, il_status code, const char *message);
    bool (*failed)(const il_pass *p);
    /* ops */
    il_tensor *(*linear)(il_pass *p, il_tensor *x, il_tensor *w, il_tensor *b,
                         il_act act);
    il_tensor *(*matmul)(il_pass *p, il_tensor *a, il_tensor *b, bool transpose_b);
    il_tensor *(*activate)(il_pass *p, il_tensor *x, il_act act);
    il_tensor *(*add)(il_pass *p, il_tensor *a, il_tensor *b);
    il_tensor *(*sub)(il_pass *p, il_tensor *a, il_tensor *b);
    il_tensor *(*mul)(il_pass *p, il_tensor *a, il_tensor *b);
    il_tensor *(*affine)(il_pass *p, il_tensor *x, float scale, float shift);
    il_tensor *(*softmax)(il_pass *p, il_tensor *x);
    il_tensor *(*log_softmax)(il_pass *p, il_tensor *x);
    il_tensor *(*layer_norm)(il_pass *p, il_tensor *x, il_tensor *gain, il_tensor *bias,
                             float eps);
    il_tensor *(*rms_norm)(il_pass *p, il_tensor *x, il_tensor *gain, float eps);
    il_tensor *(*causal_attention)(il_pass *p, il_tensor *qkv, int32_t heads,
                                   il_tensor **pattern);
    il_tensor *(*embedding)(il_pass *p, il_tensor *table, const il_tensor *ids);
    il_tensor *(*cross_entropy)(il_pass *p, il_tensor *logits,
                                const il_tensor *targets);
    il_tensor *(*cross_entropy_linear)(il_pass *p, il_tensor *h, il_tensor *w,
                                       il_tensor *b, const il_tensor *targets);
    il_tensor *(*bce_logits)(il_pass *p, il_tensor *logits, il_tensor *targets);
    il_tensor *(*gather_rows)(il_pass *p, il_tensor *x, int64_t count,
                              const int32_t *rows);
    il_tensor *(*concat)(il_pass *p, int32_t count, il_tensor *const *parts);
    il_tensor *(*slice)(il_pass *p, il_tensor *x, int64_t start, int64_t width);
    il_tensor *(*reshape)(il_pass *p, il_tensor *x, int32_t ndim, const int64_t *shape);
    il_tensor *(*sum)(il_pass *p, il_tensor *x);
    il_tensor *(*mean)(il_pass *p, il_tensor *x);
    il_tensor *(*row_sum)(il_pass *p, il_tensor *x);
    il_tensor *(*detach)(il_pass *p, il_tensor *x);
    il_tensor *(*custom)(il_pass *p, const il_custom *op, void *state, int32_t count,
                         il_tensor *const *in, int32_t ndim, const int64_t *shape);
    /* recurrence and policies */
    il_tensor *(*gru)(il_pass *p, il_tensor *x, il_tensor *w_input, il_tensor *b_input,
                      il_tensor *w_hidden, il_tensor *b_hidden, il_tensor *before);
    il_tensor *(*gru_cell)(il_pass *p, il_tensor *x, il_tensor *before,
                           il_tensor *w_input, il_tensor *b_input, il_tensor *w_hidden,
                           il_tensor *b_hidden);
    il_tensor *(*entropy_rows)(il_pass *p, il_tensor *logits);
    il_tensor *(*kl_rows)(il_pass *p, il_tensor *logits, il_tensor *reference);
    il_tensor *(*integers)(il_pass *p, int32_t ndim, const int64_t *shape,
                           const int32_t *data);
    il_tensor *(*cached_attention)(il_pass *p, il_tensor *qkv, int32_t heads,
                                   int64_t at, int64_t length, float *cache,
                                   int64_t apart);
    bool (*output_wanted)(const il_pass *p, const char *name);
    /* few of many */
    const il_sparse *(*top_linear)(il_pass *p, il_tensor *x, il_tensor *shift,
                                   il_tensor *w, il_tensor *b, int64_t count,
                                   bool over_all);
    il_tensor *(*sparse_matmul)(il_pass *p, const il_sparse *s, il_tensor *table,
                                int64_t first, int64_t last);
    il_tensor *(*sparse_dense)(il_pass *p, const il_sparse *s);
    /* what a step leaves alone */
    void (*cached_positions)(il_pass *p, il_tensor *qkv, int32_t heads, int64_t at,
                             int64_t length, float *cache, int64_t apart);
    /* decoders of other people's */
    il_tensor *(*rotary_table)(il_pass *p, int64_t at, int64_t count, int32_t pairs,
                               const float *rates, float scale);
    il_tensor *(*rotary)(il_pass *p, il_tensor *x, int32_t heads, il_tensor *table);
    il_tensor *(*attention)(il_pass *p, const il_attention *a);
    il_tensor *(*gated)(il_pass *p, il_tensor *gate, il_tensor *x, il_act act);
} il_pass_api;

struct il_pass {
    const il_pass_api *api;
};

/* ---- the model's side ----------------------------------------------------------- */

/* A parameter of the component that is running. The only way to read one: its ancestry
 * starts here. */
static inline il_tensor *il_use(il_pass *p, il_param param)
{
    return p->api->use(p, param);
}

/* Passes x through a site. Returns x itself unless the run edits or stops it there;
 * forward code goes on with what is returned, in a step as in forward. A site that is
 * only shown, whose result is dropped, cannot be edited: the host notices that nothing
 * depends on what it handed back, and refuses the edit by the site's name. */
static inline il_tensor *il_hook(il_pass *p, il_site site, il_tensor *x)
{
    return p->api->hook(p, site, x);
}

/* Whether anybody reads or edits the site in this pass: a site that costs something to
 * produce (a pattern, a slice) may be skipped when nobody does. Producing it must not
 * change other values. */
static inline bool il_hook_wanted(const il_pass *p, il_site site)
{
    return p->api->hook_wanted(p, site);
}

/* Hands over a declared output, (B,T,W). */
static inline void il_output(il_pass *p, const char *name, il_tensor *x)
{
    p->api->output(p, name, x);
}

/* Whether anybody may read an output in this pass: what leads to it alone may be left
 * out when nobody does, as the value is where a policy acts. */
static inline bool il_output_wanted(const il_pass *p, const char *name)
{
    return p->api->output_wanted(p, name);
}

/* An output that is h w^T + b, h (B,T,C), w (W,C), b (W) or NULL; it is multiplied out
 * only where somebody reads it, and a cross-entropy on it runs fused, on the rows it
 * needs. */
static inline void il_output_linear(il_pass *p, const char *name, il_tensor *h,
                                    il_tensor *w, il_tensor *b)
{
    p->api->output_linear(p, name, h, w, b);
}

/* Hands over a declared loss: one number a row, B*T of them, unreduced and unweighted.
 */
static inline void il_loss(il_pass *p, const char *name, il_tensor *rows)
{
    p->api->loss(p, name, rows);
}

/* ---- memory and constants ------------------------------------------------------- */

/* Scratch from the pass's arena, not cleared, aligned to 64 bytes, gone with the pass.
 * NULL and a stuck error when memory is out. */
static inline void *il_pass_alloc(il_pass *p, size_t bytes)
{
    return p->api->alloc(p, bytes);
}

/* A constant holding a copy of `data` (zeros when NULL), without ancestry. */
static inline il_tensor *il_constant(il_pass *p, int32_t ndim, const int64_t *shape,
                                     const float *data)
{
    return p->api->constant(p, ndim, shape, data);
}

/* The same of i32, for ids and targets that are not a field of the batch. */
static inline il_tensor *il_integers(il_pass *p, int32_t ndim, const int64_t *shape,
                                     const int32_t *data)
{
    return p->api->integers(p, ndim, shape, data);
}

/* Makes an error stick to the pass, for input that forward code finds wrong. */
static inline void il_pass_fail(il_pass *p, il_status code, const char *message)
{
    p->api->fail(p, code, message);
}
static inline bool il_pass_failed(const il_pass *p)
{
    return p->api->failed(p);
}

/* ---- ops ------------------------------------------------------------------------ */

/* x (...,I), w (O,I), b (O) or NULL -> x w^T + b, (...,O). */
static inline il_tensor *il_linear(il_pass *p, il_tensor *x, il_tensor *w, il_tensor *b)
{
    return p->api->linear(p, x, w, b, IL_ACT_NONE);
}
/* The same followed by an activation, in one sweep. */
static inline il_tensor *il_linear_act(il_pass *p, il_tensor *x, il_tensor *w,
                                       il_tensor *b, il_act act)
{
    return p->api->linear(p, x, w, b, act);
}
/* a (...,K) by b (K,N) -> (...,N); with transpose_b, b is (N,K). */
static inline il_tensor *il_matmul(il_pass *p, il_tensor *a, il_tensor *b,
                                   bool transpose_b)
{
    return p->api->matmul(p, a, b, transpose_b);
}
/* Elementwise, any shape. */
static inline il_tensor *il_activate(il_pass *p, il_tensor *x, il_act act)
{
    return p->api->activate(p, x, act);
}
static inline il_tensor *il_relu(il_pass *p, il_tensor *x)
{
    return il_activate(p, x, IL_ACT_RELU);
}
static inline il_tensor *il_tanh(il_pass *p, il_tensor *x)
{
    return il_activate(p, x, IL_ACT_TANH);
}
static inline il_tensor *il_sigmoid(il_pass *p, il_tensor *x)
{
    return il_activate(p, x, IL_ACT_SIGMOID);
}
/* log(1 + exp(x)), without overflow. */
static inline il_tensor *il_softplus(il_pass *p, il_tensor *x)
{
    return il_activate(p, x, IL_ACT_SOFTPLUS);
}
/* Elementwise on equal shapes, or b's shape is a's without leading dimensions, or b
 * holds one element. */
static inline il_tensor *il_add(il_pass *p, il_tensor *a, il_tensor *b)
{
    return p->api->add(p, a, b);
}
static inline il_tensor *il_sub(il_pass *p, il_tensor *a, il_tensor *b)
{
    return p->api->sub(p, a, b);
}
static inline il_tensor *il_mul(il_pass *p, il_tensor *a, il_tensor *b)
{
    return p->api->mul(p, a, b);
}
/* scale x + shift. */
static inline il_tensor *il_affine(il_pass *p, il_tensor *x, float scale, float shift)
{
    return p->api->affine(p, x, scale, shift);
}
/* Over the last dimension. */
static inline il_tensor *il_softmax(il_pass *p, il_tensor *x)
{
    return p->api->softmax(p, x);
}
static inline il_tensor *il_log_softmax(il_pass *p, il_tensor *x)
{
    return p->api->log_softmax(p, x);
}
/* (x - mean) / sqrt(var + eps) * gain + bias over the last dimension, biased variance
 * (Ba et al. 2016); gain and bias (W), either may be NULL. */
static inline il_tensor *il_layer_norm(il_pass *p, il_tensor *x, il_tensor *gain,
                                       il_tensor *bias, float eps)
{
    return p->api->layer_norm(p, x, gain, bias, eps);
}
/* x / sqrt(mean(x^2) + eps) * gain (Zhang and Sennrich 2019); gain (W) or NULL. */
static inline il_tensor *il_rms_norm(il_pass *p, il_tensor *x, il_tensor *gain,
                                     float eps)
{
    return p->api->rms_norm(p, x, gain, eps);
}
/* Causal multi-head attention: qkv (B,T,3C) holds queries, keys, values side by side,
 * head by head in each; scores scaled by 1/sqrt(C/heads) -> (B,T,C). When `pattern` is
 * not NULL it receives the softmaxed pattern (B,heads,T,T), differentiable too. */
static inline il_tensor *il_causal_attention(il_pass *p, il_tensor *qkv, int32_t heads,
                                             il_tensor **pattern)
{
    return p->api->causal_attention(p, qkv, heads, pattern);
}
/* table (V,C), ids i32 (...) -> (...,C). An id outside [0,V) is an error. */
static inline il_tensor *il_embedding(il_pass *p, il_tensor *table,
                                      const il_tensor *ids)
{
    return p->api->embedding(p, table, ids);
}
/* logits (...,V), targets i32 (...) -> -log softmax at the target, one number a row
 * (shape of targets). A negative target gives 0 and no gradient; one past V is an
 * error. */
static inline il_tensor *il_cross_entropy(il_pass *p, il_tensor *logits,
                                          const il_tensor *targets)
{
    return p->api->cross_entropy(p, logits, targets);
}
/* The same on logits h w^T + b that never exist as a whole: h (...,C), w (V,C), b (V)
 * or NULL. */
static inline il_tensor *il_cross_entropy_linear(il_pass *p, il_tensor *h, il_tensor *w,
                                                 il_tensor *b, const il_tensor *targets)
{
    return p->api->cross_entropy_linear(p, h, w, b, targets);
}
/* Binary cross-entropy, elementwise: softplus(x) - t x; targets f32 of the same count,
 * in [0,1], not differentiated. */
static inline il_tensor *il_bce_logits(il_pass *p, il_tensor *logits,
                                       il_tensor *targets)
{
    return p->api->bce_logits(p, logits, targets);
}
/* x (...,W) as rows -> the `count` rows named, (count,W); rows may repeat. The list is
 * copied. */
static inline il_tensor *il_gather_rows(il_pass *p, il_tensor *x, int64_t count,
                                        const int32_t *rows)
{
    return p->api->gather_rows(p, x, count, rows);
}
/* Joins along the last dimension; equal leading dimensions. */
static inline il_tensor *il_concat(il_pass *p, int32_t count, il_tensor *const *parts)
{
    return p->api->concat(p, count, parts);
}
/* Columns [start, start+width) of the last dimension. */
static inline il_tensor *il_slice(il_pass *p, il_tensor *x, int64_t start,
                                  int64_t width)
{
    return p->api->slice(p, x, start, width);
}
/* The same elements under another shape; no copy. */
static inline il_tensor *il_reshape(il_pass *p, il_tensor *x, int32_t ndim,
                                    const int64_t *shape)
{
    return p->api->reshape(p, x, ndim, shape);
}
/* All elements -> (1); the mean of none is 0. */
static inline il_tensor *il_sum(il_pass *p, il_tensor *x)
{
    return p->api->sum(p, x);
}
static inline il_tensor *il_mean(il_pass *p, il_tensor *x)
{
    return p->api->mean(p, x);
}
/* (...,W) -> (...): the sum over the last dimension. */
static inline il_tensor *il_row_sum(il_pass *p, il_tensor *x)
{
    return p->api->row_sum(p, x);
}
/* The same values; no gradient flows further. What they depend on is still remembered.
 */
static inline il_tensor *il_detach(il_pass *p, il_tensor *x)
{
    return p->api->detach(p, x);
}
/* An op of the author's own; `state` from il_pass_alloc. */
static inline il_tensor *il_custom_op(il_pass *p, const il_custom *op, void *state,
                                      int32_t count, il_tensor *const *in, int32_t ndim,
                                      const int64_t *shape)
{
    return p->api->custom(p, op, state, count, in, ndim, shape);
}
/* A gated recurrent unit over positions: x (B,T,I), w_input (3H,I), b_input (3H),
 * w_hidden (3H,H), b_hidden (3H), before (B,H) or NULL for zeros -> every state,
 * (B,T,H). The three blocks of H rows are those of r, z and n, as in PyTorch:
 *
 *     r = sigmoid(Wr x + br + Ur h + cr),  z = sigmoid(Wz x + bz + Uz h + cz)
 *     n = tanh(Wn x + bn + r (Un h + cn)),  h' = n + z (h - n)
 *
 * Every row goes through all T positions: what stands at padding touches no position
 * before it. */
static inline il_tensor *il_gru(il_pass *p, il_tensor *x, il_tensor *w_input,
                                il_tensor *b_input, il_tensor *w_hidden,
                                il_tensor *b_hidden, il_tensor *before)
{
    return p->api->gru(p, x, w_input, b_input, w_hidden, b_hidden, before);
}
/* One position of it: x (...,I), before (...,H), as many rows -> (...,H). Equal to
 * il_gru's up to rounding. */
static inline il_tensor *il_gru_cell(il_pass *p, il_tensor *x, il_tensor *before,
                                     il_tensor *w_input, il_tensor *b_input,
                                     il_tensor *w_hidden, il_tensor *b_hidden)
{
    return p->api->gru_cell(p, x, before, w_input, b_input, w_hidden, b_hidden);
}
/* Causal attention step by step: qkv (B,T,3C) as above holds positions [at,at+T) alone,
 * and what came before stands in the cache, which is brought up to date -> (B,T,C),
 * equal to il_causal_attention's at these positions up to rounding. A row's cache is
 * 2*C*length numbers for at most `length` positions, `apart` numbers from one row to
 * the next, in an order of the host's own. No gradient flows through it. */
static inline il_tensor *il_cached_attention(il_pass *p, il_tensor *qkv, int32_t heads,
                                             int64_t at, int64_t length, float *cache,
                                             int64_t apart)
{
    return p->api->cached_attention(p, qkv, heads, at, length, cache, apart);
}
/* Brings the cache up to date as above where nobody reads what the positions attend to:
 * in the last block, for all of a prompt but its end. */
static inline void il_cached_positions(il_pass *p, il_tensor *qkv, int32_t heads,
                                       int64_t at, int64_t length, float *cache,
                                       int64_t apart)
{
    p->api->cached_positions(p, qkv, heads, at, length, cache, apart);
}
/* logits (...,V) -> (...): the entropy of each row's softmax, in nats. Here and below a
 * logit of -inf is a choice that is forbidden: probability and gradient are 0 there. A
 * row's bits depend on that row alone. */
static inline il_tensor *il_entropy_rows(il_pass *p, il_tensor *logits)
{
    return p->api->entropy_rows(p, logits);
}
/* logits, reference (...,V) -> (...): KL(softmax(logits) || softmax(reference)) of each
 * row, exactly, in nats; +inf, and no gradient that is a number, where the reference
 * forbids what the logits allow. The reference is a constant: no gradient flows to it.
 * A row's bits depend on that row alone. */
static inline il_tensor *il_kl_rows(il_pass *p, il_tensor *logits, il_tensor *reference)
{
    return p->api->kl_rows(p, logits, reference);
}
/* The largest numbers of (x - shift) w^T + b, and only those above 0: x (...,I) as
 * rows, shift (I) or NULL, w (F,I), b (F) or NULL. Of each row the `count` largest; or,
 * `over_all`, of all N rows together the N * count largest. Of equal ones the first are
 * kept. Each number kept is one sum in a fixed order, whatever the product that found
 * it: its bits depend on its row and column alone. Its gradient flows, what was not
 * kept gets none. A row with a number that is none keeps NaN. NULL, with an error
 * stuck, when it cannot be; the ops below bear that. */
static inline const il_sparse *il_top_linear(il_pass *p, il_tensor *x, il_tensor *shift,
                                             il_tensor *w, il_tensor *b, int64_t count,
                                             bool over_all)
{
    return p->api->top_linear(p, x, shift, w, b, count, over_all);
}
/* The columns [first,last) of a sparse matrix times these rows of table (F,W) -> (N,W):
 * each number is one sum over the columns kept, ascending. */
static inline il_tensor *il_sparse_matmul(il_pass *p, const il_sparse *s,
                                          il_tensor *table, int64_t first, int64_t last)
{
    return p->api->sparse_matmul(p, s, table, first, last);
}
/* The matrix with its zeros, (N,F). */
static inline il_tensor *il_sparse_dense(il_pass *p, const il_sparse *s)
{
    return p->api->sparse_dense(p, s);
}

/* Rotary positions (Su et al. 2021) from `at` on: (count,2*pairs), first the cosines of
 * (at+i) rates[k], then the sines, each times `scale`. A constant. */
static inline il_tensor *il_rotary_table(il_pass *p, int64_t at, int64_t count,
                                         int32_t pairs, const float *rates, float scale)
{
    return p->api->rotary_table(p, at, count, pairs, rates, scale);
}
/* x (B,T,heads*D), table (T,2*pairs) -> the same shape: in each head channel k of the
 * first `pairs` turns with channel k+pairs, the rest of its channels stay. */
static inline il_tensor *il_rotary(il_pass *p, il_tensor *x, int32_t heads,
                                   il_tensor *table)
{
    return p->api->rotary(p, x, heads, table);
}
/* -> (B,T,heads*D). */
static inline il_tensor *il_attend(il_pass *p, const il_attention *a)
{
    return p->api->attention(p, a);
}
/* act(gate) x, both (...,W) (Shazeer 2020). */
static inline il_tensor *il_gated(il_pass *p, il_tensor *gate, il_tensor *x, il_act act)
{
    return p->api->gated(p, gate, x, act);
}

#ifdef __cplusplus
}
#endif

#endif
