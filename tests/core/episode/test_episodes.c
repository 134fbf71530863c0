/* Episodes of steps: what a batch holds, what its bits may depend on, and plugins that
 * misbehave. */
#include "episode/episodes.h"
#include "../plugin/support.h"
#include "pipeline/batch.h"
#include "pipeline/composer.h"
#include "pipeline/fields.h"

enum { ROWS = 24, LENGTH = 7, WIDTH = 2, ACTIONS = 3 };

static char folder[64];
static il_registry *registry;
static il_arena *arena;
static il_arena *scratch;
static il_problems problems;
static il_facts facts;
static il_error err;
static il_instance *world;
static il_instance *model;
static const float *values[1];
static il_pass *pass;
static il_batch *batch;
static const il_blas *blas;

static void build_plugin(void)
{
    folder_make(folder);
    build(folder, "walk", "walk", "");
    stamp(folder, "walk");
}

static void drop_plugin(void)
{
    folder_drop(folder);
}

static void open_all(void)
{
    registry = registry_of(folder);
    arena = il_arena_create(1 << 12);
    scratch = il_arena_create(1 << 12);
    problems = (il_problems){.arena = arena};
    facts = (il_facts){0};
    err = (il_error){0};
    world = NULL;
    model = NULL;
    ck_assert_msg(il_blas_open(&blas, true, &err) == IL_OK, "%s", err.message);
    ck_assert_int_eq(il_pass_create(&pass, blas, 8, &err), IL_OK);
    ck_assert_int_eq(il_batch_create(&batch, &err), IL_OK);
}

static void close_all(void)
{
    il_instance_destroy(world);
    il_instance_destroy(model);
    il_pass_destroy(pass);
    il_batch_destroy(batch);
    il_arena_destroy(scratch);
    il_arena_destroy(arena);
    il_registry_destroy(registry);
}

static il_status make(il_instance **out, il_kind kind, const char *use,
                      const char *yaml)
{
    il_component_spec spec = {.use = use, .range = "", .place = {"p.yaml", 4, 2}};
    il_instance_input in = {.label = "label", .seed = 5, .facts = &facts};

    spec.params = il_compose(arena, "p.yaml", yaml, strlen(yaml), &problems);
    return il_instance_create(out, registry, kind, &spec, &in, &problems, &err);
}

/* The environment, and the model that acts in it. */
static void make_both(const char *environment, const char *agent)
{
    ck_assert_msg(make(&world, IL_KIND_ENVIRONMENT, "walk.line", environment) == IL_OK,
                  "%s", err.message);
    ck_assert_msg(make(&model, IL_KIND_MODEL, "walk.agent", agent) == IL_OK, "%s",
                  err.message);
    values[0] = model->store->values;
}

static il_rollout rollout(int32_t policy)
{
    il_rollout r = {.environment = world,
                    .model = policy < 0 ? model : NULL,
                    .values = values,
                    .policy = policy,
                    .group = 1,
                    .sampled_site = -1,
                    .seed = 3,
                    .draw = IL_DRAW_TRAIN};

    return r;
}

static void fill(const il_rollout *r, int64_t first, int64_t rows)
{
    il_status status = il_rollout_fill(r, first, rows, pass, scratch, batch, &err);

    ck_assert_msg(status == IL_OK, "%s: %s", err.where, err.message);
}

static const int32_t *ints(const char *name)
{
    const il_tensor *t = il_batch_find(batch, name);

    ck_assert_msg(t != NULL, "no field %s", name);
    return il_i32(t);
}

static const float *reals(const char *name)
{
    const il_tensor *t = il_batch_find(batch, name);

    ck_assert_msg(t != NULL, "no field %s", name);
    return il_f32(t);
}

static const uint8_t *bytes(const char *name)
{
    const il_tensor *t = il_batch_find(batch, name);

    ck_assert_msg(t != NULL, "no field %s", name);
    return il_u8(t);
}

START_TEST(a_batch_holds_every_field_that_the_instance_lists)
{
    int32_t count = 0;
    const il_field *fields;
    int64_t size;
    il_rollout r;

    make_both("{}", "{}");
    fields = il_instance_fields(world, &count);
    ck_assert_int_eq(count, 6 + 4);
    r = rollout(0);
    fill(&r, 0, ROWS);
    for (int32_t i = 0; i < count; i++) {
        const il_tensor *t = il_batch_find(batch, fields[i].name);

        ck_assert_msg(t != NULL && t->shape[0] == ROWS, "%s", fields[i].name);
    }
    ck_assert_str_eq(il_field_of_role(world, IL_FIELD_INPUT), "obs");
    ck_assert_str_eq(il_field_of_role(world, IL_FIELD_UNIT), "episode");
    ck_assert_int_eq(il_field_find(world, "cost")->role, IL_FIELD_REWARD);
    ck_assert_ptr_null(il_field_find(world, "sampled"));
    ck_assert_int_eq(il_split_find(world, "train", &size), -1);
    ck_assert_int_eq(il_rollout_length(world), LENGTH);
    ck_assert_int_eq(il_rollout_policy(world, "up"), 1);
    ck_assert_int_eq(il_rollout_policy(world, "own"), -1);
    ck_assert_int_eq(il_rollout_prompt(world, "up"), -1);
    ck_assert_uint_eq(facts.count, 2);
}
END_TEST

/* Replays each episode from its fields by the rules of the walk. */
START_TEST(positions_actions_rewards_and_labels_agree_with_each_other)
{
    il_rollout r;

    make_both("{}", "{}");
    r = rollout(_i == 0 ? 0 : -1);
    fill(&r, 0, ROWS);
    for (int64_t b = 0; b < ROWS; b++) {
        ck_assert_int_eq(ints("lengths")[b], LENGTH);
        for (int64_t t = 0; t < LENGTH; t++) {
            int64_t at = b * LENGTH + t;
            const float *obs = reals("obs") + at * WIDTH;
            bool last = t + 1 == LENGTH;
            int32_t action = ints("action")[at];

            ck_assert(obs[1] == (float)t / 128.0f);
            ck_assert_int_eq(bytes("acted")[at], !last);
            ck_assert(reals("moves")[at] == (last ? 0.0f : 1.0f));
            ck_assert_int_eq(bytes("high")[at], obs[0] > 0.5f);
            if (last) {
                ck_assert_int_eq(action, -1);
                ck_assert(reals("gain")[at] == 0.0f);
                ck_assert(reals("cost")[at] == 0.0f);
                continue;
            }
            ck_assert(action >= 0 && action < ACTIONS);
            ck_assert(reals("gain")[at] == (float)(action == 2));
            ck_assert(reals("cost")[at] == 0.1f);
            ck_assert(16.0f * (obs[WIDTH] - obs[0]) ==
                      (bytes("shaken")[at + 1] ? 0.0f : (float)(action - 1)));
        }
    }
}
END_TEST

START_TEST(named_policies_give_the_same_bits_whatever_the_rows_of_a_call)
{
    static float obs[ROWS * LENGTH * WIDTH];
    static int64_t ids[ROWS];
    const int64_t cuts[] = {1, 7, 16};
    int64_t first = 0;
    il_rollout r;

    make_both("{}", "{}");
    r = rollout(0);
    fill(&r, 0, ROWS);
    memcpy(obs, reals("obs"), sizeof obs);
    memcpy(ids, il_i64(il_batch_find(batch, "episode")), sizeof ids);
    for (int c = 0; c < 3; c++) {
        fill(&r, first, cuts[c]);
        ck_assert_int_eq(memcmp(reals("obs"), obs + first * LENGTH * WIDTH,
                                (size_t)(cuts[c] * LENGTH * WIDTH) * sizeof *obs),
                         0);
        ck_assert_int_eq(memcmp(il_i64(il_batch_find(batch, "episode")), ids + first,
                                (size_t)cuts[c] * sizeof *ids),
                         0);
        first += cuts[c];
    }
    ck_assert_int_eq(first, ROWS);
    for (int64_t i = 1; i < ROWS; i++) {
        ck_assert(ids[i] != ids[i - 1]);
    }
}
END_TEST

/* Where an episode starts and which of its steps shake do not depend on the policy;
 * they do on what it is drawn for. */
START_TEST(luck_belongs_to_the_episode_and_not_to_the_policy)
{
    static uint8_t shaken[ROWS * LENGTH];
    static int64_t id;
    il_rollout r;

    make_both("{}", "{}");
    r = rollout(0);
    fill(&r, 0, ROWS);
    memcpy(shaken, bytes("shaken"), sizeof shaken);
    id = *il_i64(il_batch_find(batch, "episode"));
    r = rollout(1);
    fill(&r, 0, ROWS);
    ck_assert_int_eq(memcmp(shaken, bytes("shaken"), sizeof shaken), 0);
    r = rollout(-1);
    fill(&r, 0, ROWS);
    ck_assert_int_eq(memcmp(shaken, bytes("shaken"), sizeof shaken), 0);
    for (int k = 0; k < 5; k++) {
        r = rollout(0);
        r.draw = k == 0 ? IL_DRAW_FIT : IL_DRAW_TRAIN;
        r.lot = k == 1;
        r.step = k == 2;
        r.depth = k == 3;
        r.seed = k == 4 ? 4 : 3;
        fill(&r, 0, ROWS);
        ck_assert_msg(memcmp(shaken, bytes("shaken"), sizeof shaken) != 0, "%d", k);
        ck_assert_msg(k > 2 || id != *il_i64(il_batch_find(batch, "episode")), "%d", k);
    }
}
END_TEST

/* Actions are drawn by the probabilities that the model states: their share among many
 * first moves against the softmax of its logits there. */
START_TEST(a_models_actions_follow_its_probabilities)
{
    enum { MANY = 6000 };
    double expected[ACTIONS] = {0};
    double seen[ACTIONS] = {0};
    il_rollout r;

    make_both("{steps: 1}", "{}");
    r = rollout(-1);
    fill(&r, 0, MANY);
    for (int64_t b = 0; b < MANY; b++) {
        const float *obs = reals("obs") + b * 2 * WIDTH;
        double odds[ACTIONS];
        double sum = 0;

        for (int a = 0; a < ACTIONS; a++) {
            odds[a] = exp((double)(values[0][a * WIDTH] * obs[0]));
            sum += odds[a];
        }
        for (int a = 0; a < ACTIONS; a++) {
            expected[a] += odds[a] / sum;
        }
        seen[ints("action")[b * 2]]++;
    }
    for (int a = 0; a < ACTIONS; a++) {
        ck_assert_msg(fabs(seen[a] - expected[a]) < 4 * sqrt(expected[a]),
                      "action %d: %g times, expected %g", a, seen[a], expected[a]);
    }
}
END_TEST

/* The agent's state adds up what the site gave; so a state is that before it, plus what
 * was seen, plus noise of the stated deviation. */
START_TEST(a_sampled_site_goes_on_with_its_sample)
{
    const float *sampled;
    double squares = 0;
    int64_t n = 0;
    il_rollout r;

    make_both("{}", "{}");
    r = rollout(-1);
    r.sampled_site = 0;
    r.sampled_std = 0.5f;
    fill(&r, 0, 200);
    sampled = reals("sampled");
    for (int64_t b = 0; b < 200; b++) {
        for (int64_t t = 0; t < LENGTH; t++) {
            int64_t at = b * LENGTH + t;
            float was = t > 0 ? sampled[(at - 1) * WIDTH] : 0.0f;
            double noise =
                (double)(sampled[at * WIDTH] - was - reals("obs")[at * WIDTH]);

            squares += noise * noise;
            n++;
        }
    }
    squares /= (double)n;
    ck_assert_msg(squares > 0.22 && squares < 0.28, "%g", squares);
    r.sampled_site = -1;
    fill(&r, 0, ROWS);
    ck_assert_ptr_null(il_batch_find(batch, "sampled"));
}
END_TEST

START_TEST(an_episode_that_ends_early_is_padded)
{
    il_rollout r;

    make_both("{fault: early}", "{}");
    r = rollout(_i == 0 ? 0 : -1);
    fill(&r, 0, ROWS);
    for (int64_t b = 0; b < ROWS; b++) {
        ck_assert_int_eq(ints("lengths")[b], 3);
        ck_assert_int_eq(ints("action")[b * LENGTH + 2], -1);
        ck_assert(reals("obs")[(b * LENGTH + 3) * WIDTH + 1] == 0.0f);
        ck_assert(reals("cost")[b * LENGTH + 1] == 0.1f);
        ck_assert(reals("cost")[b * LENGTH + 2] == 0.0f);
    }
}
END_TEST

static const struct {
    const char *fault;
    il_status code;
    const char *message;
} faults[] = {
    {"nan_reward", IL_ERR_NUMERIC,
     "episode 5, position 3: no number was given for the reward 'gain'"},
    {"no_reward", IL_ERR_NUMERIC, "position 2: no number was given for the reward"},
    {"many_rewards", IL_ERR_INPUT, "position 0: the environment wrote more rewards"},
    {"nan_obs", IL_ERR_NUMERIC,
     "episode 5, position 3: value 1 of the observation's 2 is no number"},
    {"narrow_obs", IL_ERR_NUMERIC, "position 2: value 1 of the observation's 2"},
    {"wide_obs", IL_ERR_INPUT,
     "position 3: the environment wrote an observation wider"},
    {"state", IL_ERR_INPUT, "wrote past the 16 bytes of its state"},
    {"label", IL_ERR_INPUT, "position 2: expected 0 or 1 for the label 'shaken'"},
    {"many_labels", IL_ERR_INPUT, "position 0: the environment wrote more labels"},
    {"endless", IL_ERR_INPUT, "the episode goes on after 6 actions: expected its end"},
    {"wild", IL_ERR_INPUT,
     "episode 5, position 1: the policy chose action 3: expected 0 to 2"},
};

START_TEST(an_environment_that_misbehaves_is_named_with_episode_and_position)
{
    char params[64];
    il_rollout r;

    (void)snprintf(params, sizeof params, "{fault: %s}", faults[_i].fault);
    make_both(params, "{}");
    r = rollout(0);
    ck_assert_int_eq(il_rollout_fill(&r, 5, 4, pass, scratch, batch, &err),
                     faults[_i].code);
    ck_assert_str_eq(err.where, "walk.line");
    expect_in(err.message, faults[_i].message);
}
END_TEST

static const struct {
    const char *fault, *message;
} impossible[] = {
    {"shape", "its shape cannot be: observations of width 2, 0 actions"},
    {"alignment", "aligned to 3"},
    {"twice", "its field 'gain' stands twice"},
    {"builtin", "its field 'lengths' stands twice, or is one of those"},
    {"role", "its field 'odd' has a role"},
};

START_TEST(an_environment_that_cannot_be_is_refused_when_it_is_made)
{
    char params[64];

    (void)snprintf(params, sizeof params, "{fault: %s}", impossible[_i].fault);
    ck_assert_int_eq(make(&world, IL_KIND_ENVIRONMENT, "walk.line", params),
                     IL_ERR_INPUT);
    expect_in(err.message, "environment 'walk.line' 1.0.0");
    expect_in(err.message, impossible[_i].message);
}
END_TEST

static const struct {
    const char *quirk;
    il_status code;
    const char *where, *message;
} quirks[] = {
    {"nan", IL_ERR_NUMERIC, "walk.line",
     "episode 5, position 2: the model's policy is no number"},
    {"silent", IL_ERR_SHAPE, "walk.agent", "gave no output 'policy' of 4 rows by 3"},
    {"narrow", IL_ERR_SHAPE, "walk.line", "has 2 of output 'policy', expected one for"},
    {"carry", IL_ERR_INPUT, "walk.agent", "wrote past the carry of 2 floats a row"},
};

START_TEST(a_model_that_cannot_act_is_named)
{
    char params[64];
    il_rollout r;

    (void)snprintf(params, sizeof params, "{quirk: %s}", quirks[_i].quirk);
    make_both("{}", params);
    r = rollout(-1);
    ck_assert_int_eq(il_rollout_fill(&r, 5, 4, pass, scratch, batch, &err),
                     quirks[_i].code);
    ck_assert_str_eq(err.where, quirks[_i].where);
    expect_in(err.message, quirks[_i].message);
}
END_TEST

START_TEST(a_model_without_a_step_and_a_policy_that_is_none_are_refused)
{
    il_rollout r;

    make_both("{}", "{}");
    r = rollout(2);
    ck_assert_int_eq(il_rollout_fill(&r, 0, 1, pass, scratch, batch, &err),
                     IL_ERR_INPUT);
    expect_in(err.message, "no policy of that number");
    err = (il_error){0};
    il_instance_destroy(model);
    model = NULL;
    ck_assert_int_eq(make(&model, IL_KIND_MODEL, "walk.idle", "{}"), IL_OK);
    r = rollout(-1);
    ck_assert_int_eq(il_rollout_fill(&r, 0, 1, pass, scratch, batch, &err),
                     IL_ERR_UNSUPPORTED);
    expect_in(err.message, "the model 'walk.idle' cannot act");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("episodes");

    tcase_add_unchecked_fixture(tc, build_plugin, drop_plugin);
    tcase_add_checked_fixture(tc, open_all, close_all);
    tcase_add_test(tc, a_batch_holds_every_field_that_the_instance_lists);
    tcase_add_loop_test(tc, positions_actions_rewards_and_labels_agree_with_each_other,
                        0, 2);
    tcase_add_test(tc, named_policies_give_the_same_bits_whatever_the_rows_of_a_call);
    tcase_add_test(tc, luck_belongs_to_the_episode_and_not_to_the_policy);
    tcase_add_test(tc, a_models_actions_follow_its_probabilities);
    tcase_add_test(tc, a_sampled_site_goes_on_with_its_sample);
    tcase_add_loop_test(tc, an_episode_that_ends_early_is_padded, 0, 2);
    tcase_add_loop_test(
        tc, an_environment_that_misbehaves_is_named_with_episode_and_position, 0,
        (int)(sizeof faults / sizeof faults[0]));
    tcase_add_loop_test(tc, an_environment_that_cannot_be_is_refused_when_it_is_made, 0,
                        (int)(sizeof impossible / sizeof impossible[0]));
    tcase_add_loop_test(tc, a_model_that_cannot_act_is_named, 0,
                        (int)(sizeof quirks / sizeof quirks[0]));
    tcase_add_test(tc, a_model_without_a_step_and_a_policy_that_is_none_are_refused);
    return run_plugin_case(tc);
}
