/* Group environment: an episode is its state and its luck, and nothing besides. */
#include "check/check_private.h"

#include <math.h>
#include <string.h>
#include "interloop/rng.h"
#include "episode/episodes.h"

enum { ENVIRONMENT = IL__OF(IL_KIND_ENVIRONMENT), ACTIONS_MAX = 200 };

/* ---- episodes of steps ------------------------------------------------------------
 */

/* An episode under way, every part in memory with guards. */
typedef struct player {
    const il_environment_api *api;
    const il_instance *i;
    unsigned char *state;
    float *obs;
    float *rewards;
    uint8_t *labels;
    size_t reward_count;
    size_t label_count;
    il_rng luck;
    il_rng choice;
    bool done;
    int32_t taken;
} player;

static il_status player_open(player *p, const il_instance *i, il_error *err)
{
    const il_environment_shape *s = &i->shape;

    memset(p, 0, sizeof *p);
    p->i = i;
    p->api = il_instance_environment(i);
    for (int32_t k = i->own_fields; k < i->field_count; k++) {
        p->reward_count += i->fields[k].role == IL_FIELD_REWARD;
        p->label_count += i->fields[k].role != IL_FIELD_REWARD;
    }
    p->state = il_guard_alloc((size_t)s->state_size, (size_t)s->state_alignment);
    p->obs = il_guard_alloc((size_t)s->obs_width * sizeof *p->obs, sizeof *p->obs);
    p->rewards = il_guard_alloc(p->reward_count * sizeof *p->rewards, sizeof(float));
    p->labels = il_guard_alloc(p->label_count, 1);
    return p->state != NULL && p->obs != NULL && p->rewards != NULL && p->labels != NULL
               ? IL_OK
               : il_error_set(err, IL_ERR_MEMORY, "", "out of memory");
}

static void player_close(player *p)
{
    const il_environment_shape *s = &p->i->shape;

    il_guard_free(p->state, (size_t)s->state_size, (size_t)s->state_alignment);
    il_guard_free(p->obs, (size_t)s->obs_width * sizeof *p->obs, sizeof *p->obs);
    il_guard_free(p->rewards, p->reward_count * sizeof *p->rewards, sizeof(float));
    il_guard_free(p->labels, p->label_count, 1);
}

static il_status check_guards(const player *p, il_error *err)
{
    const il_environment_shape *s = &p->i->shape;
    const char *past = NULL;

    if (!il_guard_holds(p->state, (size_t)s->state_size, (size_t)s->state_alignment)) {
        past = "state";
    } else if (!il_guard_holds(p->obs, (size_t)s->obs_width * sizeof *p->obs,
                               sizeof *p->obs)) {
        past = "observation";
    } else if (!il_guard_holds(p->rewards, p->reward_count * sizeof *p->rewards,
                               sizeof(float))) {
        past = "rewards";
    } else if (!il_guard_holds(p->labels, p->label_count, 1)) {
        past = "labels";
    }
    return past == NULL ? IL_OK
                        : il__found(err, "it wrote past the edge of the %s", past);
}

/* What came of a reset or a step, checked, as bytes. */
static il_status take(player *p, il_text *out, il_error *err)
{
    const size_t width = (size_t)p->i->shape.obs_width;

    IL_TRY(check_guards(p, err));
    for (size_t k = 0; k < width; k++) {
        if (!isfinite(p->obs[k])) {
            return il__found(err,
                             "number %zu of the observation after %d actions is "
                             "none",
                             k, (int)p->taken);
        }
    }
    for (size_t k = 0; k < p->reward_count; k++) {
        if (!isfinite(p->rewards[k])) {
            return il__found(err, "reward %zu of action %d is no number", k,
                             (int)p->taken);
        }
    }
    if (p->label_count > 0) {
        memset(p->labels, 0xfe, p->label_count);
        p->api->labels(p->i->self, p->state, p->labels);
        IL_TRY(check_guards(p, err));
    }
    for (size_t k = 0; k < p->label_count; k++) {
        if (p->labels[k] > 1) {
            return il__found(err, "label %zu after %d actions is %d: expected 0 or 1",
                             k, (int)p->taken, (int)p->labels[k]);
        }
    }
    il_text_add_bytes(out, (const char *)p->obs, width * sizeof *p->obs);
    il_text_add_bytes(out, (const char *)p->rewards, p->reward_count * sizeof(float));
    il_text_add_bytes(out, (const char *)p->labels, p->label_count);
    il_text_add(out, p->done ? "d" : "-");
    return IL_OK;
}

static il_status start(player *p, const il__trial *t, uint64_t salt, il_text *out,
                       il_error *err)
{
    il_rng_open(&p->luck, t->o->seed, 0, IL_RNG_ENVIRONMENT, 0, salt);
    il_rng_open(&p->choice, t->o->seed, 0, IL_RNG_SAMPLE, 0, salt);
    memset(p->state, 0, (size_t)p->i->shape.state_size);
    p->done = false;
    p->taken = 0;
    p->api->reset(p->i->self, p->state, &p->luck, p->obs);
    return take(p, out, err);
}

static il_status move(player *p, il_text *out, il_error *err)
{
    const int32_t action =
        (int32_t)il_rng_below(&p->choice, (uint32_t)p->i->shape.actions);

    for (size_t k = 0; k < p->reward_count; k++) {
        p->rewards[k] = NAN;
    }
    p->done = false;
    p->taken++;
    p->api->step(p->i->self, p->state, action, &p->luck, p->obs, p->rewards, &p->done);
    return take(p, out, err);
}

static bool goes_on(const player *p)
{
    return !p->done && p->taken < p->i->shape.steps && p->taken < ACTIONS_MAX;
}

static il_status play_steps(const il__trial *t, const il_instance *i, uint64_t salt,
                            il_text *out, il_error *err)
{
    player p;

    IL_TRY(player_open(&p, i, err));
    IL_TRY(start(&p, t, salt, out, err));
    while (goes_on(&p)) {
        IL_TRY(move(&p, out, err));
    }
    player_close(&p);
    return IL_OK;
}

/* ---- texts ------------------------------------------------------------------------
 */

/* A prompt of the first kind and an answer of allowed tokens, as a finished batch. */
static il_status write_text(const il__trial *t, const il_instance *i, uint64_t salt,
                            il_batch *b, il_error *err)
{
    const il_environment_api *api = il_instance_environment(i);
    const il_environment_shape *s = &i->shape;
    const int64_t length = il_rollout_length(i);
    int32_t *tokens = il_batch_add(b, "tokens", IL_I32, IL_SHAPE(1, length));
    int32_t *lengths = il_batch_add(b, "lengths", IL_I32, IL_SHAPE(1));
    int32_t *action = il_batch_add(b, "action", IL_I32, IL_SHAPE(1, length));
    float *moves = il_batch_add(b, "moves", IL_F32, IL_SHAPE(1, length));
    uint8_t *acted = il_batch_add(b, "acted", IL_U8, IL_SHAPE(1, length));
    int64_t *episode = il_batch_add(b, "episode", IL_I64, IL_SHAPE(1));
    int32_t *prompt = il_batch_add(b, "prompt", IL_I32, IL_SHAPE(1));
    int32_t *written =
        il_guard_alloc((size_t)s->prompt_tokens * sizeof *written, sizeof *written);
    uint8_t *allowed = il_guard_alloc((size_t)s->vocabulary, 1);
    il_rng luck;
    il_rng choice;
    int32_t at;

    if (tokens == NULL || lengths == NULL || action == NULL || moves == NULL ||
        acted == NULL || episode == NULL || prompt == NULL || written == NULL ||
        allowed == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "", "out of memory");
    }
    il_rng_open(&luck, t->o->seed, 0, IL_RNG_ENVIRONMENT, 0, salt);
    il_rng_open(&choice, t->o->seed, 0, IL_RNG_SAMPLE, 0, salt);
    at = api->prompt(i->self, 0, &luck, written);
    api->allowed(i->self, allowed);
    if (at < 1 || at > s->prompt_tokens) {
        return il__found(err, "a prompt has %d tokens: expected 1 to %d", (int)at,
                         (int)s->prompt_tokens);
    }
    if (memchr(allowed, 1, (size_t)s->vocabulary) == NULL) {
        return il__found(err, "no token is allowed in an answer");
    }
    for (int64_t k = 0; k < length; k++) {
        tokens[k] = k < at ? written[k] : s->pad;
        action[k] = -1;
        if (tokens[k] < 0 || tokens[k] >= s->vocabulary) {
            return il__found(err, "a prompt has the token %d of %d", (int)tokens[k],
                             (int)s->vocabulary);
        }
    }
    *prompt = at;
    for (int32_t n = 0, token = -1; n < s->max_tokens && token != s->end; n++) {
        do {
            token = (int32_t)il_rng_below(&choice, (uint32_t)s->vocabulary);
        } while (!allowed[token]);
        action[at - 1] = token;
        moves[at - 1] = 1.0f;
        acted[at - 1] = 1;
        tokens[at++] = token;
    }
    *lengths = at;
    *episode = (int64_t)salt;
    il_guard_free(written, (size_t)s->prompt_tokens * sizeof *written, sizeof *written);
    il_guard_free(allowed, (size_t)s->vocabulary, 1);
    return IL_OK;
}

static il_status check_judgement(const il_instance *i, const il_batch *b, il_error *err)
{
    for (int32_t k = i->own_fields; k < i->field_count; k++) {
        const il_field *f = &i->fields[k];
        const il_tensor *x = il_batch_find(b, f->name);
        const bool reward = f->role == IL_FIELD_REWARD;

        if (x == NULL) {
            return il__found(err, "its judgement has no field '%s'", f->name);
        }
        if (x->dtype.code != (reward                       ? IL_CODE_FLOAT
                              : f->role == IL_FIELD_TARGET ? IL_CODE_INT
                                                           : IL_CODE_UINT)) {
            return il__found(err, "field '%s' has another type than its role asks for",
                             f->name);
        }
        for (int64_t e = 0; e < il_count(x); e++) {
            if (reward && !isfinite(il_f32(x)[e])) {
                return il__found(err, "the reward '%s' is no number", f->name);
            }
            if ((f->role == IL_FIELD_LABEL || f->role == IL_FIELD_MASK) &&
                il_u8(x)[e] > 1) {
                return il__found(err, "field '%s' is %d: expected 0 or 1", f->name,
                                 (int)il_u8(x)[e]);
            }
        }
    }
    return IL_OK;
}

static il_status play_text(const il__trial *t, const il_instance *i, uint64_t salt,
                           il_text *out, il_error *err)
{
    il_batch *b = il_guard_batch(1);

    if (b == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "", "out of memory");
    }
    IL_TRY(write_text(t, i, salt, b, err));
    il_guard_batch_seal(b); /* what it adds is new memory */
    il_instance_environment(i)->judge(i->self, 0, b);
    IL_TRY(il_guard_batch_status(b, err));
    IL_TRY(check_judgement(i, b, err));
    il__batch_bytes(b, out);
    il_guard_batch_destroy(b);
    return IL_OK;
}

static bool of_steps(const il_instance *i)
{
    return il_instance_environment(i)->form == IL_ENVIRONMENT_STEPS;
}

il_status il__episode(const il__trial *t, const il_instance *i, uint64_t salt,
                      il_text *out, il_error *err)
{
    return of_steps(i) ? play_steps(t, i, salt, out, err)
                       : play_text(t, i, salt, out, err);
}

/* ---- tests ------------------------------------------------------------------------
 */

static il_status is_its_luck(il__trial *t, il_error *err)
{
    il_instance *i = NULL;
    il_text texts[2] = {{0}};

    IL_TRY(il__subject_plain(t, &i, err));
    if (i == NULL) {
        return IL_OK;
    }
    for (uint64_t k = 0; k < 20; k++) {
        IL_TRY(il__episode(t, i, k, &texts[0], err));
    }
    for (uint64_t k = 20; k-- > 0;) { /* backwards, then compared by themselves */
        il_text one = {0};

        il__note(t, "episode %d", (int)k);
        IL_TRY(il__episode(t, i, k, &one, err));
        il_text_add_bytes(&texts[1], one.data, one.size);
        il_text_free(&one);
    }
    texts[1].size = 0;
    for (uint64_t k = 0; k < 20; k++) {
        IL_TRY(il__episode(t, i, k, &texts[1], err));
    }
    return il__same(&texts[0], &texts[1], "an episode of the same luck goes otherwise",
                    err);
}

/* Plays an episode whose state moves before every step; where it was is nothing then.
 */
static il_status is_its_state(il__trial *t, il_error *err)
{
    il_instance *i = NULL;

    IL_TRY(il__subject_plain(t, &i, err));
    if (i == NULL) {
        return IL_OK;
    }
    if (!of_steps(i)) {
        return il__skip(t, "an environment of text has no state");
    }
    for (uint64_t salt = 0; salt < 8; salt++) {
        const size_t size = (size_t)i->shape.state_size;
        const size_t align = (size_t)i->shape.state_alignment;
        il_text still = {0};
        il_text moved = {0};
        player p;

        IL_TRY(play_steps(t, i, salt, &still, err));
        IL_TRY(player_open(&p, i, err));
        IL_TRY(start(&p, t, salt, &moved, err));
        while (goes_on(&p)) {
            unsigned char *elsewhere = il_guard_alloc(size, align);

            if (elsewhere == NULL) {
                return il_error_set(err, IL_ERR_MEMORY, "", "out of memory");
            }
            memcpy(elsewhere, p.state, size);
            il_guard_free(p.state, size, align); /* a pointer to it is one to nothing */
            p.state = elsewhere;
            il__note(t, "a step on a copy of the state");
            IL_TRY(move(&p, &moved, err));
        }
        IL_TRY(il__same(&still, &moved,
                        "an episode goes otherwise on a copy of its state: keep no "
                        "pointer in it, and nothing outside of it",
                        err));
        il_text_free(&still);
        il_text_free(&moved);
    }
    return IL_OK;
}

static il_status bears_steps_after_the_end(il__trial *t, il_error *err)
{
    il_instance *i = NULL;
    il_text bytes = {0};
    player p;

    IL_TRY(il__subject_plain(t, &i, err));
    if (i == NULL) {
        return IL_OK;
    }
    if (!of_steps(i)) {
        return il__skip(t, "an environment of text has no steps");
    }
    IL_TRY(player_open(&p, i, err));
    IL_TRY(start(&p, t, 0, &bytes, err));
    while (goes_on(&p)) {
        IL_TRY(move(&p, &bytes, err));
    }
    il__note(t, "a step after the end");
    for (int k = 0; k < 5; k++) {
        il_error ignored = {0};

        (void)move(&p, &bytes, &ignored); /* its numbers mean nothing any more */
        IL_TRY(check_guards(&p, err));
    }
    return IL_OK;
}

static il_status has_policies_in_range(il__trial *t, il_error *err)
{
    const il_environment_api *api;
    const il_named *policies;
    il_instance *i = NULL;
    int32_t count = 0;

    IL_TRY(il__subject_plain(t, &i, err));
    if (i == NULL) {
        return IL_OK;
    }
    api = il_instance_environment(i);
    if (!of_steps(i) || !IL_HAS(api, policies)) {
        return il__skip(t, "it has no policies of its own");
    }
    policies = api->policies(i->self, &count);
    for (int32_t k = 0; k < count; k++) {
        il_text bytes = {0};
        player p;

        il__note(t, "policy '%s'", policies[k].name);
        IL_TRY(player_open(&p, i, err));
        IL_TRY(start(&p, t, (uint64_t)k, &bytes, err));
        while (goes_on(&p)) {
            int32_t action = api->act(i->self, k, p.state, &p.choice);

            if (action < 0 || action >= i->shape.actions) {
                return il__found(err, "policy '%s' chooses action %d of %d",
                                 policies[k].name, (int)action, (int)i->shape.actions);
            }
            p.taken++;
            api->step(i->self, p.state, action, &p.luck, p.obs, p.rewards, &p.done);
            IL_TRY(take(&p, &bytes, err));
        }
        il_text_free(&bytes);
    }
    return IL_OK;
}

static il_status has_fingerprint(il__trial *t, il_error *err)
{
    il_instance *instances[2] = {NULL};
    uint8_t prints[2][32] = {{0}};

    for (int k = 0; k < 2; k++) {
        IL_TRY(il__subject_plain(t, &instances[k], err));
        if (instances[k] == NULL) {
            return IL_OK;
        }
        il_instance_environment(instances[k])
            ->fingerprint(instances[k]->self, prints[k]);
    }
    return memcmp(prints[0], prints[1], sizeof prints[0]) == 0
               ? IL_OK
               : il__found(err, "two instances of one seed have two fingerprints");
}

static const il__row rows[] = {
    {"an episode of the same luck is the same", ENVIRONMENT, is_its_luck},
    {"a copy of a state is the state", ENVIRONMENT, is_its_state},
    {"a step after the end does no harm", ENVIRONMENT, bears_steps_after_the_end},
    {"its policies choose actions that there are", ENVIRONMENT, has_policies_in_range},
    {"its fingerprint is that of its twin", ENVIRONMENT, has_fingerprint},
    {"its finished episodes can be judged and told", ENVIRONMENT, il__episodes_told},
};

const il__group il__group_environment = {"environment", rows,
                                         sizeof rows / sizeof rows[0], true};
