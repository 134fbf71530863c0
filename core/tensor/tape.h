/* The tape: what the ops are written against, shared by the files of this folder alone.
 *
 * A tensor's data, its bitsets and the state an op saves all lie in the pass's arena. A
 * gradient has two lives: a parameter's is the caller's block, any other's is arena
 * memory of the running backward, made when the first contribution arrives and
 * forgotten when the backward ends. The saved state is never written after the forward,
 * so one tape serves any number of backwards. */
#ifndef IL_TENSOR_TAPE_H
#define IL_TENSOR_TAPE_H

#include "tensor/pass.h"
#include "base/arena.h"

typedef struct il__tensor il__tensor;
typedef struct il__node il__node;
typedef struct il__back il__back;

struct il__tensor {
    il_tensor pub; /* first: what plugins hold is a pointer to it */
    const il_word *g;
    const il_word *v;
    il__tensor *base; /* whose gradient it shares: itself, or what it reshapes */
    int64_t bit;      /* of a parameter's leaf; -1 otherwise */
    bool parameter;   /* its data are a parameter's, as they were bound */
    float *grad;      /* valid in the backward numbered `epoch` */
    uint64_t epoch;
};

typedef void il__backward(il__back *k, il__node *n);

/* An op that was run and that some derivative flows through. */
struct il__node {
    il__node *before;
    il__backward *backward;
    il__tensor *out;
    il__tensor *also; /* a second output, or NULL */
    void *state;
    int32_t count;
    il__tensor **in; /* NULL for an input that was not given */
};

/* One backward. A gradient that has been read for the last time makes room for the next
 * of its size, which is still in the processor's cache. */
enum { IL__SPARE_MAX = 32 };

struct il__back {
    struct il__pass *pass;
    const il_word *route;
    float *const *grads; /* by bit */
    bool failed;         /* memory ran out */
    int spares;
    struct {
        float *data;
        int64_t count;
    } spare[IL__SPARE_MAX];
};

/* A scope as it was entered: values and bits name it, so that a second visit finds the
 * same leaves. */
typedef struct il__binding {
    struct il__binding *next;
    const char *label;
    const il_store *store;
    const float *const *values;
    int64_t first_bit;
    il__tensor **leaves; /* by parameter number; NULL until used */
} il__binding;

typedef struct il__frame {
    struct il__frame *outer;
    il__binding *binding;
} il__frame;

typedef struct il__named {
    struct il__named *next;
    const char *name;
    il__tensor *tensor; /* NULL while a linear output is not multiplied out */
    il_tensor *h, *w, *b;
    il__frame *frame; /* for errors of a late multiplication */
} il__named;

typedef struct il__site {
    unsigned flags;
    il__tensor *tensor;
} il__site;

typedef struct il__edit {
    const il_site_edit *edit;
    il_edit_at at;
} il__edit;

/* A parameter's transpose, kept. */
typedef struct il__turned {
    struct il__turned *next;
    const float *from;
    int64_t rows, columns; /* of what was turned */
    const float *to;
} il__turned;

typedef struct il__pass {
    il_pass pub; /* first */
    const il_blas *blas;
    il_pool *team; /* that large ops are cut between; NULL: none */
    il_arena *arena;
    const char *only; /* the output that is read; NULL: any */
    bool still;       /* parameters keep their values */
    il_arena *kept;   /* what is made of them meanwhile; NULL before the first */
    il__turned *turned;
    il_arena *lent; /* what a backward takes its memory from; the pass's own at first */
    size_t bits;
    size_t words;
    il_word *zeros; /* the bitset of a constant */
    il_error error;
    il__tensor empty;
    il__node *last;
    size_t nodes;
    uint64_t epoch;
    il__binding *bindings;
    il__frame *frame;
    int lost; /* frames that memory ran out for */
    il__named *outputs;
    il__named *losses;
    il__site *sites;
    size_t site_room;
    il__edit *edits;
    size_t edit_count;
    size_t edit_room;
} il__pass;

static inline il__pass *il__of(const il_pass *p)
{
    return (il__pass *)(uintptr_t)p;
}
static inline il__tensor *il__t(const il_tensor *t)
{
    return (il__tensor *)(uintptr_t)t;
}
static inline il_tensor *il__empty(il_pass *p)
{
    return &il__of(p)->empty.pub;
}

/* ---- forward ---- */

/* Whether an op may run: no error stands, the first `required` inputs are given, and
 * all that are given are f32 and not empty. Makes an error stick when it is the
 * caller's fault. */
bool il__ready(il_pass *p, const char *op, int32_t required, int32_t count,
               il_tensor *const *in);
/* Makes "op: why; got (2,3), (4)" stick, and returns the empty tensor. */
il_tensor *il__refuse(il_pass *p, il_status code, const char *op, int32_t count,
                      const il_tensor *const *in, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));
/* Arena memory for `count` floats, or bytes; NULL and a stuck error when it is out. */
float *il__floats(il_pass *p, int64_t count);
void *il__bytes(il_pass *p, size_t bytes);
/* A new f32 tensor whose ancestries are the OR of the inputs' (NULL ones skipped), its
 * data not cleared; NULL and a stuck error when it cannot be. */
il__tensor *il__make(il_pass *p, const char *op, int32_t ndim, const int64_t *shape,
                     int32_t count, il_tensor *const *in);
/* The same shape and data as x under other bitsets, with a gradient of its own. */
il__tensor *il__alias(il_pass *p, const il__tensor *x);
/* Puts the op on the tape, unless no derivative flows to its output. Returns what the
 * op returns. */
il_tensor *il__record(il_pass *p, il__backward *backward, void *state, il__tensor *out,
                      il__tensor *also, int32_t count, il_tensor *const *in);
/* Whether some derivative flows to a tensor, so that an op must save what its backward
 * needs. */
bool il__tracked(const il_pass *p, const il__tensor *t);
bool il__same_shape(const il_tensor *a, const il_tensor *b);
/* Whether the activation is one of this host's; if not, an error sticks. */
bool il__known_act(il_pass *p, const char *op, il_act act);
/* The transpose of a parameter of two dimensions, where parameters keep their values;
 * NULL where they do not, or memory is out: then it is done without. */
const float *il__turned_of(il_pass *p, const il_tensor *w);
/* y = act(x), by a team. */
void il__activate(il_pool *team, float *y, const float *x, int64_t count, il_act act);
/* Integers given beside tensors: i32, data there. */
bool il__ready_ints(il_pass *p, const char *op, const il_tensor *ids);

/* ---- backward ---- */

/* What arrived at an output; NULL when nothing did. */
const float *il__arrived(const il__back *k, const il__tensor *t);
/* Where a contribution to an input's gradient goes; NULL when the input has none on
 * this route, or memory is out. *beta is 0 when the buffer is new: then all of it must
 * be written, in the order in which buffers were asked for. */
float *il__grad(il__back *k, il__tensor *t, float *beta);
/* The same for an op that adds: a new buffer is cleared. */
float *il__grad_add(il__back *k, il__tensor *t);
/* Gives an input what arrived at the output, to have and to add to, when nothing has
 * reached the input and both are of one size; false when it cannot, and nothing has
 * happened. The output's is gone then. */
bool il__hand_on(il__back *k, il__tensor *t, il__tensor *out);
/* Memory not cleared, until it is released or the backward ends; NULL when memory is
 * out. */
float *il__scratch(il__back *k, int64_t count);
void il__release(il__back *k, float *data, int64_t count);

/* ---- the ops, as the public header describes them ---- */

il_tensor *il__op_linear(il_pass *p, il_tensor *x, il_tensor *w, il_tensor *b,
                         il_act act);
il_tensor *il__op_matmul(il_pass *p, il_tensor *a, il_tensor *b, bool transpose_b);
il_tensor *il__op_activate(il_pass *p, il_tensor *x, il_act act);
il_tensor *il__op_add(il_pass *p, il_tensor *a, il_tensor *b);
il_tensor *il__op_sub(il_pass *p, il_tensor *a, il_tensor *b);
il_tensor *il__op_mul(il_pass *p, il_tensor *a, il_tensor *b);
il_tensor *il__op_affine(il_pass *p, il_tensor *x, float scale, float shift);
il_tensor *il__op_softmax(il_pass *p, il_tensor *x);
il_tensor *il__op_log_softmax(il_pass *p, il_tensor *x);
il_tensor *il__op_layer_norm(il_pass *p, il_tensor *x, il_tensor *gain, il_tensor *bias,
                             float eps);
il_tensor *il__op_rms_norm(il_pass *p, il_tensor *x, il_tensor *gain, float eps);
il_tensor *il__op_causal_attention(il_pass *p, il_tensor *qkv, int32_t heads,
                                   il_tensor **pattern);
il_tensor *il__op_embedding(il_pass *p, il_tensor *table, const il_tensor *ids);
il_tensor *il__op_cross_entropy(il_pass *p, il_tensor *logits,
                                const il_tensor *targets);
il_tensor *il__op_cross_entropy_linear(il_pass *p, il_tensor *h, il_tensor *w,
                                       il_tensor *b, const il_tensor *targets);
il_tensor *il__op_bce_logits(il_pass *p, il_tensor *logits, il_tensor *targets);
il_tensor *il__op_gather_rows(il_pass *p, il_tensor *x, int64_t count,
                              const int32_t *rows);
il_tensor *il__op_concat(il_pass *p, int32_t count, il_tensor *const *parts);
il_tensor *il__op_slice(il_pass *p, il_tensor *x, int64_t start, int64_t width);
il_tensor *il__op_reshape(il_pass *p, il_tensor *x, int32_t ndim, const int64_t *shape);
il_tensor *il__op_sum(il_pass *p, il_tensor *x);
il_tensor *il__op_mean(il_pass *p, il_tensor *x);
il_tensor *il__op_row_sum(il_pass *p, il_tensor *x);
il_tensor *il__op_detach(il_pass *p, il_tensor *x);
il_tensor *il__op_custom(il_pass *p, const il_custom *op, void *state, int32_t count,
                         il_tensor *const *in, int32_t ndim, const int64_t *shape);
il_tensor *il__op_gru(il_pass *p, il_tensor *x, il_tensor *w_input, il_tensor *b_input,
                      il_tensor *w_hidden, il_tensor *b_hidden, il_tensor *before);
il_tensor *il__op_gru_cell(il_pass *p, il_tensor *x, il_tensor *before,
                           il_tensor *w_input, il_tensor *b_input, il_tensor *w_hidden,
                           il_tensor *b_hidden);
il_tensor *il__op_cached_attention(il_pass *p, il_tensor *qkv, int32_t heads,
                                   int64_t at, int64_t length, float *cache,
                                   int64_t apart);
void il__op_cached_positions(il_pass *p, il_tensor *qkv, int32_t heads, int64_t at,
                             int64_t length, float *cache, int64_t apart);
il_tensor *il__op_entropy_rows(il_pass *p, il_tensor *logits);
il_tensor *il__op_kl_rows(il_pass *p, il_tensor *logits, il_tensor *reference);
const il_sparse *il__op_top_linear(il_pass *p, il_tensor *x, il_tensor *shift,
                                   il_tensor *w, il_tensor *b, int64_t count,
                                   bool over_all);
il_tensor *il__op_sparse_matmul(il_pass *p, const il_sparse *s, il_tensor *table,
                                int64_t first, int64_t last);
il_tensor *il__op_sparse_dense(il_pass *p, const il_sparse *s);
il_tensor *il__op_rotary_table(il_pass *p, int64_t at, int64_t count, int32_t pairs,
                               const float *rates, float scale);
il_tensor *il__op_rotary(il_pass *p, il_tensor *x, int32_t heads, il_tensor *table);
il_tensor *il__op_attention(il_pass *p, const il_attention *a);
il_tensor *il__op_gated(il_pass *p, il_tensor *gate, il_tensor *x, il_act act);

#endif
