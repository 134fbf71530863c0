/* Logits of harvested rows: one forward of a detector over activations that were kept.
 * See fit.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "detect/composite.h"
#include "detect/fit.h"
#include "detect/linear.h"
#include "detect/logits_private.h"

const float *il__detector_acts(const il_detector *d, const il_acts *acts, size_t i)
{
    int64_t at = acts->inputs ? (int64_t)i : il_acts_site(acts, d->sites[i]);

    return at >= 0 ? acts->data[at] : NULL;
}

float *il__detector_gather(const il_detector *d, const il_acts *acts, il_error *err)
{
    int64_t width = il_detector_width(d);
    int64_t first = 0;
    float *x;

    x = malloc(((size_t)(acts->rows.count * width) + 1) * sizeof *x);
    if (x == NULL) {
        (void)il_error_set(err, IL_ERR_MEMORY, d->spec->name, "out of memory");
        return NULL;
    }
    for (size_t i = 0; i < il_detector_input_count(d); i++) {
        const float *data = il__detector_acts(d, acts, i);
        int64_t own = il_detector_input_width(d, i);

        if (data == NULL) {
            free(x);
            (void)il_error_set(err, IL_ERR_INTERNAL, d->spec->name,
                               "the harvest lacks a site of this detector");
            return NULL;
        }
        for (int64_t r = 0; r < acts->rows.count; r++) {
            memcpy(x + r * width + first,
                   data + (acts->gathered ? r : acts->rows.rows[r]) * own,
                   (size_t)own * sizeof *x);
        }
        first += own;
    }
    return x;
}

/* One input's rows of sequences: last positions or, with `mean`, means of all. */
static void flatten(float *out, const il_acts *acts, const float *data, int64_t width,
                    bool mean)
{
    const il_scored *rows = &acts->rows;

    for (int64_t u = 0; u < rows->count; u++) {
        int64_t end = il_scored_first(rows, u + 1);
        int64_t first = mean ? il_scored_first(rows, u) : end - 1;

        for (int64_t c = 0; c < width; c++) {
            double sum = 0;

            for (int64_t i = first; i < end; i++) {
                sum += data[(acts->gathered ? i : rows->tokens[i]) * width + c];
            }
            out[u * width + c] = (float)(sum / (double)(end - first));
        }
    }
}

il_status il__detector_flatten(il_acts *out, il_arena **arena, const il_detector *d,
                               const il_acts *acts, il_error *err)
{
    bool mean = d->spec->pooling.kind == IL_POOL_MEAN && il_detector_linear(d);
    size_t n = il_detector_input_count(d);
    const float **data;
    int64_t *widths;

    *arena = il_arena_create(1 << 16);
    *out = *acts;
    out->arena = NULL;
    out->rows = il_scored_tokens(&acts->rows);
    if (!mean && d->spec->pooling.kind != IL_POOL_LAST) {
        return *arena != NULL
                   ? IL_OK
                   : il_error_set(err, IL_ERR_MEMORY, d->spec->name, "out of memory");
    }
    out->rows = il_scored_flat(&acts->rows);
    data = *arena != NULL ? il_arena_calloc(*arena, n + 1, sizeof *data) : NULL;
    widths = data != NULL ? il_arena_calloc(*arena, n + 1, sizeof *widths) : NULL;
    for (size_t i = 0; widths != NULL && i < n; i++) {
        const float *from = il__detector_acts(d, acts, i);
        float *to;

        widths[i] = il_detector_input_width(d, i);
        to = il_arena_alloc(*arena,
                            ((size_t)(acts->rows.count * widths[i]) + 1) * sizeof *to);
        if (to == NULL || from == NULL) {
            widths = NULL;
            break;
        }
        flatten(to, acts, from, widths[i], mean);
        data[i] = to;
    }
    if (widths == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, d->spec->name, "out of memory");
    }
    out->site_count = n;
    out->widths = widths;
    out->data = data;
    out->gathered = true;
    out->inputs = true; /* by the component's own numbers */
    return IL_OK;
}

il_status il__detector_borrow(const il_detector *d, il_pass *pass, const il_acts *acts,
                              il_tensor **x, il_error *err)
{
    bool inputs = acts->inputs;
    int64_t tokens = il_scored_first(&acts->rows, acts->rows.count);
    size_t n = inputs ? il_detector_input_count(d) : d->site_count;

    for (size_t i = 0; i < n; i++) {
        const float *data = il__detector_acts(d, acts, i);
        int64_t width = inputs ? il_detector_input_width(d, i) : d->widths[i];

        if (data == NULL) {
            return il_error_set(err, IL_ERR_INTERNAL, d->spec->name,
                                "the harvest lacks a site of this detector");
        }
        x[i] =
            acts->gathered
                ? il_pass_borrow(pass, IL_SHAPE(tokens, width), data)
                : il_pass_borrow(
                      pass, IL_SHAPE(acts->rows.batch, acts->rows.length, width), data);
    }
    return IL_OK;
}

il_status il__detector_forward(const il_detector *d, il_pass *pass, const il_acts *acts,
                               int64_t first_bit, il_tensor **logits, il_error *err)
{
    il_tensor *x[IL_DETECTOR_SITES_MAX];

    IL_TRY(il__detector_borrow(d, pass, acts, x, err));
    *logits = acts->inputs ? il__detector_score_inputs(d, pass, &acts->rows, x,
                                                       acts->gathered, first_bit)
                           : il_detector_score(d, pass, &acts->rows, x, acts->gathered,
                                               first_bit);
    return il_pass_status(pass, err);
}

/* Part of the acts, [first, first+count) of its documents, whose `n` scored rows begin
 * at `row`. Borrows all but the numbers of its rows, which are the part's own. */
typedef struct chunk {
    il_acts acts;
    const float **data;
    int32_t *rows;
    int32_t *tokens;
} chunk;

static void chunk_cut(chunk *c, const il_acts *acts, int64_t first, int64_t count,
                      int64_t row, int64_t n)
{
    int64_t position = first * acts->rows.length;
    int64_t token = il_scored_first(&acts->rows, row);

    c->acts = *acts;
    c->acts.arena = NULL;
    c->acts.data = c->data;
    c->acts.rows.batch = count;
    c->acts.rows.count = n;
    c->acts.rows.rows = c->rows;
    c->acts.rows.labels = NULL;
    c->acts.rows.documents = NULL;
    if (acts->rows.lengths != NULL) {
        c->acts.rows.lengths = acts->rows.lengths + first;
    }
    if (acts->rows.inputs != NULL) {
        c->acts.rows.inputs = acts->rows.inputs + position;
    }
    if (acts->rows.keys != NULL) {
        c->acts.rows.keys = acts->rows.keys + position;
    }
    for (int64_t i = 0; i < n; i++) {
        c->rows[i] = acts->rows.rows[row + i] - (int32_t)position;
    }
    if (acts->rows.first != NULL) {
        int64_t end = il_scored_first(&acts->rows, row + n);

        c->acts.rows.first = acts->rows.first + row;
        c->acts.rows.tokens = c->tokens;
        c->acts.rows.token_labels = NULL;
        for (int64_t i = token; i < end; i++) {
            c->tokens[i - token] = acts->rows.tokens[i] - (int32_t)position;
        }
    }
    for (size_t i = 0; i < acts->site_count; i++) {
        c->data[i] =
            acts->data[i] + (acts->gathered ? token : position) * acts->widths[i];
    }
}

static il_status walk(il_pass *pass, const il_acts *acts, chunk *c, il_chunk_step *step,
                      void *user, il_error *err)
{
    int64_t row = 0;

    for (int64_t first = 0; first < acts->rows.batch; first += IL_HARVEST_CHUNK) {
        int64_t left = acts->rows.batch - first;
        int64_t count = left < IL_HARVEST_CHUNK ? left : IL_HARVEST_CHUNK;
        int64_t end = row;

        while (end < acts->rows.count &&
               acts->rows.rows[end] < (first + count) * acts->rows.length) {
            end++;
        }
        if (end == row) {
            continue; /* nothing is scored in these documents */
        }
        chunk_cut(c, acts, first, count, row, end - row);
        il_pass_begin(pass);
        IL_TRY(step(user, pass, &c->acts, first, row, err));
        row = end;
    }
    return IL_OK;
}

il_status il__detector_chunks(const il_detector *d, const il_blas *blas,
                              const il_acts *acts, il_chunk_step *step, void *user,
                              il_error *err)
{
    size_t room = (size_t)(IL_HARVEST_CHUNK * acts->rows.length) + 1;
    chunk c = {.data = calloc(acts->site_count + 1, sizeof *c.data),
               .rows = calloc(room, sizeof *c.rows),
               .tokens = calloc(room, sizeof *c.tokens)};
    il_pass *pass = NULL;
    il_status status =
        c.data != NULL && c.rows != NULL && c.tokens != NULL
            ? il_pass_create(&pass, blas, 0, err)
            : il_error_set(err, IL_ERR_MEMORY, d->spec->name, "out of memory");

    if (status == IL_OK) {
        status = walk(pass, acts, &c, step, user, err);
    }
    il_pass_destroy(pass);
    free(c.data);
    free(c.rows);
    free(c.tokens);
    return status;
}

typedef struct scoring {
    const il_detector *d;
    float *logits;
    int64_t *asked; /* [member] */
} scoring;

static il_status score_chunk(void *user, il_pass *pass, const il_acts *part,
                             int64_t first, int64_t row, il_error *err)
{
    const scoring *s = user;
    il_tensor *inputs[IL_DETECTOR_SITES_MAX];
    il_tensor *logits = NULL;
    il_scored rows = part->rows;

    (void)first;
    if (!part->inputs && il__detector_in_turn(s->d)) {
        IL_TRY(il__detector_turns(s->d, pass, part, inputs, s->asked, err));
        if (il__detector_reads_pooled(s->d)) {
            rows = il_scored_flat(&rows);
        }
        logits = il__detector_score_inputs(s->d, pass, &rows, inputs, true, -1);
        IL_TRY(il_pass_status(pass, err));
    } else {
        IL_TRY(il__detector_forward(s->d, pass, part, -1, &logits, err));
    }
    memcpy(s->logits + row, il_f32(logits), (size_t)part->rows.count * sizeof(float));
    return IL_OK;
}

il_status il_detector_logits(const il_detector *d, const il_blas *blas,
                             const il_acts *acts, float *logits, il_error *err)
{
    double escalated;

    return il_detector_logits_told(d, blas, acts, logits, &escalated, err);
}

il_status il_detector_logits_told(const il_detector *d, const il_blas *blas,
                                  const il_acts *acts, float *logits, double *escalated,
                                  il_error *err)
{
    int64_t asked[IL_DETECTOR_SITES_MAX] = {0};
    scoring s = {d, logits, asked};

    IL_TRY(il__detector_chunks(d, blas, acts, score_chunk, &s, err));
    *escalated =
        asked[0] > 0 && d->member_count > 1 ? (double)asked[1] / (double)asked[0] : NAN;
    return IL_OK;
}
