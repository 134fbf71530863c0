/* Tensors, nodes and the walk back. */
#include "tensor/tape.h"

#include <stdarg.h>
#include <string.h>

static const int64_t COUNT_MAX = INT32_MAX; /* elements: OpenBLAS counts in int */

/* "(2,3,4)", or "none" or "empty", in room for the longest there can be. */
static void shape_text(const il_tensor *t, char out[160])
{
    size_t used = 0;

    if (t == NULL || t->data == NULL) {
        (void)snprintf(out, 160, "%s", t == NULL ? "none" : "empty");
        return;
    }
    out[used++] = '(';
    for (int32_t i = 0; i < t->ndim && i < IL_DIMS_MAX; i++) {
        used += (size_t)snprintf(out + used, 160 - used, "%s%lld", i > 0 ? "," : "",
                                 (long long)t->shape[i]);
    }
    (void)snprintf(out + used, 160 - used, ")");
}

il_tensor *il__refuse(il_pass *p, il_status code, const char *op, int32_t count,
                      const il_tensor *const *in, const char *fmt, ...)
{
    il__pass *own = il__of(p);
    char why[512];
    char shapes[IL_ERROR_MESSAGE_MAX - sizeof why - 64] = "";
    size_t used = 0;
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(why, sizeof why, fmt, args);
    va_end(args);
    for (int32_t i = 0; i < count && used < sizeof shapes - 1; i++) {
        char text[160];
        int wrote;

        shape_text(in[i], text);
        wrote = snprintf(shapes + used, sizeof shapes - used, "%s%s",
                         i > 0 ? ", " : "; got ", text);
        used += wrote > 0 ? (size_t)wrote : 0;
    }
    (void)il_error_set(&own->error, code,
                       own->frame != NULL ? own->frame->binding->label : "pass",
                       "%s: %s%s", op, why, shapes);
    return il__empty(p);
}

bool il__ready(il_pass *p, const char *op, int32_t required, int32_t count,
               il_tensor *const *in)
{
    if (il__of(p)->error.code != IL_OK) {
        return false;
    }
    for (int32_t i = 0; i < count; i++) {
        if (in[i] == NULL && i >= required) {
            continue;
        }
        if (in[i] == NULL || in[i]->data == NULL) {
            il__refuse(p, IL_ERR_SHAPE, op, count, (const il_tensor *const *)in,
                       "input %d is missing", (int)i + 1);
            return false;
        }
        if (in[i]->dtype.code != IL_CODE_FLOAT || in[i]->dtype.bits != 32) {
            il__refuse(p, IL_ERR_SHAPE, op, count, (const il_tensor *const *)in,
                       "input %d is not f32; make it one with il_constant", (int)i + 1);
            return false;
        }
    }
    return true;
}

bool il__ready_ints(il_pass *p, const char *op, const il_tensor *ids)
{
    if (il__of(p)->error.code != IL_OK) {
        return false;
    }
    if (ids == NULL || ids->data == NULL) {
        il__refuse(p, IL_ERR_SHAPE, op, 0, NULL, "the integers are missing");
        return false;
    }
    if (ids->dtype.code != IL_CODE_INT || ids->dtype.bits != 32) {
        il__refuse(p, IL_ERR_SHAPE, op, 1, &ids, "expected i32 integers");
        return false;
    }
    return true;
}

void *il__bytes(il_pass *p, size_t bytes)
{
    void *memory = il_arena_alloc(il__of(p)->arena, bytes);

    if (memory == NULL) {
        il__refuse(p, IL_ERR_MEMORY, "pass", 0, NULL, "no memory for %zu bytes", bytes);
    }
    return memory;
}

float *il__floats(il_pass *p, int64_t count)
{
    return il__bytes(p, (size_t)count * sizeof(float));
}

static bool covers(const il_word *a, const il_word *b, size_t words)
{
    for (size_t i = 0; i < words; i++) {
        if (b[i] & ~a[i]) {
            return false;
        }
    }
    return true;
}

/* The OR of two bitsets, sharing one of them where it covers the other. NULL when
 * memory is out. */
static const il_word *join(il_pass *p, const il_word *a, const il_word *b)
{
    size_t words = il__of(p)->words;
    il_word *both;

    if (a == b || covers(a, b, words)) {
        return a;
    }
    if (covers(b, a, words)) {
        return b;
    }
    both = il__bytes(p, words * sizeof *both);
    if (both != NULL) {
        il_bits_copy(both, a, words);
        il_bits_or(both, b, words);
    }
    return both;
}

il__tensor *il__make(il_pass *p, const char *op, int32_t ndim, const int64_t *shape,
                     int32_t count, il_tensor *const *in)
{
    il__pass *own = il__of(p);
    int64_t elements = 1;
    il__tensor *t;

    if (ndim < 0 || ndim > IL_DIMS_MAX) {
        il__refuse(p, IL_ERR_SHAPE, op, count, (const il_tensor *const *)in,
                   "expected at most %d dimensions, got %d", IL_DIMS_MAX, (int)ndim);
        return NULL;
    }
    for (int32_t i = 0; i < ndim; i++) {
        if (shape[i] < 0 || (shape[i] > 0 && elements > COUNT_MAX / shape[i])) {
            il__refuse(p, IL_ERR_SHAPE, op, count, (const il_tensor *const *)in,
                       "dimension %d of the result is %lld; expected one that is not "
                       "negative, and fewer than 2^31 elements in all",
                       (int)i, (long long)shape[i]);
            return NULL;
        }
        elements *= shape[i];
    }
    t = il__bytes(p, sizeof *t);
    if (t == NULL) {
        return NULL;
    }
    memset(t, 0, sizeof *t);
    t->pub.device_type = IL_DEVICE_CPU;
    t->pub.dtype = (il_dtype){IL_CODE_FLOAT, 32, 1};
    t->pub.ndim = ndim;
    for (int32_t i = 0; i < ndim; i++) {
        t->pub.shape[i] = shape[i];
    }
    t->g = own->zeros;
    t->v = own->zeros;
    t->base = t;
    t->bit = -1;
    for (int32_t i = 0; i < count; i++) {
        if (in[i] == NULL) {
            continue;
        }
        t->g = join(p, t->g, il__t(in[i])->g);
        t->v = t->g != NULL ? join(p, t->v, il__t(in[i])->v) : NULL;
        if (t->v == NULL) {
            return NULL;
        }
    }
    t->pub.data = il__floats(p, elements);
    return t->pub.data != NULL ? t : NULL;
}

il__tensor *il__alias(il_pass *p, const il__tensor *x)
{
    il__tensor *t = il__bytes(p, sizeof *t);

    if (t != NULL) {
        *t = *x;
        t->base = t;
        t->bit = -1;
        t->grad = NULL;
        t->epoch = 0;
    }
    return t;
}

il_tensor *il__record(il_pass *p, il__backward *backward, void *state, il__tensor *out,
                      il__tensor *also, int32_t count, il_tensor *const *in)
{
    il__pass *own = il__of(p);
    il__node *n;

    if (own->error.code != IL_OK) {
        return il__empty(p);
    }
    if (!il__tracked(p, out)) {
        return &out->pub;
    }
    n = il__bytes(p, sizeof *n + (size_t)count * sizeof *n->in);
    if (n == NULL) {
        return il__empty(p);
    }
    n->before = own->last;
    n->backward = backward;
    n->out = out;
    n->also = also;
    n->state = state;
    n->count = count;
    n->in = (il__tensor **)(n + 1);
    for (int32_t i = 0; i < count; i++) {
        n->in[i] = il__t(in[i]);
    }
    own->last = n;
    own->nodes++;
    return &out->pub;
}

bool il__tracked(const il_pass *p, const il__tensor *t)
{
    return il_bits_any(t->g, il__of(p)->words);
}

bool il__same_shape(const il_tensor *a, const il_tensor *b)
{
    return a->ndim == b->ndim &&
           memcmp(a->shape, b->shape, (size_t)a->ndim * sizeof a->shape[0]) == 0;
}

/* ---- backward ------------------------------------------------------------------- */

const float *il__arrived(const il__back *k, const il__tensor *t)
{
    return t != NULL && t->base->epoch == k->pass->epoch ? t->base->grad : NULL;
}

float *il__grad(il__back *k, il__tensor *t, float *beta)
{
    *beta = 1.0f;
    if (t == NULL || k->failed || !il_bits_meet(t->g, k->route, k->pass->words)) {
        return NULL;
    }
    t = t->base;
    if (t->bit >= 0) {
        return k->grads[t->bit];
    }
    if (t->epoch != k->pass->epoch) {
        t->grad = il__scratch(k, il_count(&t->pub));
        if (t->grad == NULL) {
            return NULL;
        }
        t->epoch = k->pass->epoch;
        *beta = 0.0f;
    }
    return t->grad;
}

float *il__grad_add(il__back *k, il__tensor *t)
{
    float beta;
    float *grad = il__grad(k, t, &beta);

    if (grad != NULL && beta == 0.0f) {
        memset(grad, 0, (size_t)il_count(&t->pub) * sizeof *grad);
    }
    return grad;
}

bool il__hand_on(il__back *k, il__tensor *t, il__tensor *out)
{
    if (t == NULL || k->failed || !il_bits_meet(t->g, k->route, k->pass->words)) {
        return false;
    }
    t = t->base;
    if (t->bit >= 0 || t->epoch == k->pass->epoch ||
        il_count(&t->pub) != il_count(&out->pub)) {
        return false;
    }
    t->grad = out->grad;
    t->epoch = k->pass->epoch;
    out->grad = NULL;
    return true;
}

float *il__scratch(il__back *k, int64_t count)
{
    float *memory;

    for (int i = k->spares - 1; i >= 0; i--) {
        if (k->spare[i].count == count) {
            memory = k->spare[i].data;
            k->spare[i] = k->spare[--k->spares];
            return memory;
        }
    }
    memory = il_arena_alloc(k->pass->lent, (size_t)count * sizeof(float));
    k->failed = k->failed || memory == NULL;
    return memory;
}

void il__release(il__back *k, float *data, int64_t count)
{
    if (data != NULL && k->spares < IL__SPARE_MAX) {
        k->spare[k->spares].data = data;
        k->spare[k->spares++].count = count;
    }
}

/* An output's gradient after its op has run: all its readers lay later on the tape, so
 * it is done. */
static void release_grad(il__back *k, il__tensor *t)
{
    if (il__arrived(k, t) != NULL) {
        il__release(k, t->grad, il_count(&t->pub));
        t->grad = NULL;
    }
}

/* Brings in the roots' seeds, as if from ops after the last. */
static void seed_roots(il__back *k, size_t count, il_tensor *const *roots,
                       const float *const *seeds)
{
    for (size_t i = 0; i < count; i++) {
        il__tensor *root = il__t(roots[i]);
        float beta;
        float *grad = il__grad(k, root, &beta);
        int64_t n = il_count(&root->pub);

        if (grad == NULL) {
            continue;
        }
        if (beta == 0.0f) {
            memcpy(grad, seeds[i], (size_t)n * sizeof *grad);
            continue;
        }
        for (int64_t j = 0; j < n; j++) {
            grad[j] += seeds[i][j];
        }
    }
}

il_status il_pass_backward(il_pass *p, size_t count, il_tensor *const *roots,
                           const float *const *seeds, const il_word *route,
                           float *const *grads, il_error *err)
{
    il__pass *own = il__of(p);
    il__back k = {.pass = own, .route = route, .grads = grads};
    il_arena_mark mark;

    IL_TRY(il_pass_status(p, err));
    for (size_t i = 0; i < count; i++) {
        if (roots[i] == NULL || roots[i]->data == NULL) {
            return il_error_set(err, IL_ERR_INPUT, "backward", "root %zu is empty", i);
        }
    }
    mark = il_arena_save(own->lent);
    own->epoch++;
    seed_roots(&k, count, roots, seeds);
    for (il__node *n = own->last; n != NULL && !k.failed; n = n->before) {
        if (il__arrived(&k, n->out) != NULL || il__arrived(&k, n->also) != NULL) {
            n->backward(&k, n);
            release_grad(&k, n->out);
            release_grad(&k, n->also);
        }
    }
    own->epoch++; /* no gradient of this backward is one any more */
    il_arena_restore(own->lent, mark);
    if (k.failed) {
        return il_error_set(err, IL_ERR_MEMORY, "backward", "no memory for gradients");
    }
    return IL_OK;
}

const il_word *il_tensor_g(const il_tensor *t)
{
    return il__t(t)->g;
}

const il_word *il_tensor_v(const il_tensor *t)
{
    return il__t(t)->v;
}
