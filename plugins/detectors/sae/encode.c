/* From rows to features and back. */
#include "sae.h"

static il_tensor *shift_of(const sae *s, il_pass *pass)
{
    return s->applies_b_dec ? il_use(pass, s->b_dec) : NULL;
}

static il_tensor *centred(const sae *s, il_pass *pass, il_tensor *x)
{
    return s->applies_b_dec ? il_sub(pass, x, il_use(pass, s->b_dec)) : x;
}

/* Rajamanoharan et al. 2024, "Improving dictionary learning with gated sparse
 * autoencoders": one product, two biases, and a factor exp(r_mag) between them. */
static encoded encode_gated(const sae *s, il_pass *pass, il_tensor *x, bool training)
{
    il_tensor *both =
        il_linear(pass, centred(s, pass, x), il_use(pass, s->w_enc), NULL);
    il_tensor *gate = il_add(pass, both, il_use(pass, s->b_gate));
    il_tensor *by = il_activate(pass, il_use(pass, s->r_mag), IL_ACT_EXP);
    il_tensor *size = il_add(pass, il_mul(pass, both, by), il_use(pass, s->b_mag));
    encoded e = {.dense = sae_where_open(pass, il_relu(pass, size), gate)};

    e.gate = training ? il_relu(pass, gate) : NULL;
    return e;
}

encoded sae_encode(const sae *s, il_pass *pass, il_tensor *x, bool training)
{
    il_tensor *w = il_use(pass, s->w_enc);
    encoded e = {.sparse = NULL};
    il_tensor *b;

    if (s->architecture == GATED) {
        return encode_gated(s, pass, x, training);
    }
    b = il_use(pass, s->b_enc);
    switch (s->architecture) {
    case TOPK:
        e.sparse = il_top_linear(pass, x, shift_of(s, pass), w, b, s->k, false);
        break;
    case BATCHTOPK:
        if (training) {
            e.sparse = il_top_linear(pass, x, shift_of(s, pass), w, b, s->k, true);
            break;
        }
        e.dense = sae_above(pass, il_linear(pass, centred(s, pass, x), w, b),
                            il_use(pass, s->threshold), 0.0f);
        break;
    case JUMPRELU:
        e.pre = il_linear(pass, centred(s, pass, x), w, b);
        e.dense = sae_above(pass, e.pre, il_use(pass, s->threshold),
                            training ? s->bandwidth : 0.0f);
        break;
    default:
        e.dense = il_linear_act(pass, centred(s, pass, x), w, b, IL_ACT_RELU);
        break;
    }
    return e;
}

il_tensor *sae_dense(il_pass *pass, const encoded *e)
{
    return e->dense != NULL ? e->dense : il_sparse_dense(pass, e->sparse);
}

il_tensor *sae_decode(const sae *s, il_pass *pass, const encoded *e, int64_t first,
                      int64_t last)
{
    il_tensor *w = il_use(pass, s->w_dec);
    int32_t *rows;

    if (e->dense == NULL) {
        return il_sparse_matmul(pass, e->sparse, w, first, last);
    }
    if (first == 0 && last == s->features) {
        return il_matmul(pass, e->dense, w, false);
    }
    rows = il_pass_alloc(pass, (size_t)(last - first + 1) * sizeof *rows);
    for (int64_t i = first; rows != NULL && i < last; i++) {
        rows[i - first] = (int32_t)i;
    }
    return il_matmul(pass, il_slice(pass, e->dense, first, last - first),
                     il_gather_rows(pass, w, last - first, rows), false);
}
