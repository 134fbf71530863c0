/* Episodes of steps: every row of a call goes forward one position at a time, so that a
 * model sees one batch a position.
 *
 * A plugin's writes land in scratch that ends in guard bytes and starts as what no
 * honest plugin leaves there, so that too much and too little are both seen. */
#include <math.h>
#include <stdint.h>
#include <string.h>
#include "episode/episodes_private.h"
#include "tensor/kernels.h"

enum { GUARD = 16, GUARD_BYTE = 0xa5, UNSET_BYTE = 0xff };
#define GUARD_WORD 0xa5a5a5a5a5a5a5a5u

/* What one call plays with; all of it in scratch or in the batch. */
typedef struct player {
    const il_rollout *r;
    const il_environment_api *api;
    const void *self;
    il_pass *pass;
    il_batch *out;
    int64_t first, rows, length, width;
    int64_t state_size, stride;
    uint8_t *states;
    il_rng *world, *choice, *latent; /* (rows) */
    bool *alive;
    int64_t living;
    /* where a plugin writes; GUARD bytes follow each */
    float *seen;    /* (width) */
    float *earned;  /* (reward_count) */
    uint8_t *truth; /* (mark_count) */
    /* the batch's fields */
    float *obs;
    int32_t *action, *lengths;
    float *moves;
    uint8_t *acted;
    const il_field **reward_fields, **mark_fields;
    float **rewards; /* [reward] (rows,length) */
    uint8_t **marks; /* [label or mask] (rows,length) */
    int32_t reward_count, mark_count;
    /* the model's policy */
    int64_t actions;
    float *carry; /* (rows,carry_width), guarded */
    size_t carry_bytes;
    float *odds;            /* (rows,actions) */
    float *now;             /* (rows,1,width): what the model sees of a position */
    int32_t *last;          /* (rows,1) */
    float *sampled, *noise; /* (rows,length,sampled_width), (rows,1,sampled_width) */
    int64_t sampled_width;
    int32_t *edited; /* [edit] (rows): whom it edits at this position */
} player;

static il_status fault(const player *p, il_status code, int64_t row, int64_t position,
                       il_error *err, const char *what, const char *name)
{
    return il__rollout_fault(p->r, code, p->first + row, position, err, "%s%s%s%s",
                             what, name != NULL ? " '" : "", name != NULL ? name : "",
                             name != NULL ? "'" : "");
}

static uint8_t *state_of(const player *p, int64_t row)
{
    return p->states + row * p->stride;
}

/* ---- memory --------------------------------------------------------------------- */

/* Scratch with its guard. */
static void *guarded(il_arena *arena, size_t bytes)
{
    uint8_t *memory = il_arena_alloc(arena, bytes + GUARD);

    if (memory != NULL) {
        memset(memory + bytes, GUARD_BYTE, GUARD);
    }
    return memory;
}

static bool guard_holds(const void *memory, size_t bytes)
{
    /* Two numbers, for this is asked four times a step. */
    uint64_t guard[GUARD / 8];

    memcpy(guard, (const uint8_t *)memory + bytes, sizeof guard);
    return guard[0] == GUARD_WORD && guard[1] == GUARD_WORD;
}

static bool is_mark(const il_field *f)
{
    return f->role == IL_FIELD_LABEL || f->role == IL_FIELD_MASK;
}

/* The environment's own fields, sorted into rewards and marks and added to the batch;
 * false when memory is out. */
static bool add_own_fields(player *p, il_arena *scratch)
{
    const il_instance *e = p->r->environment;
    size_t room = (size_t)(e->field_count - e->own_fields) + 1;
    bool good = true;

    p->reward_fields = il_arena_calloc(scratch, room, sizeof *p->reward_fields);
    p->mark_fields = il_arena_calloc(scratch, room, sizeof *p->mark_fields);
    p->rewards = il_arena_calloc(scratch, room, sizeof *p->rewards);
    p->marks = il_arena_calloc(scratch, room, sizeof *p->marks);
    if (p->reward_fields == NULL || p->mark_fields == NULL || p->rewards == NULL ||
        p->marks == NULL) {
        return false;
    }
    for (int32_t i = e->own_fields; i < e->field_count; i++) {
        const il_field *f = &e->fields[i];
        void *data = il_batch_add(p->out, f->name, is_mark(f) ? IL_U8 : IL_F32,
                                  IL_SHAPE(p->rows, p->length));

        good = good && data != NULL;
        if (is_mark(f)) {
            p->mark_fields[p->mark_count] = f;
            p->marks[p->mark_count++] = data;
        } else {
            p->reward_fields[p->reward_count] = f;
            p->rewards[p->reward_count++] = data;
        }
    }
    return good;
}

static bool add_fields(player *p, il_arena *scratch)
{
    int64_t b = p->rows;
    int64_t l = p->length;

    p->obs = il_batch_add(p->out, "obs", IL_F32, IL_SHAPE(b, l, p->width));
    p->action = il_batch_add(p->out, "action", IL_I32, IL_SHAPE(b, l));
    p->lengths = il_batch_add(p->out, "lengths", IL_I32, IL_SHAPE(b));
    p->moves = il_batch_add(p->out, "moves", IL_F32, IL_SHAPE(b, l));
    p->acted = il_batch_add(p->out, "acted", IL_U8, IL_SHAPE(b, l));
    if (p->obs == NULL || p->action == NULL || p->lengths == NULL || p->moves == NULL ||
        p->acted == NULL) {
        return false;
    }
    for (int64_t i = 0; i < b * l; i++) {
        p->action[i] = -1;
    }
    return add_own_fields(p, scratch);
}

static bool add_episodes(player *p, il_arena *scratch)
{
    size_t rows = (size_t)p->rows;

    p->stride = (p->state_size + GUARD + 63) / 64 * 64;
    p->states = il_arena_calloc(scratch, rows, (size_t)p->stride);
    p->world = il_arena_calloc(scratch, rows, sizeof *p->world);
    p->choice = il_arena_calloc(scratch, rows, sizeof *p->choice);
    p->alive = il_arena_calloc(scratch, rows, sizeof *p->alive);
    p->seen = guarded(scratch, (size_t)p->width * sizeof(float));
    p->earned = guarded(scratch, (size_t)p->reward_count * sizeof(float));
    p->truth = guarded(scratch, (size_t)p->mark_count);
    if (p->states == NULL || p->world == NULL || p->choice == NULL ||
        p->alive == NULL || p->seen == NULL || p->earned == NULL || p->truth == NULL) {
        return false;
    }
    for (int64_t i = 0; i < p->rows; i++) {
        memset(state_of(p, i) + p->state_size, GUARD_BYTE, GUARD);
        il__rollout_luck(p->r, IL__LUCK_ENVIRONMENT, p->first + i, &p->world[i]);
        il__rollout_luck(p->r, IL__LUCK_POLICY, p->first + i, &p->choice[i]);
    }
    return true;
}

/* What a model's policy needs besides. */
static bool add_model(player *p, il_arena *scratch)
{
    const il_rollout *r = p->r;
    size_t rows = (size_t)p->rows;
    int64_t carry = il_instance_model(r->model)->carry_width(r->model->self, p->length);

    p->actions = r->environment->shape.actions;
    p->carry_bytes = rows * (size_t)(carry > 0 ? carry : 0) * sizeof *p->carry;
    p->carry = guarded(scratch, p->carry_bytes);
    p->odds = il_arena_calloc(scratch, rows * (size_t)p->actions, sizeof *p->odds);
    p->now = il_arena_calloc(scratch, rows * (size_t)p->width, sizeof *p->now);
    p->last = il_arena_calloc(scratch, rows, sizeof *p->last);
    if (p->carry == NULL || p->odds == NULL || p->now == NULL || p->last == NULL) {
        return false;
    }
    memset(p->carry, 0, p->carry_bytes);
    if (r->edits != NULL) {
        p->edited =
            il_arena_calloc(scratch, rows * r->edits->count + 1, sizeof *p->edited);
        if (p->edited == NULL) {
            return false;
        }
    }
    if (r->sampled_site >= 0) {
        p->sampled_width = r->model->sites[r->sampled_site].width;
        p->sampled = il_batch_add(p->out, "sampled", IL_F32,
                                  IL_SHAPE(p->rows, p->length, p->sampled_width));
        p->latent = il_arena_calloc(scratch, rows, sizeof *p->latent);
        p->noise =
            il_arena_calloc(scratch, rows * (size_t)p->sampled_width, sizeof *p->noise);
        if (p->sampled == NULL || p->latent == NULL || p->noise == NULL) {
            return false;
        }
        for (int64_t i = 0; i < p->rows; i++) {
            il__rollout_luck(r, IL__LUCK_LATENT, p->first + i, &p->latent[i]);
        }
    }
    return true;
}

/* ---- what the environment says -------------------------------------------------- */

/* Takes over the observation that was just written, unless it cannot be one. */
static il_status take_seen(player *p, int64_t row, int64_t position, il_error *err)
{
    float *to = p->obs + (row * p->length + position) * p->width;

    if (!guard_holds(p->seen, (size_t)p->width * sizeof(float))) {
        return il__rollout_fault(p->r, IL_ERR_INPUT, p->first + row, position, err,
                                 "the environment wrote an observation wider than the "
                                 "%lld that it states",
                                 (long long)p->width);
    }
    for (int64_t i = 0; i < p->width; i++) {
        if (!isfinite(p->seen[i])) {
            return il__rollout_fault(p->r, IL_ERR_NUMERIC, p->first + row, position,
                                     err,
                                     "value %lld of the observation's %lld is no "
                                     "number, or was not written",
                                     (long long)i, (long long)p->width);
        }
        to[i] = p->seen[i];
    }
    p->lengths[row] = (int32_t)position + 1;
    return IL_OK;
}

static il_status take_rewards(player *p, int64_t row, int64_t position, il_error *err)
{
    if (!guard_holds(p->earned, (size_t)p->reward_count * sizeof(float))) {
        return fault(p, IL_ERR_INPUT, row, position, err,
                     "the environment wrote more rewards than it lists", NULL);
    }
    for (int32_t i = 0; i < p->reward_count; i++) {
        if (!isfinite(p->earned[i])) {
            return fault(p, IL_ERR_NUMERIC, row, position, err,
                         "no number was given for the reward",
                         p->reward_fields[i]->name);
        }
        p->rewards[i][row * p->length + position] = p->earned[i];
    }
    return IL_OK;
}

/* Labels and masks of the state as it stands, and whether the state kept to its size.
 */
static il_status take_marks(player *p, int64_t row, int64_t position, il_error *err)
{
    if (p->mark_count > 0) {
        memset(p->truth, UNSET_BYTE, (size_t)p->mark_count);
        p->api->labels(p->self, state_of(p, row), p->truth);
        if (!guard_holds(p->truth, (size_t)p->mark_count)) {
            return fault(p, IL_ERR_INPUT, row, position, err,
                         "the environment wrote more labels than it lists", NULL);
        }
    }
    for (int32_t i = 0; i < p->mark_count; i++) {
        if (p->truth[i] > 1) {
            return fault(p, IL_ERR_INPUT, row, position, err,
                         "expected 0 or 1 for the label", p->mark_fields[i]->name);
        }
        p->marks[i][row * p->length + position] = p->truth[i];
    }
    if (!guard_holds(state_of(p, row), (size_t)p->state_size)) {
        return il__rollout_fault(
            p->r, IL_ERR_INPUT, p->first + row, position, err,
            "the environment wrote past the %lld bytes of its state",
            (long long)p->state_size);
    }
    return IL_OK;
}

static il_status start(player *p, int64_t row, il_error *err)
{
    memset(p->seen, UNSET_BYTE, (size_t)p->width * sizeof(float));
    p->api->reset(p->self, state_of(p, row), &p->world[row], p->seen);
    p->alive[row] = true;
    p->living++;
    IL_TRY(take_seen(p, row, 0, err));
    return take_marks(p, row, 0, err);
}

static il_status move(player *p, int64_t row, int64_t position, int32_t action,
                      il_error *err)
{
    int64_t at = row * p->length + position;
    bool done = false;

    if (action < 0 || action >= p->r->environment->shape.actions) {
        return il__rollout_fault(p->r, IL_ERR_INPUT, p->first + row, position, err,
                                 "the policy chose action %d: expected 0 to %d",
                                 (int)action,
                                 (int)p->r->environment->shape.actions - 1);
    }
    p->action[at] = action;
    p->moves[at] = 1.0f;
    p->acted[at] = 1;
    memset(p->seen, UNSET_BYTE, (size_t)p->width * sizeof(float));
    memset(p->earned, UNSET_BYTE, (size_t)p->reward_count * sizeof(float));
    p->api->step(p->self, state_of(p, row), action, &p->world[row], p->seen, p->earned,
                 &done);
    IL_TRY(take_rewards(p, row, position, err));
    IL_TRY(take_seen(p, row, position + 1, err));
    IL_TRY(take_marks(p, row, position + 1, err));
    if (done) {
        p->alive[row] = false;
        p->living--;
    } else if (position + 2 == p->length) {
        return il__rollout_fault(p->r, IL_ERR_INPUT, p->first + row, position, err,
                                 "the episode goes on after %lld actions: expected its "
                                 "end, since the environment says that there are no "
                                 "more",
                                 (long long)position + 1);
    }
    return IL_OK;
}

/* ---- what the model says -------------------------------------------------------- */

/* The batch of one position, as a model's step gets it. */
typedef struct glimpse {
    il_batch batch; /* first */
    il_tensor obs, previous, noise;
} glimpse;

static void *glimpse_add(il_batch *b, const char *name, il_type type, int32_t ndim,
                         const int64_t *shape)
{
    (void)b;
    (void)name;
    (void)type;
    (void)ndim;
    (void)shape;
    return NULL;
}

static const il_tensor *glimpse_find(const il_batch *b, const char *name)
{
    const glimpse *g = (const glimpse *)b;

    if (strcmp(name, "obs") == 0) {
        return &g->obs;
    }
    if (strcmp(name, "previous") == 0) {
        return &g->previous;
    }
    return strcmp(name, "noise") == 0 && g->noise.data != NULL ? &g->noise : NULL;
}

static int64_t glimpse_rows(const il_batch *b)
{
    return ((const glimpse *)b)->obs.shape[0];
}

static void glimpse_fail(il_batch *b, il_status code, const char *message)
{
    (void)b;
    (void)code;
    (void)message;
}

static const il_batch_api glimpse_api = {
    .struct_size = sizeof glimpse_api,
    .add = glimpse_add,
    .find = glimpse_find,
    .rows = glimpse_rows,
    .fail = glimpse_fail,
};

static il_tensor field_over(void *data, il_dtype dtype, int64_t rows, int64_t width)
{
    il_tensor t = {.data = data,
                   .device_type = IL_DEVICE_CPU,
                   .ndim = width > 0 ? 3 : 2,
                   .dtype = dtype};

    t.shape[0] = rows;
    t.shape[1] = 1;
    t.shape[2] = width > 0 ? width : 0;
    return t;
}

/* The noise of a position: std * normal, from each episode's own stream. */
static void draw_noise(player *p)
{
    int64_t w = p->sampled_width;

    for (int64_t b = 0; b < p->rows; b++) {
        for (int64_t i = 0; i < w; i++) {
            p->noise[b * w + i] = p->r->sampled_std * il_rng_normal(&p->latent[b]);
        }
    }
}

/* The marks of a mask by name; NULL: there is none. */
static const uint8_t *marks_of(const player *p, const char *name)
{
    for (int32_t i = 0; i < p->mark_count; i++) {
        if (strcmp(p->mark_fields[i]->name, name) == 0) {
            return p->marks[i];
        }
    }
    return NULL;
}

/* Binds the edits for one position: masks say whom they reach. */
static il_status bind_edits(player *p, int64_t position, il_error *err)
{
    const il_site_edits *edits = p->r->edits;

    il_pass_edits_clear(p->pass);
    for (size_t i = 0; edits != NULL && i < edits->count; i++) {
        const uint8_t *marks = marks_of(p, edits->items[i].tokens);
        int32_t *rows = p->edited + (int64_t)i * p->rows;
        il_edit_at at = {.strength = edits->strengths[i],
                         .rows = marks != NULL ? rows : NULL};

        for (int64_t b = 0; marks != NULL && b < p->rows; b++) {
            if (p->alive[b] && marks[b * p->length + position] != 0) {
                rows[at.count++] = (int32_t)b;
            }
        }
        IL_TRY(il_pass_edit(p->pass, &edits->items[i], &at, err));
    }
    return IL_OK;
}

/* Keeps what the sampled site gave at a position. */
static il_status keep_sample(player *p, int64_t position, il_error *err)
{
    const il_tensor *site = il_pass_site(p->pass, (int32_t)p->r->sampled_site);
    int64_t w = p->sampled_width;

    if (site == NULL || il_count(site) != p->rows * w) {
        return il_error_set(err, IL_ERR_SHAPE, p->r->model->offer->id,
                            "its step gave no site '%s' of %lld rows by %lld",
                            p->r->model->sites[p->r->sampled_site].name,
                            (long long)p->rows, (long long)w);
    }
    for (int64_t b = 0; b < p->rows; b++) {
        memcpy(p->sampled + (b * p->length + position) * w, il_f32(site) + b * w,
               (size_t)w * sizeof(float));
    }
    return IL_OK;
}

/* Logits to odds, exp(logit - the row's greatest): rows are short, so that a softmax
 * row by row would cost more than one sweep. False at the first logit of a living row
 * that is no number, its row in *bad. */
static bool weigh(player *p, const float *logits, int64_t *bad)
{
    for (int64_t b = 0; b < p->rows; b++) {
        const float *from = logits + b * p->actions;
        float *to = p->odds + b * p->actions;
        float most = from[0];

        for (int64_t i = 0; i < p->actions; i++) {
            if (!isfinite(from[i]) && p->alive[b]) {
                *bad = b;
                return false;
            }
            most = from[i] > most ? from[i] : most;
        }
        for (int64_t i = 0; i < p->actions; i++) {
            to[i] = from[i] - most;
        }
    }
    il_k_exp(p->odds, p->odds, p->rows * p->actions);
    return true;
}

/* Each row's odds of the actions at a position. */
static il_status consult(player *p, const glimpse *g, int64_t position, il_error *err)
{
    const il_rollout *r = p->r;
    const il_scope scope = {.label = r->model->label,
                            .store = r->model->store,
                            .values = r->values,
                            .first_bit = -1};
    const il_tensor *logits;
    float *now = p->now;
    int64_t bad = 0;

    for (int64_t b = 0; b < p->rows; b++, now += p->width) {
        memcpy(now, p->obs + (b * p->length + position) * p->width,
               (size_t)p->width * sizeof *now);
        p->last[b] = position > 0 ? p->action[b * p->length + position - 1] : -1;
    }
    if (p->sampled != NULL) {
        draw_noise(p);
    }
    il_pass_begin(p->pass);
    IL_TRY(bind_edits(p, position, err));
    il_pass_enter(p->pass, &scope);
    il_instance_model(r->model)->step(r->model->self, p->pass, &g->batch, position,
                                      p->length, p->carry);
    il_pass_leave(p->pass);
    logits = il_pass_output(p->pass, "policy");
    IL_TRY(il_pass_status(p->pass, err));
    if (p->sampled != NULL) {
        IL_TRY(keep_sample(p, position, err));
    }
    if (!guard_holds(p->carry, p->carry_bytes)) {
        return il_error_set(err, IL_ERR_INPUT, r->model->offer->id,
                            "its step wrote past the carry of %lld floats a row",
                            (long long)(p->carry_bytes / sizeof *p->carry / p->rows));
    }
    if (logits == NULL || il_count(logits) != p->rows * p->actions) {
        return il_error_set(err, IL_ERR_SHAPE, r->model->offer->id,
                            "its step gave no output 'policy' of %lld rows by %lld",
                            (long long)p->rows, (long long)p->actions);
    }
    return weigh(p, il_f32(logits), &bad)
               ? IL_OK
               : fault(p, IL_ERR_NUMERIC, bad, position, err,
                       "the model's policy is no number", NULL);
}

/* The action at which the running sum of a row's odds passes u. */
static int32_t draw(const float *odds, int64_t actions, float u)
{
    double total = 0;
    double sum = 0;
    int32_t last = 0;

    for (int64_t i = 0; i < actions; i++) {
        total += (double)odds[i];
    }
    for (int64_t i = 0; i < actions; i++) {
        sum += (double)odds[i];
        if (odds[i] > 0.0f) {
            last = (int32_t)i;
            if (sum > (double)u * total) {
                break;
            }
        }
    }
    return last;
}

/* ---- a call --------------------------------------------------------------------- */

static il_status play(player *p, il_error *err)
{
    static const il_dtype f32 = {IL_CODE_FLOAT, 32, 1};
    static const il_dtype i32 = {IL_CODE_INT, 32, 1};
    bool own = p->r->policy < 0;
    glimpse g = {.batch.api = &glimpse_api};
    int64_t t = 0;

    g.obs = field_over(p->now, f32, p->rows, p->width);
    g.previous = field_over(p->last, i32, p->rows, 0);
    g.noise = field_over(p->noise, f32, p->rows, p->sampled_width);
    for (int64_t b = 0; b < p->rows; b++) {
        IL_TRY(start(p, b, err));
    }
    for (; t + 1 < p->length && p->living > 0; t++) {
        if (own) {
            IL_TRY(consult(p, &g, t, err));
        }
        for (int64_t b = 0; b < p->rows; b++) {
            int32_t action;

            if (!p->alive[b]) {
                continue;
            }
            action =
                own ? draw(p->odds + b * p->actions, p->actions,
                           il_rng_uniform(&p->choice[b]))
                    : p->api->act(p->self, p->r->policy, state_of(p, b), &p->choice[b]);
            IL_TRY(move(p, b, t, action, err));
        }
    }
    /* The last state is sampled too, though nothing is done in it. */
    return p->sampled != NULL ? consult(p, &g, t, err) : IL_OK;
}

il_status il__rollout_steps(const il_rollout *r, int64_t first, int64_t rows,
                            il_pass *pass, il_arena *scratch, il_batch *out,
                            il_error *err)
{
    player p = {.r = r,
                .api = il_instance_environment(r->environment),
                .self = r->environment->self,
                .pass = pass,
                .out = out,
                .first = first,
                .rows = rows,
                .length = il_rollout_length(r->environment),
                .width = r->environment->shape.obs_width,
                .state_size = r->environment->shape.state_size};
    bool own = r->policy < 0;

    if (!add_fields(&p, scratch) || !add_episodes(&p, scratch) ||
        (own && !add_model(&p, scratch))) {
        return il_error_set(err, IL_ERR_MEMORY, r->environment->offer->id,
                            "out of memory");
    }
    if (p.sampled != NULL) {
        IL_TRY(il_pass_site_flag(pass, (int32_t)r->sampled_site, IL_SITE_READ, err));
    }
    return play(&p, err);
}
