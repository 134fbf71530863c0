/* The forward pass of every architecture: in parts that are there or not. */
#include "decoder.h"

#include <stdio.h>

/* What earlier positions left when the model acts step by step: for each block their
 * keys and values, `apart` numbers from one row's to the next. */
typedef struct past {
    float *cache;
    int64_t apart;
    int64_t at; /* how many positions there are */
    int64_t length;
} past;

static il_tensor *matrix_plain(il_pass *pass, const matrix *m, il_tensor *x, il_act act)
{
    il_tensor *w = il_use(pass, m->w);
    il_tensor *b = m->biased ? il_use(pass, m->b) : NULL;

    if (!m->turned) {
        return il_linear_act(pass, x, w, b, act);
    }
    x = il_matmul(pass, x, w, false);
    x = b != NULL ? il_add(pass, x, b) : x;
    return act != IL_ACT_NONE ? il_activate(pass, x, act) : x;
}

/* x (...,I) -> act(W x + b + sum of scale B A x), (...,O). */
static il_tensor *matrix_apply(il_pass *pass, const matrix *m, il_tensor *x, il_act act)
{
    il_tensor *y;
    il_tensor *low;

    if (m->adapters == 0) {
        return matrix_plain(pass, m, x, act);
    }
    y = matrix_plain(pass, m, x, IL_ACT_NONE);
    for (int i = 0; i < m->adapters; i++) {
        const adapter *a = &m->lora[i];

        low = il_linear(pass, x, il_use(pass, a->a), NULL);
        low = il_linear(pass, low, il_use(pass, a->b), NULL);
        y = il_add(pass, y, il_affine(pass, low, a->scale, 0.0f));
    }
    return act != IL_ACT_NONE ? il_activate(pass, y, act) : y;
}

static il_tensor *norm_apply(il_pass *pass, const decoder *d, const norm *n,
                             il_site site, il_tensor *x)
{
    il_tensor *w = il_use(pass, n->w);

    x = d->rms ? il_rms_norm(pass, x, w, d->eps)
               : il_layer_norm(pass, x, w, il_use(pass, n->b), d->eps);
    return il_hook(pass, site, x);
}

/* ---- attention ------------------------------------------------------------------ */

/* One of the three parts of each head in x (B,T,heads*3*D), as (B,T,heads*D). */
static il_tensor *part_of_heads(il_pass *pass, const decoder *d, il_tensor *x,
                                int64_t part)
{
    const int64_t b = x->shape[0];
    const int64_t t = x->shape[1];

    x = il_reshape(pass, x, IL_SHAPE(b, t, d->heads, 3 * d->head));
    x = il_slice(pass, x, part * d->head, d->head);
    return il_reshape(pass, x, IL_SHAPE(b, t, d->heads * d->head));
}

/* Queries, keys and values of x (B,T,C), before positions turn them. */
static void qkv_apply(il_pass *pass, const decoder *d, const block *b, il_tensor *x,
                      il_tensor *qkv[3])
{
    il_tensor *all;

    if (d->fused == FUSED_NOT) {
        qkv[0] = matrix_apply(pass, &b->q, x, IL_ACT_NONE);
        qkv[1] = matrix_apply(pass, &b->k, x, IL_ACT_NONE);
        qkv[2] = matrix_apply(pass, &b->v, x, IL_ACT_NONE);
    } else {
        all = matrix_apply(pass, &b->q, x, IL_ACT_NONE);
        if (il_pass_failed(pass)) {
            qkv[0] = qkv[1] = qkv[2] = all;
            return;
        }
        for (int64_t i = 0; i < 3; i++) {
            qkv[i] = d->fused == FUSED_BY_HEAD
                         ? part_of_heads(pass, d, all, i)
                         : il_slice(pass, all, i * d->width, d->width);
        }
    }
    qkv[0] = il_hook(pass, b->site_q, qkv[0]);
    qkv[1] = il_hook(pass, b->site_k, qkv[1]);
    qkv[2] = il_hook(pass, b->site_v, qkv[2]);
}

/* Numbers that a block keeps of a row. */
static int64_t cache_size(const decoder *d, int64_t length)
{
    return 2 * d->groups * d->head * length;
}

static il_tensor *attention_apply(il_pass *pass, const decoder *d, const block *b,
                                  const past *before, il_tensor *turns, il_tensor *x)
{
    il_tensor *qkv[3];
    il_tensor *pattern = NULL;
    il_attention a = {.struct_size = sizeof a,
                      .heads = (int32_t)d->heads,
                      .scale = b->scale,
                      .window = b->window};
    il_tensor *z;

    qkv_apply(pass, d, b, x, qkv);
    if (turns != NULL) {
        qkv[0] =
            il_hook(pass, b->rot_q, il_rotary(pass, qkv[0], (int32_t)d->heads, turns));
        qkv[1] =
            il_hook(pass, b->rot_k, il_rotary(pass, qkv[1], (int32_t)d->groups, turns));
    }
    a.q = qkv[0];
    a.k = qkv[1];
    a.v = qkv[2];
    if (before != NULL) {
        a.cache = before->cache + (b - d->blocks) * cache_size(d, before->length);
        a.at = before->at;
        a.length = before->length;
        a.apart = before->apart;
    } else if (il_hook_wanted(pass, b->pattern)) {
        a.pattern = &pattern;
    }
    z = il_attend(pass, &a);
    if (pattern != NULL) {
        (void)il_hook(pass, b->pattern, pattern); /* read, never put back */
    }
    z = il_hook(pass, b->z, z);
    return il_hook(pass, b->attn_out, matrix_apply(pass, &b->o, z, IL_ACT_NONE));
}

/* ---- blocks --------------------------------------------------------------------- */

/* (B,T,C) -> (B,T,C), what the hidden layer adds to the residual stream. */
static il_tensor *hidden_apply(il_pass *pass, const decoder *d, const block *b,
                               il_tensor *x)
{
    il_tensor *h;

    if (d->gated) {
        h = il_hook(pass, b->pre, matrix_apply(pass, &b->gate, x, IL_ACT_NONE));
        x = il_hook(pass, b->pre_linear, matrix_apply(pass, &b->in, x, IL_ACT_NONE));
        h = il_gated(pass, h, x, d->act);
    } else if (il_hook_wanted(pass, b->pre)) {
        h = il_hook(pass, b->pre, matrix_apply(pass, &b->in, x, IL_ACT_NONE));
        h = il_activate(pass, h, d->act);
    } else {
        h = matrix_apply(pass, &b->in, x, d->act);
    }
    h = il_hook(pass, b->post, h);
    return il_hook(pass, b->mlp_out, matrix_apply(pass, &b->out, h, IL_ACT_NONE));
}

static il_tensor *block_apply(il_pass *pass, const decoder *d, const block *b,
                              const past *before, il_tensor *turns, il_tensor *x)
{
    il_tensor *attended;
    il_tensor *start;

    x = il_hook(pass, b->resid_pre, x);
    start = x;
    attended = attention_apply(pass, d, b, before, turns,
                               norm_apply(pass, d, &b->ln1, b->normalized1, x));
    x = il_add(pass, x, attended);
    if (!d->parallel) {
        x = il_hook(pass, b->resid_mid, x);
        start = x;
    }
    x = il_add(
        pass, x,
        hidden_apply(pass, d, b, norm_apply(pass, d, &b->ln2, b->normalized2, start)));
    return il_hook(pass, b->resid_post, x);
}

/* The learned embeddings of positions from `first`, (B,T,C): a row for every token. */
static il_tensor *positions(il_pass *pass, const decoder *d, int64_t rows,
                            int64_t length, int64_t first)
{
    int32_t *at = il_pass_alloc(pass, (size_t)(rows * length) * sizeof *at);

    for (int64_t i = 0; at != NULL && i < rows * length; i++) {
        at[i] = (int32_t)(first + i % length);
    }
    return il_reshape(pass,
                      il_gather_rows(pass, il_use(pass, d->w_pos), rows * length, at),
                      IL_SHAPE(rows, length, d->width));
}

/* Whether the batch's tokens fit after the `at` that went before; the pass fails with
 * what was expected when they do not. */
static bool tokens_check(il_pass *pass, const decoder *d, const il_tensor *tokens,
                         int64_t at)
{
    char message[160];

    if (tokens == NULL || tokens->ndim != 2 || tokens->dtype.code != IL_CODE_INT ||
        tokens->dtype.bits != 32) {
        il_pass_fail(pass, IL_ERR_INPUT,
                     "hf_decoder: expected a batch field \"tokens\", (B,T) of 32-bit "
                     "integers");
        return false;
    }
    if (tokens->shape[1] > d->context - at) {
        (void)snprintf(message, sizeof message,
                       "hf_decoder: sequences of %lld tokens, but the model's context "
                       "is %lld",
                       (long long)(at + tokens->shape[1]), (long long)d->context);
        il_pass_fail(pass, IL_ERR_SHAPE, message);
        return false;
    }
    return true;
}

/* tokens (B,T) -> the final norm's (B,T,C), logits handed over; NULL where the tokens
 * do not fit. */
static il_tensor *stream(il_pass *pass, const decoder *d, const il_tensor *tokens,
                         const past *before)
{
    const int64_t at = before != NULL ? before->at : 0;
    il_tensor *turns = NULL;
    il_tensor *x;

    if (!tokens_check(pass, d, tokens, at)) {
        return NULL;
    }
    x = il_hook(pass, d->embed, il_embedding(pass, il_use(pass, d->w_e), tokens));
    if (d->learned) {
        x = il_add(pass, x,
                   il_hook(pass, d->pos_embed,
                           positions(pass, d, tokens->shape[0], tokens->shape[1], at)));
    } else {
        turns = il_rotary_table(pass, at, tokens->shape[1], (int32_t)d->pairs, d->rates,
                                d->turn_scale);
    }
    for (int64_t n = 0; n < d->layers; n++) {
        x = block_apply(pass, d, &d->blocks[n], before, turns, x);
    }
    x = norm_apply(pass, d, &d->ln_final, d->normalized, x);
    il_output_linear(pass, "logits", x, il_use(pass, d->w_u), NULL);
    return x;
}

/* tokens (B,T) -> logits (B,T,V), and the loss of each next token where the batch has
 * them. [work] */
void decoder_forward(const void *self, il_pass *pass, const il_batch *batch)
{
    const decoder *d = self;
    const il_tensor *next = il_batch_find(batch, "next");
    il_tensor *x = stream(pass, d, il_batch_find(batch, "tokens"), NULL);

    if (x != NULL && next != NULL) {
        il_loss(pass, "next_token",
                il_cross_entropy_linear(pass, x, il_use(pass, d->w_u), NULL, next));
    }
}

/* Every block's keys and values. [any] */
int64_t decoder_carry_width(const void *self, int64_t length)
{
    const decoder *d = self;

    return d->layers * cache_size(d, length);
}

/* [work] */
void decoder_step(const void *self, il_pass *pass, const il_batch *batch, int64_t at,
                  int64_t length, float *carry)
{
    const decoder *d = self;
    const past before = {.cache = carry,
                         .apart = decoder_carry_width(d, length),
                         .at = at,
                         .length = length};

    (void)stream(pass, d, il_batch_find(batch, "tokens"), &before);
}
