/* Entropy and divergence of categorical policies, row by row. Log-probabilities are
 * cross_entropy's. */
#include "tensor/tape.h"

#include <string.h>
#include "tensor/kernels.h"

/* dx_j += dy p_j (-log p_j - H); state: the rows' scales. */
static void back_entropy(il__back *k, il__node *n)
{
    const il_tensor *x = &n->in[0]->pub;
    float *dx = il__grad_add(k, n->in[0]);

    if (dx != NULL) {
        il_k_entropy_backward(dx, il__arrived(k, n->out), il_f32(&n->out->pub),
                              n->state, il_f32(x), il_rows(x), il_width(x));
    }
}

il_tensor *il__op_entropy_rows(il_pass *p, il_tensor *logits)
{
    il__tensor *y;
    float *scale;

    if (!il__ready(p, "entropy_rows", 1, 1, &logits)) {
        return il__empty(p);
    }
    if (logits->ndim < 1 || il_width(logits) < 1) {
        return il__refuse(p, IL_ERR_SHAPE, "entropy_rows", 1,
                          (const il_tensor *const *)&logits, "expected logits (...,V)");
    }
    y = il__make(p, "entropy_rows", logits->ndim - 1, logits->shape, 1, &logits);
    scale = y != NULL ? il__floats(p, 2 * il_rows(logits)) : NULL;
    if (scale == NULL) {
        return il__empty(p);
    }
    il_k_entropy_rows(il_f32(&y->pub), scale, il_f32(logits), il_rows(logits),
                      il_width(logits));
    return il__record(p, back_entropy, scale, y, NULL, 1, &logits);
}

/* dx_j += dy p_j (log p_j - log q_j - KL); state: both rows' scales. The
 * reference is read and gets nothing. */
static void back_kl(il__back *k, il__node *n)
{
    const il_tensor *x = &n->in[0]->pub;
    float *dx = il__grad_add(k, n->in[0]);

    if (dx != NULL) {
        il_k_kl_backward(dx, il__arrived(k, n->out), il_f32(&n->out->pub), n->state,
                         il_f32(x), il_f32(&n->in[1]->pub), il_rows(x), il_width(x));
    }
}

il_tensor *il__op_kl_rows(il_pass *p, il_tensor *logits, il_tensor *reference)
{
    il_tensor *in[] = {logits, reference};
    il__tensor *y;
    float *scale;

    if (!il__ready(p, "kl_rows", 2, 2, in)) {
        return il__empty(p);
    }
    if (logits->ndim < 1 || il_width(logits) < 1 ||
        !il__same_shape(logits, reference)) {
        return il__refuse(p, IL_ERR_SHAPE, "kl_rows", 2, (const il_tensor *const *)in,
                          "expected logits (...,V) and a reference of the same shape");
    }
    in[1] =
        il__op_detach(p, reference); /* its ancestry in value stays, the rest ends */
    y = il__make(p, "kl_rows", logits->ndim - 1, logits->shape, 2, in);
    scale = y != NULL ? il__floats(p, 4 * il_rows(logits)) : NULL;
    if (scale == NULL) {
        return il__empty(p);
    }
    il_k_kl_rows(il_f32(&y->pub), scale, il_f32(logits), il_f32(reference),
                 il_rows(logits), il_width(logits));
    return il__record(p, back_kl, scale, y, NULL, 2, in);
}
