/* Recorded episodes: the bits of those played, whatever the pool and however read. */
#include "episode/recorded.h"
#include "../plugin/support.h"
#include "pipeline/batch.h"
#include "pipeline/composer.h"

enum { EPISODES = 100, LENGTH = 7, WIDTH = 2 };

static char folder[64];
static il_registry *registry;
static il_arena *arena;
static il_problems problems;
static il_facts facts;
static il_error err;
static il_instance *world;
static il_instance *model;
static const float *values[1];
static il_pool *pools[2];
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

static void make(il_instance **out, il_kind kind, const char *use, const char *yaml)
{
    il_component_spec spec = {.use = use, .range = "", .place = {"p.yaml", 4, 2}};
    il_instance_input in = {.label = "label", .seed = 5, .facts = &facts};

    spec.params = il_compose(arena, "p.yaml", yaml, strlen(yaml), &problems);
    ck_assert_msg(
        il_instance_create(out, registry, kind, &spec, &in, &problems, &err) == IL_OK,
        "%s", err.message);
}

static void open_all(void)
{
    registry = registry_of(folder);
    arena = il_arena_create(1 << 12);
    problems = (il_problems){.arena = arena};
    facts = (il_facts){0};
    err = (il_error){0};
    ck_assert_msg(il_blas_open(&blas, true, &err) == IL_OK, "%s", err.message);
    ck_assert_int_eq(il_batch_create(&batch, &err), IL_OK);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(il_pool_create(&pools[i], i + 1, &err), IL_OK);
    }
    make(&world, IL_KIND_ENVIRONMENT, "walk.line", "{}");
    make(&model, IL_KIND_MODEL, "walk.agent", "{}");
    values[0] = model->store->values;
}

static void close_all(void)
{
    il_instance_destroy(world);
    il_instance_destroy(model);
    il_batch_destroy(batch);
    il_pool_destroy(pools[0]);
    il_pool_destroy(pools[1]);
    il_arena_destroy(arena);
    il_registry_destroy(registry);
}

static il_rollout key_of(il_draw draw)
{
    il_rollout r = {.environment = world,
                    .model = model,
                    .values = values,
                    .seed = 3,
                    .draw = draw};

    return r;
}

static il_recorded *record(const char *policy, int64_t episodes, il_draw draw,
                           int workers)
{
    il_rollout_spec spec = {.policy = policy, .episodes = episodes};
    il_rollout key = key_of(draw);
    il_recorded *r = NULL;

    ck_assert_msg(il_recorded_draw(&r, &spec, &key, blas, pools[workers - 1], &err) ==
                      IL_OK,
                  "%s: %s", err.where, err.message);
    return r;
}

/* Fetches episodes and returns their observations. */
static const float *fetch(il_recorded *r, int64_t index, int64_t rows)
{
    il_batch_reset(batch, rows);
    ck_assert_msg(il_recorded_fetch(r, index, rows, batch, &err) == IL_OK, "%s",
                  err.message);
    return il_f32(il_batch_find(batch, "obs"));
}

static const int64_t *ids(void)
{
    return il_i64(il_batch_find(batch, "episode"));
}

START_TEST(two_workers_record_the_bits_of_one)
{
    static float obs[EPISODES * LENGTH * WIDTH];
    il_recorded *one = record("own", EPISODES, IL_DRAW_JUDGE, 1);
    il_recorded *two = record("own", EPISODES, IL_DRAW_JUDGE, 2);

    memcpy(obs, fetch(one, 0, EPISODES), sizeof obs);
    ck_assert_mem_eq(obs, fetch(two, 0, EPISODES), sizeof obs);
    il_recorded_destroy(one);
    il_recorded_destroy(two);
}
END_TEST

START_TEST(any_stretch_of_episodes_is_part_of_the_whole)
{
    static float obs[EPISODES * LENGTH * WIDTH];
    static int64_t numbers[EPISODES];
    il_recorded *r = record("random", EPISODES, IL_DRAW_FIT, 1);
    const int64_t cuts[][2] = {{0, 1}, {60, 10}, {64, 36}, {99, 1}};

    memcpy(obs, fetch(r, 0, EPISODES), sizeof obs);
    memcpy(numbers, ids(), sizeof numbers);
    for (int i = 0; i < 4; i++) {
        int64_t first = cuts[i][0];
        int64_t rows = cuts[i][1];

        ck_assert_mem_eq(fetch(r, first, rows), obs + first * LENGTH * WIDTH,
                         (size_t)(rows * LENGTH * WIDTH) * sizeof *obs);
        ck_assert_mem_eq(ids(), numbers + first, (size_t)rows * sizeof *numbers);
    }
    il_batch_reset(batch, 2);
    ck_assert_int_eq(il_recorded_fetch(r, 99, 2, batch, &err), IL_ERR_INTERNAL);
    il_recorded_destroy(r);
}
END_TEST

START_TEST(episodes_that_are_added_stand_behind_the_others)
{
    il_recorded *r = record("random", 70, IL_DRAW_FIT, 1);
    il_recorded *more = record("up", 30, IL_DRAW_REFIT, 1);
    static float last[30 * LENGTH * WIDTH];
    static int64_t number;

    memcpy(last, fetch(more, 0, 30), sizeof last);
    number = ids()[29];
    ck_assert_int_eq(il_recorded_append(r, more, &err), IL_OK);
    ck_assert_int_eq(il_recorded_count(r), 100);
    ck_assert_mem_eq(fetch(r, 70, 30), last, sizeof last);
    ck_assert_int_eq(ids()[29], number);
    (void)fetch(r, 60, 20);
    ck_assert_mem_eq(il_f32(il_batch_find(batch, "obs")) + 10 * LENGTH * WIDTH, last,
                     10 * LENGTH * WIDTH * sizeof *last);
    il_recorded_destroy(r);
}
END_TEST

START_TEST(draws_for_two_purposes_share_no_episode)
{
    il_recorded *fit = record("random", EPISODES, IL_DRAW_FIT, 1);
    il_recorded *judge = record("random", EPISODES, IL_DRAW_JUDGE, 1);
    static int64_t numbers[EPISODES];
    static float obs[EPISODES * LENGTH * WIDTH];

    memcpy(obs, fetch(fit, 0, EPISODES), sizeof obs);
    memcpy(numbers, ids(), sizeof numbers);
    ck_assert(memcmp(obs, fetch(judge, 0, EPISODES), sizeof obs) != 0);
    for (int i = 0; i < EPISODES; i++) {
        for (int j = 0; j < EPISODES; j++) {
            ck_assert(numbers[i] != ids()[j]);
        }
    }
    il_recorded_destroy(fit);
    il_recorded_destroy(judge);
}
END_TEST

START_TEST(a_policy_that_nobody_has_is_refused_at_its_place)
{
    il_rollout_spec spec = {
        .policy = "sideways", .episodes = 3, .place = {"p.yaml", 12, 9}};
    il_rollout key = key_of(IL_DRAW_FIT);
    il_recorded *r = NULL;

    ck_assert_int_eq(il_recorded_draw(&r, &spec, &key, blas, pools[0], &err),
                     IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.where, "p.yaml:12:9"));
    ck_assert_ptr_nonnull(strstr(err.message, "sideways"));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("recorded");

    tcase_add_unchecked_fixture(tc, build_plugin, drop_plugin);
    tcase_add_checked_fixture(tc, open_all, close_all);
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, two_workers_record_the_bits_of_one);
    tcase_add_test(tc, any_stretch_of_episodes_is_part_of_the_whole);
    tcase_add_test(tc, episodes_that_are_added_stand_behind_the_others);
    tcase_add_test(tc, draws_for_two_purposes_share_no_episode);
    tcase_add_test(tc, a_policy_that_nobody_has_is_refused_at_its_place);
    return run_plugin_case(tc);
}
