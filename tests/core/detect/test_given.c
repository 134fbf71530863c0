/* Activations from folders of shards: which sites are read, what belongs to their rows,
 * and what does not. */
#include "base/files.h"
#include "detect/given.h"
#include "formats/safetensors.h"
#include <check.h>
#include <stdlib.h>

static char folder[64];

static void setup(void)
{
    (void)snprintf(folder, sizeof folder, "/tmp/il-given-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void teardown(void)
{
    ck_assert_int_eq(il_folder_remove(folder, NULL), IL_OK);
}

static void put(const char *name, const void *data, size_t size)
{
    char path[160];

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    ck_assert_int_eq(il_file_write(path, data, size, NULL), IL_OK);
}

/* Two sites of 2 channels, labels, and ids that count on; `label_rows` may be wrong. */
static void put_shard(const char *name, int64_t rows, int64_t label_rows, int64_t from)
{
    float acts[64];
    uint8_t labels[32];
    int64_t ids[32];
    char path[160];
    const il_dtype f32 = {IL_CODE_FLOAT, 32, 1};
    il_safetensor t[] = {
        {.name = "acts.one", .dtype = f32, .ndim = 2, .shape = {rows, 2}, .data = acts},
        {.name = "acts.two", .dtype = f32, .ndim = 2, .shape = {rows, 2}, .data = acts},
        {.name = "labels",
         .dtype = {IL_CODE_UINT, 8, 1},
         .ndim = 1,
         .shape = {label_rows},
         .data = labels},
        {.name = "ids",
         .dtype = {IL_CODE_INT, 64, 1},
         .ndim = 1,
         .shape = {rows},
         .data = ids},
    };

    for (int64_t i = 0; i < 32; i++) {
        acts[2 * i] = (float)(from + i);
        acts[2 * i + 1] = -1;
        labels[i] = (uint8_t)(i % 2);
        ids[i] = (from + i) / 2;
    }
    t[0].bytes = t[1].bytes = (size_t)rows * 8;
    t[2].bytes = (size_t)label_rows;
    t[3].bytes = (size_t)rows * 8;
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    ck_assert_int_eq(il_safetensors_write(path, t, 4, NULL, 0, NULL), IL_OK);
}

static il_given *given(const char *const *names, size_t count)
{
    const char *acts[] = {folder};
    il_given_input in = {.acts = acts, .count = 1, .names = names, .name_count = count};
    il_given *g = NULL;
    il_error err = {0};
    il_status status = il_given_read(&g, &in, &err);

    ck_assert_msg(status == IL_OK, "%s: %s", err.where, err.message);
    return g;
}

static void refused(const il_given_input *in, const char *says)
{
    il_given *g = NULL;
    il_error err = {0};

    ck_assert_int_ne(il_given_read(&g, in, &err), IL_OK);
    ck_assert_ptr_null(g);
    ck_assert_msg(strstr(err.message, says) != NULL, "'%s'", err.message);
}

START_TEST(a_folder_is_its_shards_rows)
{
    il_given *g;

    put_shard("0.safetensors", 4, 4, 0);
    put_shard("1.safetensors", 6, 6, 4);
    g = given(NULL, 0);
    ck_assert_uint_eq(g->acts.site_count, 2);
    ck_assert_str_eq(g->model.sites[1].name, "two");
    ck_assert_int_eq(g->acts.rows.count, 10);
    ck_assert(g->acts.data[0][2 * 3] == 3 && g->acts.data[0][2 * 4] == 4);
    ck_assert_int_eq(g->acts.rows.documents[9], 4);
    ck_assert_int_eq(g->acts.rows.labels[5], 1);
    ck_assert(g->has_ids);
    il_given_close(g);
}
END_TEST

START_TEST(named_sites_alone_are_read)
{
    static const char *const two[] = {"two"};
    static const char *const renamed[] = {"a", "b"};
    il_given *g;

    put_shard("0.safetensors", 4, 4, 0);
    g = given(two, 1);
    ck_assert_uint_eq(g->acts.site_count, 1);
    ck_assert_str_eq(g->model.sites[0].name, "two");
    il_given_close(g);
    g = given(renamed, 2);
    ck_assert_str_eq(g->model.sites[0].name, "a");
    il_given_close(g);
}
END_TEST

START_TEST(labels_of_other_rows_are_refused_by_shard)
{
    const char *acts[] = {folder};
    il_given_input in = {.acts = acts, .count = 1};

    put_shard("0.safetensors", 4, 5, 0);
    put_shard("1.safetensors", 5, 4, 4);
    refused(&in, "'labels': expected 4 rows");
}
END_TEST

START_TEST(a_name_that_there_is_not_is_refused)
{
    static const char *const names[] = {"three"};
    char path[160];
    const char *acts[] = {path};
    il_given_input in = {.acts = acts, .count = 1, .names = names, .name_count = 1};

    put_shard("0.safetensors", 4, 4, 0);
    (void)snprintf(path, sizeof path, "%s", folder);
    refused(&in, "1 names are given for 2 sites");
    (void)snprintf(path, sizeof path, "%s#acts.three", folder);
    refused(&in, "have no 'acts.three'");
    in.naming = "{shard}.npy";
    refused(&in, "none is called like");
}
END_TEST

START_TEST(an_index_is_what_the_folder_says_of_itself)
{
    static const char text[] =
        "{\"interloop\": 1, \"shards\": 1, \"tokens\": \"text\"}";
    il_given *g;

    put_shard("00000.safetensors", 4, 4, 0);
    put("index.json", text, strlen(text));
    g = given(NULL, 0);
    ck_assert_str_eq(json_string_value(json_object_get(g->about, "tokens")), "text");
    il_given_close(g);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("given");
    TCase *c = tcase_create("given");
    SRunner *sr;
    int failed;

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, a_folder_is_its_shards_rows);
    tcase_add_test(c, named_sites_alone_are_read);
    tcase_add_test(c, labels_of_other_rows_are_refused_by_shard);
    tcase_add_test(c, a_name_that_there_is_not_is_refused);
    tcase_add_test(c, an_index_is_what_the_folder_says_of_itself);
    suite_add_tcase(s, c);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? 0 : 1;
}
