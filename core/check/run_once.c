/* A model or a detector in a pass of its own, on inputs that nobody may write to. */
#include "check/check_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "interloop/rng.h"

enum { BITS_MAX = 1024 };

struct il__run_parts {
    const il_instance *instance;
    il_scope scope;
    il_pass_api straight; /* the pass's own table, but nothing is detached */
    const il_pass_api *plain;
    /* models */
    il_batch *batch;
    /* detectors: their inputs as parameters of a component of their own */
    il_store *inputs;
    il_scope input_scope;
    il_tensor *acts[IL__SITES_MAX];
    il_reading reading;
    int32_t *lengths;
    int32_t *places; /* of rows: their own numbers */
    int32_t *tokens;
    uint8_t *scored;
    int64_t rows;
    int64_t length;
    int64_t shape[3];
    int32_t dims;
    float *grads[BITS_MAX];
};

static int64_t fact(const il__trial *t, const char *name)
{
    for (size_t i = 0; i < t->facts.count; i++) {
        if (strcmp(t->facts.items[i].name, name) == 0) {
            return t->facts.items[i].value;
        }
    }
    return 0;
}

/* ---- what a model reads -----------------------------------------------------------
 */

/* A row's numbers depend on the salt and the row alone. */
static il_rng row_rng(const il__trial *t, const il__act *act, int64_t row)
{
    il_rng r;

    il_rng_open(&r, t->o->seed, 0, IL_RNG_PLUGIN, act->salt, (uint64_t)row);
    return r;
}

static bool add_text(const il__trial *t, const il__act *act, il_batch *b)
{
    const int64_t length = act->length;
    const uint32_t vocabulary = (uint32_t)fact(t, "vocabulary");
    int32_t *tokens = il_batch_add(b, "tokens", IL_I32, IL_SHAPE(act->rows, length));
    int32_t *next = il_batch_add(b, "next", IL_I32, IL_SHAPE(act->rows, length));
    float *weights = il_batch_add(b, "weights", IL_F32, IL_SHAPE(act->rows, length));

    for (int64_t row = 0; next != NULL && weights != NULL && row < act->rows; row++) {
        il_rng r = row_rng(t, act, row);

        for (int64_t at = row * length; at < (row + 1) * length; at++) {
            tokens[at] = (int32_t)il_rng_below(&r, vocabulary);
            next[at] = -1;
            weights[at] = 1.0f;
            if (at > row * length) {
                next[at - 1] = tokens[at];
            }
        }
    }
    return tokens != NULL && next != NULL && weights != NULL;
}

static bool add_steps(const il__trial *t, const il__act *act, il_batch *b)
{
    const int64_t width = fact(t, "observation");
    const int64_t classes = fact(t, "observation_classes");
    const uint32_t actions = (uint32_t)fact(t, "actions");
    const int64_t length = act->length;
    float *obs = il_batch_add(b, "obs", IL_F32, IL_SHAPE(act->rows, length, width));
    int32_t *action = il_batch_add(b, "action", IL_I32, IL_SHAPE(act->rows, length));
    float *moves = il_batch_add(b, "moves", IL_F32, IL_SHAPE(act->rows, length));
    uint8_t *acted = il_batch_add(b, "acted", IL_U8, IL_SHAPE(act->rows, length));
    int64_t *episode = il_batch_add(b, "episode", IL_I64, IL_SHAPE(act->rows));

    if (obs == NULL || action == NULL || moves == NULL || acted == NULL ||
        episode == NULL) {
        return false;
    }
    for (int64_t at = 0; at < act->rows * length; at++) {
        il_rng r = row_rng(t, act, at);
        bool last = at % length == length - 1;

        obs[at * width + il_rng_below(&r, (uint32_t)classes)] = 1.0f;
        for (int64_t i = classes; i < width; i++) {
            obs[at * width + i] = il_rng_uniform(&r) < 0.5f ? 0.0f : 1.0f;
        }
        action[at] = last ? -1 : (int32_t)il_rng_below(&r, actions);
        moves[at] = last ? 0.0f : 1.0f;
        acted[at] = !last;
        episode[at / length] = at / length;
    }
    for (int64_t i = 0; act->poisoned && act->rows > 0 && i < length * width; i++) {
        obs[i] = act->poison;
    }
    return true;
}

/* The fields of the trial's world, and weights of all ones under whatever other names
 * the model's losses have for theirs. */
static il_batch *model_batch(const il__trial *t, const il_instance *i,
                             const il__act *act)
{
    il_batch *b = il_guard_batch(act->rows);
    int32_t *lengths =
        b != NULL ? il_batch_add(b, "lengths", IL_I32, IL_SHAPE(act->rows)) : NULL;

    if (lengths == NULL || (t->world != IL__WORLD_STEPS && !add_text(t, act, b)) ||
        (t->world != IL__WORLD_TEXT && !add_steps(t, act, b))) {
        return NULL;
    }
    for (int64_t row = 0; row < act->rows; row++) {
        lengths[row] = (int32_t)act->length;
    }
    for (size_t k = 0; k < i->loss_count; k++) {
        const char *name = i->losses[k].weights;
        float *weights;

        if (name == NULL || il_batch_find(b, name) != NULL) {
            continue;
        }
        weights = il_batch_add(b, name, IL_F32, IL_SHAPE(act->rows, act->length));
        for (int64_t at = 0; weights != NULL && at < act->rows * act->length; at++) {
            weights[at] = 1.0f;
        }
    }
    il_guard_batch_seal(b);
    return b;
}

/* ---- what a detector reads --------------------------------------------------------
 */

static bool reads_rows(const il_instance *i)
{
    return il_instance_detector(i)->reads == IL_READS_ROWS;
}

static il_status shape_inputs(struct il__run_parts *p, const il_instance *i,
                              const il__act *act, il_error *err)
{
    const int64_t rows = act->rows;
    const int64_t length = act->length;

    p->rows = rows;
    p->length = length;
    p->dims = reads_rows(i) ? 2 : 3;
    p->shape[0] = reads_rows(i) ? rows * length : rows;
    p->shape[1] = reads_rows(i) ? IL__SITE_WIDTH : length;
    p->shape[2] = IL__SITE_WIDTH;
    p->lengths = il_guard_alloc((size_t)rows * sizeof *p->lengths, sizeof *p->lengths);
    p->scored = il_guard_alloc((size_t)(rows * length), 1);
    if (p->lengths == NULL || p->scored == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "", "out of memory");
    }
    for (int64_t b = 0; b < rows; b++) {
        p->lengths[b] = (int32_t)length;
    }
    memset(p->scored, 1, (size_t)(rows * length));
    p->places =
        il_guard_alloc((size_t)(rows * length) * sizeof *p->places, sizeof *p->places);
    p->tokens =
        il_guard_alloc((size_t)(rows * length) * sizeof *p->tokens, sizeof *p->tokens);
    if (p->places == NULL || p->tokens == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "", "out of memory");
    }
    for (int64_t at = 0; at < rows * length; at++) {
        p->places[at] = (int32_t)at;
        p->tokens[at] = (int32_t)(at % length % 3); /* so that some repeat */
    }
    il_guard_seal(p->places, (size_t)(rows * length) * sizeof *p->places);
    il_guard_seal(p->tokens, (size_t)(rows * length) * sizeof *p->tokens);
    il_guard_seal(p->lengths, (size_t)rows * sizeof *p->lengths);
    il_guard_seal(p->scored, (size_t)(rows * length));
    return IL_OK;
}

/* A head's normal draws as a pattern's weights. */
static void weigh(float *x, int64_t keys)
{
    float sum = 0.0f;

    for (int64_t s = 0; s < keys; s++) {
        x[s] = expf(x[s]);
        sum += x[s];
    }
    for (int64_t s = 0; s < keys; s++) {
        x[s] /= sum;
    }
}

/* Normal draws, a row's from a stream of its own. */
static void fill_input(const il__trial *t, const il__act *act, float *to, int64_t count,
                       int32_t site)
{
    const int64_t positions = act->rows * act->length;
    const int64_t width = positions > 0 ? count / positions : 0;

    for (int64_t at = 0; at < positions; at++) {
        il_rng r = row_rng(t, act, at * IL__SITES_MAX + site);

        for (int64_t k = 0; k < width; k++) {
            to[at * width + k] = il_rng_normal(&r);
        }
        for (int64_t h = 0; h < t->heads; h++) {
            weigh(to + at * width + h * (width / t->heads), width / t->heads);
        }
    }
    for (int64_t k = 0; act->poisoned && k < act->length * width && k < count; k++) {
        to[k] = act->poison;
    }
}

/* The inputs as parameters of a component of their own, so that they have gradients. */
static il_status make_inputs(struct il__run_parts *p, il__run *r, const il__trial *t,
                             const il_instance *i, const il__act *act, il_error *err)
{
    static const char *const names[IL__SITES_MAX] = {"site 0", "site 1", "site 2"};
    const il_init none = {IL_INIT_CONSTANT, 0.0f};

    IL_TRY(shape_inputs(p, i, act, err));
    IL_TRY(il_store_create(&p->inputs, err));
    if (act->rows * act->length == 0) {
        return IL_OK; /* nothing to differentiate: borrowed as they are */
    }
    for (int32_t s = 0; s < t->sites; s++) {
        size_t bit = r->bits;

        IL_TRY(
            il_store_add(p->inputs, names[s], "inputs", p->dims, p->shape, none, err));
        r->names[bit] = names[s];
        r->counts[bit] = p->inputs->items[s].count;
        r->values[bit] =
            il_guard_alloc((size_t)r->counts[bit] * sizeof(float), sizeof(float));
        if (r->values[bit] == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, "", "out of memory");
        }
        fill_input(t, act, r->values[bit], r->counts[bit], s);
        il_guard_seal(r->values[bit], (size_t)r->counts[bit] * sizeof(float));
        r->bits++;
    }
    return IL_OK;
}

/* ---- the run ----------------------------------------------------------------------
 */

/* A pass in which detaching does nothing. */
static il_tensor *attached(il_pass *pass, il_tensor *x)
{
    (void)pass;
    return x;
}

static il_status take_values(il__run *r, const il_instance *i, il_error *err)
{
    const il_store *store = i->store;

    for (size_t k = 0; k < store->count; k++) {
        size_t bytes = (size_t)store->items[k].count * sizeof(float);

        r->names[k] = store->items[k].name;
        r->counts[k] = store->items[k].count;
        r->values[k] = il_guard_alloc(bytes, sizeof(float));
        if (r->values[k] == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, "", "out of memory");
        }
        memcpy(r->values[k], store->values + store->items[k].offset, bytes);
        il_guard_seal(r->values[k], bytes);
    }
    r->bits = store->count;
    return IL_OK;
}

il_status il__run_open(il__run *r, const il__trial *t, const il_instance *i,
                       const il__act *act, il_error *err)
{
    const il_blas *blas = NULL;
    struct il__run_parts *p;

    memset(r, 0, sizeof *r);
    if (i->store->count + IL__SITES_MAX > BITS_MAX) {
        return il_error_set(err, IL_ERR_UNSUPPORTED, "", "more than %d parameters",
                            BITS_MAX - IL__SITES_MAX);
    }
    p = calloc(1, sizeof *p);
    r->parts = p;
    r->values = calloc(BITS_MAX, sizeof *r->values);
    r->names = calloc(BITS_MAX, sizeof(const char *));
    r->counts = calloc(BITS_MAX, sizeof *r->counts);
    if (p == NULL || r->values == NULL || r->names == NULL || r->counts == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "", "out of memory");
    }
    p->instance = i;
    IL_TRY(il_blas_open(&blas, true, err));
    IL_TRY(take_values(r, i, err));
    if (i->offer->component->kind == IL_KIND_MODEL) {
        p->batch = model_batch(t, i, act);
        if (p->batch == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, "", "out of memory");
        }
    } else {
        IL_TRY(make_inputs(p, r, t, i, act, err));
        p->reading = (il_reading){.struct_size = sizeof p->reading,
                                  .sites = t->sites,
                                  .acts = p->acts,
                                  .batch = act->rows,
                                  .length = act->length,
                                  .lengths = p->lengths,
                                  .scored = p->scored,
                                  .context = IL_CONTEXT_PAST,
                                  .rows = reads_rows(i) ? p->places : NULL,
                                  .inputs = p->tokens,
                                  .keys = p->scored};
    }
    IL_TRY(il_pass_create(&r->pass, blas, r->bits > 0 ? r->bits : 1, err));
    for (size_t k = 0; k < i->site_count; k++) {
        IL_TRY(il_pass_site_flag(r->pass, (int32_t)k, IL_SITE_READ, err));
    }
    p->plain = r->pass->api;
    p->straight = *p->plain;
    p->straight.detach = attached;
    p->scope = (il_scope){.label = i->label,
                          .store = i->store,
                          .values = (const float *const *)r->values};
    p->input_scope =
        (il_scope){.label = "inputs",
                   .store = p->inputs,
                   .values = (const float *const *)(r->values + i->store->count),
                   .first_bit = (int64_t)i->store->count};
    return IL_OK;
}

/* The losses that the model handed over. */
static void take_losses(il__run *r, const il_instance *i)
{
    r->root_count = 0;
    for (size_t k = 0; k < i->loss_count && r->root_count < 16; k++) {
        il_tensor *rows = il_pass_loss(r->pass, i->losses[k].name);

        if (rows != NULL) {
            r->root_names[r->root_count] = i->losses[k].name;
            r->roots[r->root_count++] = rows;
        }
    }
}

static void forward_detector(il__run *r)
{
    struct il__run_parts *p = r->parts;
    const il_instance *i = p->instance;

    il_pass_enter(r->pass, &p->input_scope);
    for (int32_t s = 0; s < p->reading.sites; s++) {
        p->acts[s] = p->inputs->count > 0
                         ? il_use(r->pass, (il_param){s})
                         : il_constant(r->pass, p->dims, p->shape, NULL);
    }
    il_pass_leave(r->pass);
    il_pass_enter(r->pass, &p->scope);
    r->roots[0] = il_instance_detector(i)->score(i->self, r->pass, &p->reading);
    r->root_names[0] = "score";
    r->root_count = 1;
    il_pass_leave(r->pass);
}

il_status il__run_forward(il__run *r, bool straight, il_error *err)
{
    struct il__run_parts *p = r->parts;
    const il_instance *i = p->instance;

    il_pass_begin(r->pass);
    r->pass->api = straight ? &p->straight : p->plain;
    if (p->batch != NULL) {
        il_pass_enter(r->pass, &p->scope);
        il_instance_model(i)->forward(i->self, r->pass, p->batch);
        il_pass_leave(r->pass);
        take_losses(r, i);
    } else {
        forward_detector(r);
    }
    r->pass->api = p->plain;
    IL_TRY(il_pass_status(r->pass, err));
    return p->batch != NULL ? il_guard_batch_status(p->batch, err) : IL_OK;
}

const il_batch *il__run_batch(const il__run *r)
{
    return r->parts->batch;
}

il_status il__run_step(il__run *r, const il_batch *batch, int64_t at, int64_t length,
                       float *carry, il_error *err)
{
    const il_instance *i = r->parts->instance;

    il_pass_begin(r->pass);
    il_pass_enter(r->pass, &r->parts->scope);
    il_instance_model(i)->step(i->self, r->pass, batch, at, length, carry);
    il_pass_leave(r->pass);
    return il_pass_status(r->pass, err);
}

il_status il__run_backward(il__run *r, size_t root, float **grads, il_error *err)
{
    struct il__run_parts *p = r->parts;
    const int64_t count = il_count(r->roots[root]);
    float *seeds = il_pass_alloc(r->pass, (size_t)(count + 1) * sizeof *seeds);
    const float *seed_list[1] = {seeds};
    il_word route[BITS_MAX / 32] = {0};

    if (seeds == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "", "out of memory");
    }
    for (int64_t k = 0; k < count; k++) {
        seeds[k] = 1.0f / (float)count;
    }
    for (size_t b = 0; b < r->bits; b++) {
        size_t bytes = (size_t)r->counts[b] * sizeof(float);

        if (p->grads[b] == NULL) {
            p->grads[b] = malloc(bytes);
        }
        if (p->grads[b] == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, "", "out of memory");
        }
        memset(p->grads[b], 0, bytes);
        grads[b] = p->grads[b];
        il_bits_set(route, b);
    }
    return il_pass_backward(r->pass, 1, &r->roots[root], seed_list, route, grads, err);
}

void il__run_close(il__run *r)
{
    struct il__run_parts *p = r->parts;

    il_pass_destroy(r->pass);
    for (size_t b = 0; p != NULL && b < r->bits; b++) {
        free(p->grads[b]);
        il_guard_free(r->values[b], (size_t)r->counts[b] * sizeof(float),
                      sizeof(float));
    }
    if (p != NULL) {
        il_store_destroy(p->inputs);
        il_guard_batch_destroy(p->batch);
        il_guard_free(p->lengths, (size_t)p->rows * sizeof *p->lengths,
                      sizeof *p->lengths);
        il_guard_free(p->places, (size_t)(p->rows * p->length) * sizeof *p->places,
                      sizeof *p->places);
        il_guard_free(p->tokens, (size_t)(p->rows * p->length) * sizeof *p->tokens,
                      sizeof *p->tokens);
        il_guard_free(p->scored, (size_t)(p->rows * p->length), 1);
    }
    free(p);
    free(r->values);
    free(r->names);
    free(r->counts);
}
