/* A corridor to walk: five cells, a prize at the right end, a floor that may slip. */
#include <interloop/plugin.h>
#include <string.h>

enum { CELLS = 5, STEPS = 20, LEFT = 0, RIGHT = 1, ACTIONS = 2 };

typedef struct {
    int32_t cell, taken;
} walk; /* all that an episode is */

static il_status corridor_create(const il_setup *s, void **self, il_error *err)
{
    (void)err;
    il_setup_publish(s, "observation", CELLS);
    il_setup_publish(s, "observation_classes", CELLS); /* one of them is 1 */
    il_setup_publish(s, "actions", ACTIONS);
    *self = il_setup_new(s, 1);
    return IL_OK;
}

static void corridor_shape(const void *self, il_environment_shape *out)
{
    (void)self;
    out->state_size = sizeof(walk);
    out->state_alignment = 4;
    out->state_version = 1;
    out->obs_width = CELLS;
    out->actions = ACTIONS;
    out->steps = STEPS;
}

static const il_field *corridor_fields(const void *self, int32_t *count)
{
    static const il_field fields[] = {
        {"task", IL_FIELD_REWARD, "1 for the prize"},
        {"near", IL_FIELD_LABEL, "whether the prize is a step away"},
    };

    (void)self;
    *count = 2;
    return fields;
}

static void corridor_fingerprint(const void *self, uint8_t out[32])
{
    (void)self;
    memset(out, 0, 32);
    out[0] = 1; /* the version of the rules */
}

static void look(const walk *w, float *obs)
{
    for (int c = 0; c < CELLS; c++) {
        obs[c] = c == w->cell ? 1.0f : 0.0f;
    }
}

static void corridor_reset(const void *self, void *state, il_rng *rng, float *obs)
{
    walk *w = state;

    (void)self;
    w->cell = (int32_t)il_rng_below(rng, 3);
    w->taken = 0;
    look(w, obs);
}

static void corridor_step(const void *self, void *state, int32_t action, il_rng *rng,
                          float *obs, float *rewards, bool *done)
{
    walk *w = state;
    bool slips = il_rng_uniform(rng) < 0.1f; /* drawn whatever the action is */

    (void)self;
    if (!slips && action == RIGHT) {
        w->cell++;
    } else if (!slips && w->cell > 0) {
        w->cell--;
    }
    look(w, obs);
    rewards[0] = w->cell == CELLS - 1 ? 1.0f : 0.0f;
    *done = ++w->taken == STEPS || w->cell == CELLS - 1;
}

static void corridor_labels(const void *self, const void *state, uint8_t *labels)
{
    (void)self;
    labels[0] = ((const walk *)state)->cell == CELLS - 2;
}

static const il_named *corridor_policies(const void *self, int32_t *count)
{
    static const il_named policies[] = {{"random", "left or right by a fair coin"}};

    (void)self;
    *count = 1;
    return policies;
}

static int32_t corridor_act(const void *self, int32_t policy, void *state, il_rng *rng)
{
    (void)self;
    (void)policy;
    (void)state;
    return (int32_t)il_rng_below(rng, ACTIONS);
}

static const il_environment_api api = {
    .struct_size = sizeof api,
    .form = IL_ENVIRONMENT_STEPS,
    .create = corridor_create,
    .shape = corridor_shape,
    .fields = corridor_fields,
    .fingerprint = corridor_fingerprint,
    .reset = corridor_reset,
    .step = corridor_step,
    .labels = corridor_labels,
    .policies = corridor_policies,
    .act = corridor_act,
};

IL_PLUGIN("your_lab", "1.0.0", "MIT", "your lab", "a corridor with a prize at its end",
          IL_ENVIRONMENT("corridor", "five cells and a prize", &api, IL_NO_PARAMS))
