#include "folder.h"
#include <signal.h>
#include <stdint.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "loop/state.h"
#include <check.h>

static const il_dtype f32 = {IL_CODE_FLOAT, 32, 1};
static const il_dtype i64 = {IL_CODE_INT, 64, 1};
static const float weights[6] = {1, 2, 3, 4, 5, -0.0f};
static const int64_t shape[2] = {2, 3};
static const char *const plugins[2] = {"a 1.0 {}", "b 2.0 {}"};

static il_state_key sample_key(void)
{
    il_state_key key = {.text = "train: 1",
                        .seed = 7,
                        .depth = 1,
                        .parent = "00",
                        .plugins = plugins,
                        .plugin_count = 2,
                        .data = "d",
                        .numerics = "scalar"};

    return key;
}

START_TEST(an_address_depends_on_all_that_decides_a_result)
{
    static const char *const swapped[2] = {"b 2.0 {}", "a 1.0 {}"};
    il_state_key keys[9];
    char hex[9][IL_HASH_HEX];
    char again[IL_HASH_HEX];

    for (int i = 0; i < 9; i++) {
        keys[i] = sample_key();
    }
    keys[1].text = "train: 2";
    keys[2].seed = 8;
    keys[3].depth = 2;
    keys[4].parent = "01";
    keys[5].plugin_count = 1;
    keys[6].data = "e";
    keys[7].numerics = "avx2";
    keys[8].parent = NULL;
    for (int i = 0; i < 9; i++) {
        ck_assert_int_eq(il_state_address(&keys[i], hex[i], NULL), IL_OK);
        ck_assert_uint_eq(strlen(hex[i]), 64);
        for (int j = 0; j < i; j++) {
            ck_assert_str_ne(hex[i], hex[j]);
        }
    }
    keys[0].plugins = swapped;
    ck_assert_int_eq(il_state_address(&keys[0], again, NULL), IL_OK);
    ck_assert_str_eq(hex[0], again);
}
END_TEST

/* Writes the sample with a counter of that value. */
static void sample_write(const char *where, const char *name, int64_t step)
{
    il_arena *arena = il_arena_create(1024);
    il_state_list list = {.arena = arena};
    int64_t steps[1] = {step};
    json_t *json = json_pack("{s:I, s:f}", "step", (json_int_t)step, "rate", 0.1);
    il_error err = {0};

    ck_assert_int_eq(il_state_add(&list, "model.w", f32, 2, shape, weights, NULL),
                     IL_OK);
    ck_assert_int_eq(il_state_add(&list, "step", i64, 1, (int64_t[]){1}, steps, NULL),
                     IL_OK);
    ck_assert_msg(il_state_write(where, name, list.items, list.count, json, &err) ==
                      IL_OK,
                  "%s: %s", err.where, err.message);
    json_decref(json);
    il_arena_destroy(arena);
}

START_TEST(a_state_reads_back_to_the_bit)
{
    float read[6];
    int64_t step = 0;
    double rate = 0;
    il_state *s;

    ck_assert(!il_state_exists(folder, IL_STATE_RESULT));
    sample_write(folder, IL_STATE_RESULT, 12);
    ck_assert(il_state_exists(folder, IL_STATE_RESULT));
    ck_assert(!il_state_exists(folder, IL_STATE_CHECKPOINT));
    ck_assert(il_file_exists(in_folder("state.safetensors")));
    ck_assert_int_eq(il_state_read(&s, folder, IL_STATE_RESULT, NULL), IL_OK);
    ck_assert_int_eq(il_state_take(s, "model.w", f32, 2, shape, read, NULL), IL_OK);
    ck_assert_mem_eq(read, weights, sizeof weights);
    ck_assert_int_eq(il_state_int(s, "step", &step, NULL), IL_OK);
    ck_assert_int_eq(step, 12);
    ck_assert_int_eq(il_state_real(s, "rate", &rate, NULL), IL_OK);
    ck_assert(rate == 0.1);
    ck_assert_int_eq(il_state_real(s, "step", &rate, NULL), IL_OK);
    ck_assert(rate == 12);
    il_state_destroy(s);
}
END_TEST

START_TEST(the_same_state_gives_the_same_bytes)
{
    char *one;
    char *two;
    size_t sizes[2];

    sample_write(in_folder("a"), IL_STATE_RESULT, 3);
    sample_write(in_folder("b"), IL_STATE_RESULT, 3);
    one = contents(in_folder("a/state.safetensors"), &sizes[0]);
    two = contents(in_folder("b/state.safetensors"), &sizes[1]);
    ck_assert_uint_eq(sizes[0], sizes[1]);
    ck_assert_mem_eq(one, two, sizes[0]);
    free(one);
    free(two);
    one = contents(in_folder("a/state.json"), NULL);
    two = contents(in_folder("b/state.json"), NULL);
    ck_assert_str_eq(one, two);
    free(one);
    free(two);
}
END_TEST

START_TEST(what_a_state_does_not_hold_is_refused_and_nothing_is_overwritten)
{
    static const int64_t wrong[2] = {3, 2};
    float read[6] = {9, 9, 9, 9, 9, 9};
    int64_t step = -5;
    double rate = -5;
    il_state *s;
    il_error err = {0};

    sample_write(folder, IL_STATE_RESULT, 1);
    ck_assert_int_eq(il_state_read(&s, folder, IL_STATE_RESULT, NULL), IL_OK);
    ck_assert_int_eq(il_state_take(s, "model.x", f32, 2, shape, read, &err),
                     IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "model.x"));
    ck_assert_ptr_nonnull(strstr(err.where, "state.json"));
    memset(&err, 0, sizeof err);
    ck_assert_int_eq(il_state_take(s, "model.w", f32, 2, wrong, read, &err),
                     IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "expected F32 [3,2], got F32 [2,3]"));
    memset(&err, 0, sizeof err);
    ck_assert_int_eq(il_state_take(s, "model.w", i64, 2, shape, read, &err),
                     IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "expected I64 [2,3], got F32 [2,3]"));
    ck_assert_int_eq(il_state_take(s, "model.w", f32, 1, shape, read, NULL),
                     IL_ERR_INPUT);
    ck_assert_int_eq(il_state_int(s, "rate", &step, NULL), IL_ERR_INPUT);
    ck_assert_int_eq(il_state_int(s, "none", &step, NULL), IL_ERR_INPUT);
    ck_assert_int_eq(il_state_real(s, "none", &rate, NULL), IL_ERR_INPUT);
    for (int i = 0; i < 6; i++) {
        ck_assert(read[i] == 9);
    }
    ck_assert_int_eq(step, -5);
    ck_assert(rate == -5);
    il_state_destroy(s);
}
END_TEST

/* Cuts a file of a pair to every length and expects a refusal that names `named`. */
static void truncate_everywhere(const char *file, size_t spare, const char *named)
{
    const char *path = in_folder(file);
    size_t size;
    char *data = contents(path, &size);
    il_state *s;

    for (size_t cut = 0; cut + spare < size; cut++) {
        il_error err = {0};

        ck_assert_int_eq(il_file_write(path, data, cut, NULL), IL_OK);
        ck_assert_msg(il_state_read(&s, folder, IL_STATE_CHECKPOINT, &err) ==
                          IL_ERR_INPUT,
                      "%s cut to %zu of %zu bytes", file, cut, size);
        ck_assert_ptr_nonnull(strstr(err.where, named));
    }
    ck_assert_int_eq(il_file_write(path, data, size, NULL), IL_OK);
    ck_assert_int_eq(il_state_read(&s, folder, IL_STATE_CHECKPOINT, NULL), IL_OK);
    il_state_destroy(s);
    free(data);
}

START_TEST(every_truncation_of_a_pair_is_refused)
{
    sample_write(folder, IL_STATE_CHECKPOINT, 1);
    truncate_everywhere("checkpoint.safetensors", 0, "checkpoint.safetensors");
    /* Without its last newline the JSON says the same. */
    truncate_everywhere("checkpoint.json", 1, "checkpoint.json");
}
END_TEST

START_TEST(every_changed_byte_of_the_tensors_is_refused)
{
    const char *path = in_folder("state.safetensors");
    size_t size;
    char *data;
    il_state *s;

    sample_write(folder, IL_STATE_RESULT, 1);
    data = contents(path, &size);
    for (size_t i = 0; i < size; i++) {
        data[i] ^= 1;
        ck_assert_int_eq(il_file_write(path, data, size, NULL), IL_OK);
        ck_assert_int_eq(il_state_read(&s, folder, IL_STATE_RESULT, NULL),
                         IL_ERR_INPUT);
        data[i] ^= 1;
    }
    free(data);
}
END_TEST

/* A JSON file that is refused, and a part of the message. `$F` stands for the hash of
 * the tensors' file. */
static const struct {
    const char *json;
    const char *message;
} bad[] = {
    {"", "line"},
    {"[]", "expected a JSON object"},
    {"{}", "interloop_state"},
    {"{\"interloop_state\": \"1\"}", "interloop_state"},
    {"{\"interloop_state\": 2}", "version 1, got 2"},
    {"{\"interloop_state\": 99999999999999999999}", "line 1"},
    {"{\"interloop_state\": 1}", "'file'"},
    {"{\"interloop_state\": 1, \"interloop_state\": 1}", "duplicate"},
    {"{\"interloop_state\": 1, \"file\": \"../../etc/passwd\", \"sha256\": \"$F\", "
     "\"check\": \"\", \"content\": {}}",
     "'file'"},
    {"{\"interloop_state\": 1, \"file\": \"state.safetensors\", \"sha256\": \"zz\", "
     "\"check\": \"\", \"content\": {}}",
     "hashes"},
    {"{\"interloop_state\": 1, \"file\": \"state.safetensors\", \"sha256\": \"$F\", "
     "\"check\": \"\", \"content\": []}",
     "an object in 'content'"},
    {"{\"interloop_state\": 1, \"file\": \"state.safetensors\", \"sha256\": \"$F\", "
     "\"check\": \"00\", \"content\": {\"step\": 2}}",
     "changed after it was written"},
    {"{\"interloop_state\": 1, \"file\": \"state-2.safetensors\", \"sha256\": \"$F\", "
     "\"check\": \"$E\", \"content\": {}}",
     "not there, but named by"},
};

/* The text with $F and $E replaced by hashes. */
static void hashes_fill(const char *text, const char *file, const char *empty,
                        char *out, size_t room)
{
    size_t used = 0;

    for (; *text != '\0'; text++) {
        bool hash = text[0] == '$';

        used += (size_t)snprintf(out + used, room - used, "%.*s", hash ? 64 : 1,
                                 !hash            ? text
                                 : text[1] == 'F' ? file
                                                  : empty);
        text += hash;
    }
}

START_TEST(a_json_that_is_wrong_is_refused_by_what_is_wrong)
{
    char sha256[IL_HASH_HEX];
    char empty[IL_HASH_HEX];
    char json[1024];
    il_error err = {0};
    il_state *s;

    sample_write(folder, IL_STATE_RESULT, 1);
    ck_assert_int_eq(il_hash_file(in_folder("state.safetensors"), sha256, NULL), IL_OK);
    il_hash_bytes("{}", 2, empty);
    hashes_fill(bad[_i].json, sha256, empty, json, sizeof json);
    put(in_folder("state.json"), json);
    ck_assert_int_eq(il_state_read(&s, folder, IL_STATE_RESULT, &err), IL_ERR_INPUT);
    ck_assert_msg(strstr(err.message, bad[_i].message) != NULL, "got: %s", err.message);
}
END_TEST

START_TEST(a_file_with_huge_lengths_is_refused_though_its_hash_is_right)
{
    static const char header[] =
        "\xff\xff\xff\xff\xff\xff\xff\x7f{\"a\":{\"dtype\":\"F32\",\"shape\":"
        "[4611686018427387904],\"data_offsets\":[0,18446744073709551615]}}";
    char sha256[IL_HASH_HEX];
    char empty[IL_HASH_HEX];
    char json[1024];
    il_error err = {0};
    il_state *s;

    ck_assert_int_eq(
        il_file_write(in_folder("state.safetensors"), header, sizeof header - 1, NULL),
        IL_OK);
    il_hash_bytes(header, sizeof header - 1, sha256);
    il_hash_bytes("{}", 2, empty);
    hashes_fill("{\"interloop_state\": 1, \"file\": \"state.safetensors\", \"sha256\": "
                "\"$F\", \"check\": \"$E\", \"content\": {}}",
                sha256, empty, json, sizeof json);
    put(in_folder("state.json"), json);
    ck_assert_int_eq(il_state_read(&s, folder, IL_STATE_RESULT, &err), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.where, "state.safetensors"));
}
END_TEST

START_TEST(a_write_that_fails_leaves_the_pair_that_was_there)
{
    il_safetensor twice[2] = {{"w", f32, 2, {2, 3}, weights, sizeof weights},
                              {"w", f32, 2, {2, 3}, weights, sizeof weights}};
    json_t *list = json_array();
    int64_t step = 0;
    il_state *s;

    sample_write(folder, IL_STATE_CHECKPOINT, 4);
    ck_assert_int_eq(il_state_write(folder, IL_STATE_CHECKPOINT, twice, 2, NULL, NULL),
                     IL_ERR_INPUT);
    ck_assert_int_eq(il_state_write(folder, IL_STATE_CHECKPOINT, twice, 1, list, NULL),
                     IL_ERR_INPUT);
    ck_assert_int_eq(il_state_write(folder, "../x", twice, 1, NULL, NULL),
                     IL_ERR_INPUT);
    json_decref(list);
    ck_assert_int_eq(il_state_read(&s, folder, IL_STATE_CHECKPOINT, NULL), IL_OK);
    ck_assert_int_eq(il_state_int(s, "step", &step, NULL), IL_OK);
    ck_assert_int_eq(step, 4);
    il_state_destroy(s);
}
END_TEST

START_TEST(a_removed_pair_is_gone_and_may_be_removed_again)
{
    sample_write(folder, IL_STATE_CHECKPOINT, 1);
    sample_write(folder, IL_STATE_CHECKPOINT, 2);
    sample_write(folder, IL_STATE_RESULT, 2);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(il_state_remove(folder, IL_STATE_CHECKPOINT, NULL), IL_OK);
        ck_assert(!il_state_exists(folder, IL_STATE_CHECKPOINT));
        ck_assert(!il_file_exists(in_folder("checkpoint.safetensors")));
        ck_assert(!il_file_exists(in_folder("checkpoint-2.safetensors")));
    }
    ck_assert(il_state_exists(folder, IL_STATE_RESULT));
}
END_TEST

/* Reads the checkpoint and expects its parts to be of one step; that step. */
static int64_t consistent_step(void)
{
    int64_t counted = -1;
    int64_t stored = -2;
    il_state *s;
    il_error err = {0};

    ck_assert_msg(il_state_read(&s, folder, IL_STATE_CHECKPOINT, &err) == IL_OK,
                  "%s: %s", err.where, err.message);
    ck_assert_int_eq(il_state_int(s, "step", &counted, NULL), IL_OK);
    ck_assert_int_eq(il_state_take(s, "step", i64, 1, (int64_t[]){1}, &stored, NULL),
                     IL_OK);
    ck_assert_int_eq(counted, stored);
    il_state_destroy(s);
    return counted;
}

static il_status tmp_count(void *user, const char *name, il_error *err)
{
    size_t length = strlen(name);

    (void)err;
    *(int *)user += length > 4 && strcmp(name + length - 4, ".tmp") == 0;
    return IL_OK;
}

START_TEST(a_writer_killed_at_any_moment_leaves_one_whole_pair)
{
    int64_t last = 1;
    int left = 0;

    sample_write(folder, IL_STATE_CHECKPOINT, last);
    for (int i = 0; i < 60; i++) {
        int64_t step;
        char byte = 0;
        int ends[2];
        pid_t child;

        ck_assert_int_eq(pipe(ends), 0);
        child = fork();
        if (child == 0) {
            for (step = last + 1;; step++) {
                sample_write(folder, IL_STATE_CHECKPOINT, step);
                if (step == last + 1 && write(ends[1], &byte, 1) != 1) {
                    _exit(1);
                }
            }
        }
        ck_assert_int_gt(child, 0);
        /* Not before its first write, so that every round gets on. */
        ck_assert_int_eq(read(ends[0], &byte, 1), 1);
        (void)close(ends[0]);
        (void)close(ends[1]);
        /* Steps of a prime, so that the kills fall all over a write. */
        (void)nanosleep(&(struct timespec){0, i * 389 % 5000 * 1000L}, NULL);
        ck_assert_int_gt(consistent_step(), last); /* beside the writer */
        ck_assert_int_eq(kill(child, SIGKILL), 0);
        ck_assert_int_eq(waitpid(child, NULL, 0), child);
        step = consistent_step();
        ck_assert_int_gt(step, last);
        last = step;
    }
    /* The next writer clears away what the killed ones left. */
    sample_write(folder, IL_STATE_CHECKPOINT, last + 1);
    ck_assert_int_eq(il_folder_list(folder, tmp_count, &left, NULL), IL_OK);
    ck_assert_int_eq(left, 0);
}
END_TEST

static const char address[] =
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

START_TEST(one_holder_has_the_lock_of_an_address)
{
    int fd;
    int other;
    il_error err = {0};

    ck_assert_int_eq(il_state_lock(folder, address, false, &fd, NULL), IL_OK);
    ck_assert_int_eq(il_state_lock(folder, address, false, &other, &err), IL_ERR_IO);
    il_file_unlock(fd);
    ck_assert_int_eq(il_state_lock(folder, address, false, &other, NULL), IL_OK);
    il_file_unlock(other);
}
END_TEST

START_TEST(processes_that_wait_for_a_lock_get_it_one_at_a_time)
{
    enum { CHILDREN = 4, ROUNDS = 25 };
    pid_t children[CHILDREN];
    char *data;

    put(in_folder("count"), "0");
    for (int i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            for (int k = 0; k < ROUNDS; k++) {
                char text[32];
                char path[256];
                int fd;

                if (il_state_lock(folder, address, true, &fd, NULL) != IL_OK) {
                    _exit(1);
                }
                data = contents(in_folder("count"), NULL);
                (void)snprintf(text, sizeof text, "%d", atoi(data) + 1);
                free(data);
                put(in_folder("count"), text);
                /* As gc does: the others must not hold a lock that is nobody's. */
                (void)snprintf(path, sizeof path, "%s/.stages/%s.lock", folder,
                               address);
                (void)unlink(path);
                il_file_unlock(fd);
            }
            _exit(0);
        }
    }
    for (int i = 0; i < CHILDREN; i++) {
        int code;

        ck_assert_int_eq(waitpid(children[i], &code, 0), children[i]);
        ck_assert(WIFEXITED(code) && WEXITSTATUS(code) == 0);
    }
    data = contents(in_folder("count"), NULL);
    ck_assert_int_eq(atoi(data), CHILDREN * ROUNDS);
    free(data);
}
END_TEST

START_TEST(an_address_that_is_none_is_refused)
{
    static const char *const wrong[] = {
        "",
        "..",
        "../x",
        "0123",
        "0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef",
        "../3456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"};
    int fd;

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ck_assert_int_eq(il_state_lock(folder, wrong[i], false, &fd, NULL),
                         IL_ERR_INPUT);
    }
}
END_TEST

START_TEST(lineage_stays_as_it_was_first_written)
{
    il_state_key key = sample_key();
    json_error_t problem;
    json_t *json;

    ck_assert_int_eq(il_state_lineage(folder, &key, "first", "fit", NULL), IL_OK);
    ck_assert_int_eq(il_state_lineage(folder, &key, "second", "fit", NULL), IL_OK);
    json = json_load_file(in_folder("lineage.json"), 0, &problem);
    ck_assert_str_eq(json_string_value(json_object_get(json, "run")), "first");
    ck_assert_str_eq(json_string_value(json_object_get(json, "parent")), "00");
    ck_assert_uint_eq(json_array_size(json_object_get(json, "plugins")), 2);
    json_decref(json);
}
END_TEST

START_TEST(a_list_grows_and_refuses_sizes_that_cannot_be)
{
    il_arena *arena = il_arena_create(1024);
    il_state_list list = {.arena = arena};
    int64_t huge[2] = {INT64_MAX, INT64_MAX};
    int64_t negative[1] = {-1};
    char name[16];

    for (int i = 0; i < 100; i++) {
        (void)snprintf(name, sizeof name, "w%d", i);
        ck_assert_int_eq(il_state_add_f32(&list, name, weights, 6, NULL), IL_OK);
    }
    ck_assert_uint_eq(list.count, 100);
    ck_assert_str_eq(list.items[0].name, "w0");
    ck_assert_str_eq(list.items[99].name, "w99");
    ck_assert_uint_eq(list.items[99].bytes, sizeof weights);
    ck_assert_int_eq(il_state_add(&list, "h", f32, 2, huge, weights, NULL),
                     IL_ERR_SHAPE);
    ck_assert_int_eq(il_state_add(&list, "n", f32, 1, negative, weights, NULL),
                     IL_ERR_SHAPE);
    ck_assert_int_eq(il_state_add(&list, "d", f32, 7, huge, weights, NULL),
                     IL_ERR_SHAPE);
    ck_assert_uint_eq(list.count, 100);
    il_arena_destroy(arena);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("state");
    TCase *tests = tcase_create("state");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, an_address_depends_on_all_that_decides_a_result);
    tcase_add_test(tests, a_state_reads_back_to_the_bit);
    tcase_add_test(tests, the_same_state_gives_the_same_bytes);
    tcase_add_test(tests,
                   what_a_state_does_not_hold_is_refused_and_nothing_is_overwritten);
    tcase_add_test(tests, every_truncation_of_a_pair_is_refused);
    tcase_add_test(tests, every_changed_byte_of_the_tensors_is_refused);
    tcase_add_loop_test(tests, a_json_that_is_wrong_is_refused_by_what_is_wrong, 0,
                        sizeof bad / sizeof bad[0]);
    tcase_add_test(tests, a_file_with_huge_lengths_is_refused_though_its_hash_is_right);
    tcase_add_test(tests, a_write_that_fails_leaves_the_pair_that_was_there);
    tcase_add_test(tests, a_removed_pair_is_gone_and_may_be_removed_again);
    tcase_add_test(tests, a_writer_killed_at_any_moment_leaves_one_whole_pair);
    tcase_add_test(tests, one_holder_has_the_lock_of_an_address);
    tcase_add_test(tests, processes_that_wait_for_a_lock_get_it_one_at_a_time);
    tcase_add_test(tests, an_address_that_is_none_is_refused);
    tcase_add_test(tests, lineage_stays_as_it_was_first_written);
    tcase_add_test(tests, a_list_grows_and_refuses_sizes_that_cannot_be);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
