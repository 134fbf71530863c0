/* Episodes of text: prompts from the environment, answers from the model, token by
 * token. A row that has ended is stepped no more, and another's carry takes its place.
 */
#include "episode/episodes_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "interloop/abi.h"
#include "base/compiler.h"
#include "pipeline/batch.h"
#include "tensor/kernels.h"

/* Rows that are answered together: few enough that what they carry stays near the
 * processor, many enough for products. Part of what a row's last bits depend on. */
enum { CHUNK = 48 };

typedef struct writing {
    const il_rollout *r;
    const il_environment_api *api;
    int64_t first;      /* episode */
    int64_t rows;       /* B */
    int64_t length;     /* L */
    int64_t vocabulary; /* the environment's */
    int64_t logits;     /* a row of the model's, which may know more tokens */
    int32_t *tokens;    /* (B,L) */
    int32_t *action;    /* (B,L) */
    float *moves;       /* (B,L) */
    uint8_t *acted;     /* (B,L) */
    int32_t *lengths;   /* (B) */
    int32_t *prompt;    /* (B) */
    bool *ended;        /* (B) */
    il_rng *luck;       /* (B): one stream an answer */
    int64_t width;      /* of what a row carries */
    float *carry;       /* (B, width) */
    int64_t *head;      /* (B): whose logits a row reads */
    int64_t *kin;       /* (B): which of the beginnings a row has so far */
    int64_t *opener;    /* of each beginning, the first row that has it */
    int64_t live;       /* rows that go on */
    int64_t *row;       /* [live]: whose carry is the i-th */
    int32_t *some;      /* (B,T) tokens of one step, side by side */
    float *weights;     /* (B, those allowed) */
    int32_t *allowed;   /* the tokens that may be drawn, ascending */
    int64_t allowed_count;
} writing;

/* ---- what the model is shown: tokens alone -------------------------------------- */

typedef struct shown {
    il_batch batch; /* first: what forward is handed */
    il_tensor tokens;
} shown;

static const il_tensor *shown_find(const il_batch *b, const char *name)
{
    return strcmp(name, "tokens") == 0 ? &((const shown *)b)->tokens : NULL;
}

static int64_t shown_rows(const il_batch *b)
{
    return ((const shown *)b)->tokens.shape[0];
}

static void *shown_add(il_batch *b, const char *name, il_type type, int32_t ndim,
                       const int64_t *shape)
{
    (void)b;
    (void)name;
    (void)type;
    (void)ndim;
    (void)shape;
    return NULL; /* a model is handed it const */
}

static void shown_fail(il_batch *b, il_status code, const char *message)
{
    (void)b;
    (void)code;
    (void)message;
}

static const il_batch_api shown_api = {.struct_size = sizeof(il_batch_api),
                                       .add = shown_add,
                                       .find = shown_find,
                                       .rows = shown_rows,
                                       .fail = shown_fail};

static shown shown_of(int32_t *tokens, int64_t rows, int64_t length)
{
    return (shown){.batch = {.api = &shown_api},
                   .tokens = {.data = tokens,
                              .device_type = IL_DEVICE_CPU,
                              .dtype = {IL_CODE_INT, 32, 1},
                              .ndim = 2,
                              .shape = {rows, length}}};
}

/* ---- logits --------------------------------------------------------------------- */

/* Steps positions [from, at) of `rows` rows, whose tokens stand in `some` side by side.
 */
static il_status feed(writing *w, int64_t rows, int64_t from, int64_t at, il_pass *pass,
                      il_error *err)
{
    const il_instance *model = w->r->model;
    const il_scope scope = {.label = "model",
                            .store = model->store,
                            .values = w->r->values,
                            .first_bit = -1};
    const shown seen = shown_of(w->some, rows, at - from);

    il_pass_begin(pass);
    il_pass_enter(pass, &scope);
    il_instance_model(model)->step(model->self, pass, &seen.batch, from, w->length,
                                   w->carry);
    il_pass_leave(pass);
    return il_pass_status(pass, err);
}

/* Steps the one position before `at`; the logits (rows,V) that follow it. */
static il_status step(writing *w, int64_t rows, int64_t at, il_pass *pass,
                      const float **out, il_error *err)
{
    const il_tensor *logits;

    IL_TRY(feed(w, rows, at - 1, at, pass, err));
    logits = il_pass_output(pass, "logits");
    IL_TRY(il_pass_status(pass, err));
    w->logits = il_width(logits);
    if (w->logits < w->vocabulary || il_rows(logits) != rows) {
        return il__rollout_fault(w->r, IL_ERR_SHAPE, w->first, at, err,
                                 "the model gave %lld rows of %lld logits, expected "
                                 "%lld of at least %lld",
                                 (long long)il_rows(logits),
                                 (long long)il_width(logits), (long long)rows,
                                 (long long)w->vocabulary);
    }
    *out = il_f32(logits);
    return IL_OK;
}

/* ---- prompts are stepped -------------------------------------------------------- */

/* Numbers the rows' first `at` tokens in `out`, equal ones alike and in the order in
 * which they come up, given the numbers in kin of what is shorter; in `opener` the row
 * that each came up with. Returns how many there are. */
static int64_t beginnings(const writing *w, const int64_t *kin, int64_t at,
                          int64_t *out, int64_t *opener)
{
    int64_t count = 0;

    for (int64_t b = 0; b < w->rows; b++) {
        const int32_t token = w->tokens[b * w->length + at - 1];
        int64_t n = 0;

        while (n < count && (kin[opener[n]] != kin[b] ||
                             w->tokens[opener[n] * w->length + at - 1] != token)) {
            n++;
        }
        opener[n] = n == count ? b : opener[n];
        count += n == count;
        out[b] = n;
    }
    return count;
}

/* Shows the tokens [from, at) of each beginning, side by side. */
static void beginnings_show(writing *w, int64_t count, int64_t from, int64_t at)
{
    for (int64_t n = 0; n < count; n++) {
        memcpy(w->some + n * (at - from), w->tokens + w->opener[n] * w->length + from,
               (size_t)(at - from) * sizeof *w->some);
    }
}

/* Gives the i-th of `count` the carry that stood at from[i], which is i at most, so
 * that none is overwritten before it is read. */
static void carries_spread(writing *w, int64_t count, const int64_t *from)
{
    for (int64_t i = count; i-- > 0;) {
        if (from[i] != i) {
            memcpy(w->carry + i * w->width, w->carry + from[i] * w->width,
                   (size_t)w->width * sizeof *w->carry);
        }
    }
}

/* Steps the positions [from, at) of the beginnings for what they leave alone, since
 * nobody reads their logits. */
static il_status beginnings_step(writing *w, int64_t count, int64_t from, int64_t at,
                                 il_pass *pass, il_error *err)
{
    il_status status;

    if (from == at) {
        return IL_OK;
    }
    beginnings_show(w, count, from, at);
    il_pass_only(pass, "");
    status = feed(w, count, from, at, pass, err);
    il_pass_only(pass, "logits");
    return status;
}

/* Goes from beginnings kept in kin and opener to longer ones, `next`. */
static void beginnings_grow(writing *w, const int64_t *next, const int64_t *opener,
                            int64_t count)
{
    int64_t from[CHUNK];

    for (int64_t n = 0; n < count; n++) {
        from[n] = w->kin[opener[n]];
        w->opener[n] = opener[n];
    }
    memcpy(w->kin, next, (size_t)w->rows * sizeof *next);
    carries_spread(w, count, from);
}

/* Steps the first `at` positions, which every prompt fills. Rows whose prompts begin
 * alike are one row for as long as they do, those of one prompt to its end: most of the
 * work there is may be what they share. Once three in four have parted all do, so that
 * what is left goes through together. Row b's logits are those of head[b]. */
static il_status prompts_step(writing *w, int64_t at, il_pass *pass, const float **out,
                              il_error *err)
{
    int64_t next[CHUNK];
    int64_t whole[CHUNK] = {0};
    int64_t opener[CHUNK];
    int64_t last[CHUNK];
    int64_t most = 1;  /* what there are of whole prompts */
    int64_t count = 1; /* of what stands in the carries */
    int64_t from = 0;

    memset(w->carry, 0, (size_t)w->width * sizeof *w->carry);
    memset(w->kin, 0, (size_t)w->rows * sizeof *w->kin);
    w->opener[0] = 0;
    for (int64_t t = 1; t <= at; t++) {
        memcpy(next, whole, sizeof next);
        most = beginnings(w, next, t, whole, last);
    }
    for (int64_t t = 1; count < most; t++) {
        int64_t more = beginnings(w, w->kin, t, next, opener);

        if (more == count) {
            continue;
        }
        IL_TRY(beginnings_step(w, count, from, t - 1, pass, err));
        from = t - 1;
        if (4 * more >= 3 * most) {
            more = most;
            memcpy(next, whole, sizeof next);
            memcpy(opener, last, sizeof opener);
        }
        beginnings_grow(w, next, opener, more);
        count = more;
    }
    IL_TRY(beginnings_step(w, count, from, at - 1, pass, err));
    beginnings_show(w, count, at - 1, at);
    IL_TRY(step(w, count, at, pass, out, err));
    memcpy(w->head, w->kin, (size_t)w->rows * sizeof *w->head);
    carries_spread(w, w->rows, w->head);
    return IL_OK;
}

/* ---- answers are stepped -------------------------------------------------------- */

/* Steps the one position before `at`; from here on every row is its own. */
static il_status position_step(writing *w, int64_t at, il_pass *pass, const float **out,
                               il_error *err)
{
    for (int64_t i = 0; i < w->live; i++) {
        w->some[i] = w->tokens[w->row[i] * w->length + at - 1];
        w->head[i] = i;
    }
    return step(w, w->live, at, pass, out, err);
}

/* Moves the last carries to where rows have ended. */
static void ended_drop(writing *w)
{
    for (int64_t i = w->live; i-- > 0;) {
        if (!w->ended[w->row[i]]) {
            continue;
        }
        w->live--;
        if (i < w->live) {
            w->row[i] = w->row[w->live];
            memcpy(w->carry + i * w->width, w->carry + w->live * w->width,
                   (size_t)w->width * sizeof *w->carry);
        }
    }
}

/* ---- drawing -------------------------------------------------------------------- */

/* Uniform in [0,1), 53 bits. */
static double uniform(il_rng *r)
{
    const uint64_t high = il_rng_u32(r) >> 5;
    const uint64_t low = il_rng_u32(r) >> 6;

    return (double)(high << 26 | low) * (1.0 / 9007199254740992.0);
}

/* The softmax of each live row over those allowed, undivided. */
static void weights_make(const writing *w, const float *logits)
{
    const int64_t n = w->allowed_count;

    for (int64_t i = 0; i < w->live; i++) {
        const float *row = logits + w->head[i] * w->logits;
        float *to = w->weights + i * n;
        float most = -INFINITY;

        for (int64_t k = 0; k < n; k++) {
            to[k] = row[w->allowed[k]];
            most = to[k] > most ? to[k] : most;
        }
        for (int64_t k = 0; k < n; k++) {
            to[k] -= most;
        }
    }
    il_k_exp(w->weights, w->weights, w->live * n);
}

/* One token by its weights; -1 where there is none to draw, since a logit is no number.
 */
static int32_t token_draw(const writing *w, const float *weights, il_rng *r)
{
    const int64_t n = w->allowed_count;
    double sum = 0;
    double at;

    for (int64_t i = 0; i < n; i++) {
        sum += (double)weights[i];
    }
    if (!(sum > 0 && sum < INFINITY)) {
        return -1;
    }
    at = uniform(r) * sum;
    for (int64_t i = 0; i < n; i++) {
        at -= (double)weights[i];
        if (at < 0) {
            return w->allowed[i];
        }
    }
    for (int64_t i = n; i-- > 0;) { /* rounding: the last that has any weight */
        if (weights[i] > 0) {
            return w->allowed[i];
        }
    }
    return -1;
}

/* Writes position `at` of every row that is still going on. */
static il_status position_write(writing *w, int64_t at, const float *logits,
                                il_error *err)
{
    const il_environment_shape *shape = &w->r->environment->shape;

    weights_make(w, logits);
    for (int64_t i = 0; i < w->live; i++) {
        const int64_t b = w->row[i];
        const int64_t here = b * w->length + at;
        int32_t token;

        if (at < w->prompt[b]) {
            continue; /* a longer prompt than others */
        }
        token = token_draw(w, w->weights + i * w->allowed_count, &w->luck[b]);
        if (token < 0) {
            return il__rollout_fault(w->r, IL_ERR_NUMERIC, w->first + b, at, err,
                                     "the model's logits are no numbers to draw a "
                                     "token by");
        }
        w->tokens[here] = token;
        w->action[here - 1] = token;
        w->moves[here - 1] = 1.0f;
        w->acted[here - 1] = 1;
        w->lengths[b] = (int32_t)at + 1;
        w->ended[b] =
            token == shape->end || w->lengths[b] - w->prompt[b] == shape->max_tokens;
    }
    return IL_OK;
}

/* ---- prompts -------------------------------------------------------------------- */

/* Consecutive episodes of a group share the luck of their prompt, whatever its kind. */
static il_status prompt_write(writing *w, int64_t b, il_error *err)
{
    const il_rollout *r = w->r;
    const il_environment_shape *shape = &r->environment->shape;
    const int64_t episode = w->first + b;
    const int64_t group = r->group > 0 ? r->group : 1;
    int32_t *tokens = w->tokens + b * w->length;
    il_rng rng;

    for (int64_t t = 0; t < w->length; t++) {
        tokens[t] = shape->pad;
        w->action[b * w->length + t] = -1;
    }
    il__rollout_luck(r, IL__LUCK_ENVIRONMENT, episode / group, &rng);
    w->prompt[b] = w->api->prompt(r->environment->self, r->prompt, &rng, tokens);
    w->lengths[b] = w->prompt[b];
    if (w->prompt[b] < 1 || w->prompt[b] > shape->prompt_tokens) {
        return il__rollout_fault(r, IL_ERR_INPUT, episode, -1, err,
                                 "a prompt of %d tokens, expected 1 to %d",
                                 (int)w->prompt[b], (int)shape->prompt_tokens);
    }
    for (int64_t t = 0; t < w->prompt[b]; t++) {
        if (tokens[t] < 0 || tokens[t] >= w->vocabulary) {
            return il__rollout_fault(r, IL_ERR_INPUT, episode, t, err,
                                     "token %d in its prompt, expected 0 to %lld",
                                     (int)tokens[t], (long long)w->vocabulary - 1);
        }
    }
    il__rollout_luck(r, IL__LUCK_POLICY, episode, &w->luck[b]);
    return IL_OK;
}

static il_status allowed_list(writing *w, il_arena *scratch, il_error *err)
{
    uint8_t *allowed = il_arena_calloc(scratch, (size_t)w->vocabulary, 1);

    w->allowed = il_arena_calloc(scratch, (size_t)w->vocabulary, sizeof *w->allowed);
    if (allowed == NULL || w->allowed == NULL) {
        return il__rollout_fault(w->r, IL_ERR_MEMORY, w->first, -1, err,
                                 "out of memory");
    }
    w->api->allowed(w->r->environment->self, allowed);
    for (int64_t k = 0; k < w->vocabulary; k++) {
        if (allowed[k]) {
            w->allowed[w->allowed_count++] = (int32_t)k;
        }
    }
    return w->allowed_count > 0
               ? IL_OK
               : il__rollout_fault(w->r, IL_ERR_INPUT, w->first, -1, err,
                                   "it allows an answer no token at all");
}

/* ---- the whole ------------------------------------------------------------------ */

static il_status check_prompts(const il_rollout *r, int64_t first, il_error *err)
{
    int32_t kinds = 0;

    (void)il_instance_environment(r->environment)
        ->prompts(r->environment->self, &kinds);
    if (r->sampled_site >= 0) {
        return il__rollout_fault(r, IL_ERR_UNSUPPORTED, first, -1, err,
                                 "a site is sampled in environments of steps only");
    }
    return r->prompt >= 0 && r->prompt < kinds
               ? IL_OK
               : il__rollout_fault(r, IL_ERR_INPUT, first, -1, err,
                                   "no prompts of kind %d, there are %d",
                                   (int)r->prompt, (int)kinds);
}

/* The batch's fields, and scratch for one chunk of rows. */
static il_status writing_open(writing *w, il_arena *scratch, il_batch *out,
                              il_error *err)
{
    const il_environment_shape *shape = &w->r->environment->shape;
    const il_model_api *model = il_instance_model(w->r->model);
    const size_t rows = (size_t)(w->rows < CHUNK ? w->rows : CHUNK);

    w->tokens = il_batch_add(out, "tokens", IL_I32, IL_SHAPE(w->rows, w->length));
    w->action = il_batch_add(out, "action", IL_I32, IL_SHAPE(w->rows, w->length));
    w->lengths = il_batch_add(out, "lengths", IL_I32, IL_SHAPE(w->rows));
    w->moves = il_batch_add(out, "moves", IL_F32, IL_SHAPE(w->rows, w->length));
    w->acted = il_batch_add(out, "acted", IL_U8, IL_SHAPE(w->rows, w->length));
    w->prompt = il_batch_add(out, "prompt", IL_I32, IL_SHAPE(w->rows));
    IL_TRY(il_batch_status(out, err));
    w->ended = il_arena_calloc(scratch, rows, sizeof *w->ended);
    w->luck = il_arena_calloc(scratch, rows, sizeof *w->luck);
    w->some =
        il_arena_calloc(scratch, rows * (size_t)shape->prompt_tokens, sizeof *w->some);
    w->weights =
        il_arena_calloc(scratch, rows * (size_t)w->vocabulary, sizeof *w->weights);
    w->head = il_arena_calloc(scratch, rows, sizeof *w->head);
    w->kin = il_arena_calloc(scratch, rows, sizeof *w->kin);
    w->opener = il_arena_calloc(scratch, rows, sizeof *w->opener);
    w->row = il_arena_calloc(scratch, rows, sizeof *w->row);
    w->width = model->carry_width(w->r->model->self, w->length);
    w->carry =
        il_arena_alloc(scratch, (rows * (size_t)w->width + 1) * sizeof *w->carry);
    if (w->carry == NULL || w->head == NULL || w->kin == NULL || w->opener == NULL ||
        w->row == NULL || w->ended == NULL || w->luck == NULL || w->some == NULL ||
        w->weights == NULL) {
        return il__rollout_fault(w->r, IL_ERR_MEMORY, w->first, -1, err,
                                 "out of memory");
    }
    return allowed_list(w, scratch, err);
}

/* Rows [from, from+rows) of the whole. */
static writing chunk_of(const writing *whole, int64_t from, int64_t rows)
{
    writing w = *whole;

    w.first += from;
    w.rows = rows;
    w.tokens += from * w.length;
    w.action += from * w.length;
    w.moves += from * w.length;
    w.acted += from * w.length;
    w.lengths += from;
    w.prompt += from;
    memset(w.ended, 0, (size_t)rows * sizeof *w.ended);
    return w;
}

static il_status chunk_play(writing *w, il_pass *pass, il_error *err)
{
    int64_t at = w->length; /* positions that stand in every row */

    for (int64_t b = 0; b < w->rows; b++) {
        IL_TRY(prompt_write(w, b, err));
        at = w->prompt[b] < at ? w->prompt[b] : at;
        w->row[b] = b;
    }
    w->live = w->rows;
    for (bool begun = false; w->live > 0; begun = true, at++) {
        const float *logits = NULL;

        IL_TRY(begun ? position_step(w, at, pass, &logits, err)
                     : prompts_step(w, at, pass, &logits, err));
        IL_TRY(position_write(w, at, logits, err));
        ended_drop(w);
    }
    return IL_OK;
}

il_status il__rollout_text(const il_rollout *r, int64_t first, int64_t rows,
                           il_pass *pass, il_arena *scratch, il_batch *out,
                           il_error *err)
{
    writing whole = {.r = r,
                     .api = il_instance_environment(r->environment),
                     .first = first,
                     .rows = rows,
                     .length = il_rollout_length(r->environment),
                     .vocabulary = r->environment->shape.vocabulary};

    IL_TRY(check_prompts(r, first, err));
    IL_TRY(writing_open(&whole, scratch, out, err));
    IL_TRY(il_pass_edit_all(pass, r->edits, err));
    for (int64_t from = 0; from < rows; from += CHUNK) {
        writing w = chunk_of(&whole, from, rows - from < CHUNK ? rows - from : CHUNK);

        IL_TRY(chunk_play(&w, pass, err));
    }
    whole.api->judge(r->environment->self, r->prompt, out);
    return il_batch_status(out, err);
}
