/* How a dictionary learns: its loss, and what its steps begin and end with. */
#include <string.h>
#include "sae.h"

/* Notes: how often each feature was active, then the least activation kept. */
static int64_t note_least(const sae *s)
{
    return s->features;
}

int64_t sae_note_count(const void *self)
{
    return note_least(self) + 1;
}

static void note_dense(const sae *s, const il_tensor *f, float *notes)
{
    for (int64_t i = 0; i < il_count(f); i++) {
        notes[i % s->features] += il_f32(f)[i] > 0.0f ? 1.0f : 0.0f;
    }
}

static void note(const sae *s, const encoded *e, const il_learning *l)
{
    const il_sparse *kept = e->sparse;
    const float *v;
    float least = INFINITY;

    if (kept == NULL) {
        note_dense(s, e->dense, l->notes);
        return;
    }
    v = il_f32(kept->values);
    for (int64_t i = 0; i < kept->count; i++) {
        l->notes[kept->columns[i]] += 1.0f;
        least = v[i] < least ? v[i] : least;
    }
    if (kept->count > 0) {
        l->notes[note_least(s)] += least * (float)kept->rows / (float)l->rows;
    }
}

static il_tensor *squares(il_pass *pass, il_tensor *a, il_tensor *b)
{
    return il_row_sum(pass, il_activate(pass, il_sub(pass, a, b), IL_ACT_SQUARE));
}

/* Features that have not been active for long; *list in the pass's memory. */
static int64_t find_dead(const sae *s, il_pass *pass, int32_t **list)
{
    const il_tensor *idle = il_use(pass, s->idle);
    int64_t n = 0;

    *list = il_pass_alloc(pass, (size_t)(s->features + 1) * sizeof **list);
    for (int64_t f = 0; *list != NULL && !il_pass_failed(pass) && f < s->features;
         f++) {
        if (il_f32(idle)[f] >= (float)s->dead_after) {
            (*list)[n++] = (int32_t)f;
        }
    }
    return n;
}

/* Entries of a vector (F) as a vector. */
static il_tensor *pick(il_pass *pass, il_tensor *b, int64_t n, const int32_t *list)
{
    il_tensor *column = il_reshape(pass, b, 2, (const int64_t[]){b->shape[0], 1});

    return il_reshape(pass, il_gather_rows(pass, column, n, list), 1,
                      (const int64_t[]){n});
}

/* Dead features learn what the others leave (Gao et al. 2024, "Scaling and evaluating
 * sparse autoencoders", A.2): the largest `aux_features` of them model the error, which
 * is a constant here. */
static il_tensor *aux_rows(const sae *s, il_pass *pass, il_tensor *x, il_tensor *error)
{
    int32_t *dead;
    int64_t n = find_dead(s, pass, &dead);
    int64_t keep = s->aux_features < n ? s->aux_features : n;
    il_param bias = s->architecture == GATED ? s->b_gate : s->b_enc;
    il_tensor *w;
    il_tensor *b;
    il_tensor *back;
    il_tensor *guess;

    if (n == 0 || keep == 0) {
        return NULL;
    }
    w = il_gather_rows(pass, il_use(pass, s->w_enc), n, dead);
    b = pick(pass, il_use(pass, bias), n, dead);
    back = il_gather_rows(pass, il_use(pass, s->w_dec), n, dead);
    if (keep < n) {
        const il_sparse *f =
            il_top_linear(pass, x, s->applies_b_dec ? il_use(pass, s->b_dec) : NULL, w,
                          b, keep, false);

        guess = il_sparse_matmul(pass, f, back, 0, n);
    } else {
        il_tensor *rows =
            s->applies_b_dec ? il_sub(pass, x, il_use(pass, s->b_dec)) : x;

        guess =
            il_matmul(pass, il_linear_act(pass, rows, w, b, IL_ACT_RELU), back, false);
    }
    return il_affine(pass, squares(pass, guess, il_detach(pass, error)),
                     s->aux * (float)keep / (float)s->aux_features, 0.0f);
}

/* What a row pays for its features. */
static il_tensor *sparsity_rows(const sae *s, il_pass *pass, const encoded *e,
                                il_tensor *x, const il_learning *l)
{
    float by = s->sparsity;
    il_tensor *rows;

    if (l->step < s->warmup) {
        by *= (float)(l->step + 1) / (float)s->warmup;
    }
    switch (s->architecture) {
    case STANDARD:
        return il_affine(pass, il_row_sum(pass, e->dense), by, 0.0f);
    case JUMPRELU:
        return il_affine(pass,
                         sae_count_above(pass, il_detach(pass, e->pre),
                                         il_use(pass, s->threshold), s->bandwidth),
                         by, 0.0f);
    case GATED:
        /* The gate's own reconstruction, through a decoder that it cannot move. */
        rows = il_matmul(pass, e->gate, il_detach(pass, il_use(pass, s->w_dec)), false);
        rows = il_add(pass, rows, il_detach(pass, il_use(pass, s->b_dec)));
        return il_add(pass, squares(pass, rows, x),
                      il_affine(pass, il_row_sum(pass, e->gate), by, 0.0f));
    default:
        return NULL;
    }
}

il_tensor *sae_loss(const void *self, il_pass *pass, const il_reading *r,
                    il_learning *l)
{
    const sae *s = self;
    /* what is to be described is given, its scale too */
    il_tensor *x = il_detach(pass, sae_rows_in(s, pass, sae_joined(pass, r)));
    encoded e = sae_encode(s, pass, x, true);
    il_tensor *bias = il_use(pass, s->b_dec);
    il_tensor *sum = NULL;
    il_tensor *rows = NULL;
    il_tensor *error;
    il_tensor *more;
    int64_t first = 0;

    if (il_pass_failed(pass)) {
        return x;
    }
    note(s, &e, l);
    /* Prefixes of the dictionary each reconstruct (Bussmann et al. 2025, "Learning
     * multi-level features with matryoshka sparse autoencoders"). */
    for (int i = 0; i < s->prefix_count; i++) {
        il_tensor *part = sae_decode(s, pass, &e, first, s->prefixes[i]);
        il_tensor *missed;

        sum = sum != NULL ? il_add(pass, sum, part) : il_add(pass, part, bias);
        missed = squares(pass, sum, x);
        rows = rows != NULL ? il_add(pass, rows, missed) : missed;
        first = s->prefixes[i];
    }
    if (s->prefix_count > 1) {
        rows = il_affine(pass, rows, 1.0f / (float)s->prefix_count, 0.0f);
    }
    more = sparsity_rows(s, pass, &e, x, l);
    rows = more != NULL ? il_add(pass, rows, more) : rows;
    if (s->aux > 0) {
        error = il_sub(pass, x, sum);
        more = aux_rows(s, pass, x, error);
        rows = more != NULL ? il_add(pass, rows, more) : rows;
    }
    return rows;
}

/* The factor that gives rows a mean norm of sqrt(width) (Conerly et al. 2024); 0 where
 * all are zeros. */
static double average_scale(const sae *s, const il_fitting *f)
{
    double sum = 0;

    if (s->normalize != EXPECTED_AVERAGE) {
        return 1.0;
    }
    for (int64_t r = 0; r < f->rows; r++) {
        double squares_ = 0;

        for (int64_t c = 0; c < f->width; c++) {
            double x = (double)f->x[r * f->width + c];

            squares_ += x * x;
        }
        sum += sqrt(squares_);
    }
    return sum > 0 ? sqrt((double)f->width) * (double)f->rows / sum : 0.0;
}

/* Each decoder row of norm 1, and the encoder its transpose. */
static void start_weights(const sae *s, const il_fitting *f)
{
    float *enc = f->values[s->w_enc.id];
    float *dec = f->values[s->w_dec.id];

    for (int64_t i = 0; i < s->features; i++) {
        float *row = dec + i * s->width;
        double norm = 0;

        for (int64_t c = 0; c < s->width; c++) {
            norm += (double)row[c] * (double)row[c];
        }
        norm = norm > 0 ? 1.0 / sqrt(norm) : 0.0;
        for (int64_t c = 0; c < s->width; c++) {
            row[c] = (float)((double)row[c] * norm);
        }
    }
    memcpy(enc, dec, (size_t)(s->features * s->width) * sizeof *enc);
}

il_status sae_start(const void *self, const il_fitting *f, il_error *err)
{
    const sae *s = self;
    double scale = average_scale(s, f);
    float *b_dec = f->values[s->b_dec.id];

    if (scale == 0.0) {
        return il_error_set(err, IL_ERR_NUMERIC, "sae",
                            "the activations are all zeros, which have no scale");
    }
    f->values[s->scale.id][0] = (float)scale;
    for (int64_t c = 0; c < s->width; c++) {
        double sum = 0;

        for (int64_t r = 0; r < f->rows; r++) {
            sum += (double)f->x[r * s->width + c];
        }
        /* rows that are scaled one by one are about 0 already */
        b_dec[c] = s->normalize == CONSTANT_NORM || s->normalize == LAYER_NORM
                       ? 0.0f
                       : (float)(scale * sum / (double)f->rows);
    }
    start_weights(s, f);
    for (int64_t i = 0; s->architecture == JUMPRELU && i < s->features; i++) {
        f->values[s->threshold.id][i] = s->first_threshold;
    }
    return IL_OK;
}

void sae_after_step(const void *self, const il_learning *l, float *const *values)
{
    const sae *s = self;
    float *idle = values[s->idle.id];
    float *bias = values[s->architecture == GATED ? s->b_gate.id : s->b_enc.id];
    float least = l->notes[note_least(s)];

    /* A feature that is below 0 on every row has no gradient. Its bias rises by the
     * rate, which is what Adam makes of a penalty on being below (Conerly et al. 2025,
     * "Dictionary learning optimization techniques"). */
    for (int64_t f = 0; f < s->features; f++) {
        idle[f] = l->notes[f] > 0.0f ? 0.0f : idle[f] + 1.0f;
        bias[f] += s->aux > 0 && idle[f] >= (float)s->dead_after ? l->lr : 0.0f;
    }
    for (int64_t f = 0; s->architecture == JUMPRELU && f < s->features; f++) {
        float *t = values[s->threshold.id] + f;

        *t = *t < 0.0f ? 0.0f : *t;
    }
    /* BatchTopK has no batch to look at once it is trained: it goes by the mean least
     * activation that training kept (Bussmann et al. 2024). */
    for (int64_t f = 0; s->architecture == BATCHTOPK && f < s->features; f++) {
        float *t = values[s->threshold.id] + f;

        *t = l->step == 0 ? least : *t + s->follow * (least - *t);
    }
}
