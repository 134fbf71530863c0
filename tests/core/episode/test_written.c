/* Episodes written down: lines that read back as what the batch holds, and a table
 * where an environment does not tell its episodes itself. */
#include "episode/written.h"
#include "../plugin/support.h"
#include "pipeline/batch.h"
#include "pipeline/composer.h"

#include <jansson.h>

enum { ROWS = 3, LENGTH = 7, WIDTH = 2 };

static char folder[64];
static il_registry *registry;
static il_arena *arena;
static il_facts facts;
static il_error err;
static il_instance *world;
static il_pass *pass;
static il_batch *batch;
static il_text text;

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

/* Three episodes that end early, so that there is padding to leave out. */
static void open_all(void)
{
    static const char params[] = "{fault: early}";
    const il_blas *blas = NULL;
    il_component_spec spec = {.use = "walk.line", .range = ""};
    il_instance_input in = {.label = "environment", .seed = 5, .facts = &facts};
    il_problems problems = {0};
    il_rollout r = {.policy = 0, .group = 1, .sampled_site = -1, .seed = 3};

    registry = registry_of(folder);
    arena = il_arena_create(1 << 12);
    problems.arena = arena;
    spec.params = il_compose(arena, "p.yaml", params, sizeof params - 1, &problems);
    ck_assert_int_eq(il_instance_create(&world, registry, IL_KIND_ENVIRONMENT, &spec,
                                        &in, &problems, &err),
                     IL_OK);
    ck_assert_int_eq(il_blas_open(&blas, true, &err), IL_OK);
    ck_assert_int_eq(il_pass_create(&pass, blas, 1, &err), IL_OK);
    ck_assert_int_eq(il_batch_create(&batch, &err), IL_OK);
    r.environment = world;
    ck_assert_msg(il_rollout_fill(&r, 0, ROWS, pass, arena, batch, &err) == IL_OK, "%s",
                  err.message);
}

static void close_all(void)
{
    il_text_free(&text);
    il_instance_destroy(world);
    il_pass_destroy(pass);
    il_batch_destroy(batch);
    il_arena_destroy(arena);
    il_registry_destroy(registry);
}

START_TEST(a_line_reads_back_as_what_the_batch_holds)
{
    const float *obs = il_f32(il_batch_find(batch, "obs"));
    const int32_t *action = il_i32(il_batch_find(batch, "action"));
    const float *gain = il_f32(il_batch_find(batch, "gain"));
    const uint8_t *shaken = il_u8(il_batch_find(batch, "shaken"));
    json_t *line;

    for (int64_t b = 0; b < ROWS; b++) {
        text.size = 0;
        il_episode_json(&text, world, batch, b, 40 + b);
        ck_assert_uint_eq(strcspn(text.data, "\n"), text.size - 1);
        line = json_loads(text.data, JSON_REJECT_DUPLICATES, NULL);
        ck_assert_msg(line != NULL, "%s", text.data);
        ck_assert_int_eq(json_integer_value(json_object_get(line, "episode")), 40 + b);
        ck_assert_int_eq(json_integer_value(json_object_get(line, "length")), 3);
        ck_assert_uint_eq(json_array_size(json_object_get(line, "obs")), 3);
        for (size_t t = 0; t < 3; t++) {
            const json_t *seen = json_array_get(json_object_get(line, "obs"), t);
            size_t at = (size_t)b * LENGTH + t;

            ck_assert_uint_eq(json_array_size(seen), WIDTH);
            for (size_t i = 0; i < WIDTH; i++) {
                ck_assert((float)json_real_value(json_array_get(seen, i)) ==
                          obs[at * WIDTH + i]);
            }
            ck_assert_int_eq(
                json_integer_value(json_array_get(json_object_get(line, "action"), t)),
                action[at]);
            ck_assert((float)json_real_value(json_array_get(
                          json_object_get(line, "gain"), t)) == gain[at]);
            ck_assert_int_eq(
                json_integer_value(json_array_get(json_object_get(line, "shaken"), t)),
                shaken[at]);
        }
        ck_assert_ptr_null(json_object_get(line, "moves"));
        json_decref(line);
    }
}
END_TEST

START_TEST(an_episode_that_nobody_tells_is_a_table_of_its_positions)
{
    static const char start[] =
        "  at               obs  action  gain  shaken  cost  high\n   0        0.5625 0.0";
    int lines = 0;

    il_episode_text(&text, world, batch, 1);
    for (size_t i = 0; i < text.size; i++) {
        lines += text.data[i] == '\n';
    }
    ck_assert_int_eq(lines, 1 + 3);
    ck_assert_msg(strncmp(text.data, start, sizeof start - 1) == 0, "%s", text.data);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("written");

    tcase_add_unchecked_fixture(tc, build_plugin, drop_plugin);
    tcase_add_checked_fixture(tc, open_all, close_all);
    tcase_add_test(tc, a_line_reads_back_as_what_the_batch_holds);
    tcase_add_test(tc, an_episode_that_nobody_tells_is_a_table_of_its_positions);
    return run_plugin_case(tc);
}
