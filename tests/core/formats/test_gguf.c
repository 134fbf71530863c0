#include <check.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/files.h"
#include "formats/gguf.h"
#include "formats/safetensors.h"

static char folder[64];

static void setup(void)
{
    (void)snprintf(folder, sizeof folder, "/tmp/il-gguf-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void teardown(void)
{
    ck_assert_int_eq(il_folder_remove(folder, NULL), IL_OK);
}

/* A path in the test's folder; valid until the next call. */
static const char *in_folder(const char *name)
{
    static char path[128];

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static const char *fixture(const char *name)
{
    static char path[512];
    const char *root = getenv("IL_ROOT");
    const char *made = getenv("IL_EXCHANGE_FIXTURES");

    (void)snprintf(path, sizeof path, "%s%s/%s",
                   made != NULL   ? made
                   : root != NULL ? root
                                  : ".",
                   made != NULL ? "" : "/tests/fixtures/exchange", name);
    return path;
}

START_TEST(what_the_gguf_package_writes_is_read)
{
    il_gguf *file = NULL;
    il_safetensors *expected = NULL;
    il_error err = {0};
    int64_t layers = 0;

    ck_assert_msg(il_gguf_open(&file, fixture("vectors.gguf"), &err) == IL_OK, "%s",
                  err.message);
    ck_assert_int_eq(
        il_safetensors_open(&expected, fixture("vectors.safetensors"), &err), IL_OK);
    ck_assert_str_eq(il_gguf_text(file, "general.architecture"), "controlvector");
    ck_assert_str_eq(il_gguf_text(file, "controlvector.model_hint"), "llama");
    ck_assert(il_gguf_whole(file, "controlvector.layer_count", &layers));
    ck_assert_int_eq(layers, 4);
    ck_assert_ptr_null(il_gguf_text(file, "controlvector.notes"));
    ck_assert(!il_gguf_whole(file, "controlvector.model_hint", &layers));
    ck_assert_uint_eq(il_gguf_count(file), 4);
    for (size_t i = 0; i < 4; i++) {
        const il_gguf_tensor *t = il_gguf_at(file, i);
        const il_safetensor *want = il_safetensors_find(expected, t->name);
        float *got = NULL;

        ck_assert_ptr_nonnull(want);
        ck_assert_ptr_eq(il_gguf_find(file, t->name), t);
        ck_assert_int_eq(il_gguf_elements(t), want->shape[0]);
        ck_assert_msg(il_gguf_floats(file, t, &got, &err) == IL_OK, "%s", err.message);
        ck_assert_mem_eq(got, want->data, want->bytes);
        free(got);
    }
    il_gguf_close(file);
    il_gguf_close(NULL);
    il_safetensors_close(expected);
}
END_TEST

static const float vector[3] = {1, 2, 3};
static const il_gguf_pair pairs[] = {{"general.architecture", "controlvector", 0},
                                     {"controlvector.layer_count", NULL, 2}};
static const il_gguf_vector vectors[] = {{"direction.1", 3, vector},
                                         {"direction.2", 2, vector}};

START_TEST(what_was_written_is_read_back)
{
    il_gguf *file = NULL;
    il_error err = {0};
    int64_t layers = 0;
    float *got = NULL;

    ck_assert_int_eq(il_gguf_write(in_folder("file"), pairs, 2, vectors, 2, &err),
                     IL_OK);
    ck_assert_msg(il_gguf_open(&file, in_folder("file"), &err) == IL_OK, "%s",
                  err.message);
    ck_assert_str_eq(il_gguf_text(file, "general.architecture"), "controlvector");
    ck_assert(il_gguf_whole(file, "controlvector.layer_count", &layers));
    ck_assert_int_eq(layers, 2);
    ck_assert_int_eq(il_gguf_find(file, "direction.2")->shape[0], 2);
    ck_assert_int_eq(
        il_gguf_floats(file, il_gguf_find(file, "direction.1"), &got, &err), IL_OK);
    ck_assert_mem_eq(got, vector, sizeof vector);
    free(got);
    il_gguf_close(file);
}
END_TEST

START_TEST(writing_refuses_what_repeats)
{
    const il_gguf_vector twice[] = {vectors[0], vectors[0]};
    const il_gguf_pair keys[] = {pairs[0], pairs[0]};
    il_error err = {0};

    ck_assert_int_eq(il_gguf_write(in_folder("file"), pairs, 2, twice, 2, &err),
                     IL_ERR_INPUT);
    ck_assert_int_eq(il_gguf_write(in_folder("file"), keys, 2, vectors, 2, &err),
                     IL_ERR_INPUT);
    ck_assert(!il_file_exists(in_folder("file")));
}
END_TEST

/* The file that `pairs` and `vectors` make, in memory. */
static char *sample(size_t *size)
{
    char *bytes = NULL;

    ck_assert_int_eq(il_gguf_write(in_folder("file"), pairs, 2, vectors, 2, NULL),
                     IL_OK);
    ck_assert_int_eq(il_file_read(in_folder("file"), 1 << 20, &bytes, size, NULL),
                     IL_OK);
    return bytes;
}

/* Without the care of il_file_write, which waits for the disk: hundreds are opened. */
static il_status open_bytes(il_gguf **file, const void *bytes, size_t size,
                            il_error *err)
{
    FILE *out;

    (void)unlink(in_folder("file")); /* cutting a file short waits too */
    out = fopen(in_folder("file"), "wb");

    ck_assert_ptr_nonnull(out);
    ck_assert_uint_eq(fwrite(bytes, 1, size, out), size);
    ck_assert_int_eq(fclose(out), 0);
    return il_gguf_open(file, in_folder("file"), err);
}

START_TEST(every_cut_before_the_last_value_is_refused)
{
    size_t size = 0;
    char *bytes = sample(&size);
    size_t needed = size - 32 + 2 * sizeof(float); /* the rest pads */

    for (size_t cut = 0; cut < needed; cut++) {
        il_gguf *file = NULL;

        ck_assert_int_eq(open_bytes(&file, bytes, cut, NULL), IL_ERR_INPUT);
    }
    free(bytes);
}
END_TEST

START_TEST(no_changed_byte_is_fatal)
{
    size_t size = 0;
    char *bytes = sample(&size);

    for (size_t i = 0; i < size; i++) {
        for (int value = 0; value < 3; value++) {
            static const char values[] = {0x00, 0x7f, (char)0xff};
            il_gguf *file = NULL;
            il_status status;
            char was = bytes[i];

            bytes[i] = values[value];
            status = open_bytes(&file, bytes, size, NULL);
            ck_assert(status == IL_OK || status == IL_ERR_INPUT);
            for (size_t k = 0; status == IL_OK && k < il_gguf_count(file); k++) {
                float *got = NULL;

                (void)il_gguf_floats(file, il_gguf_at(file, k), &got, NULL);
                free(got);
            }
            il_gguf_close(file);
            bytes[i] = was;
        }
    }
    free(bytes);
}
END_TEST

/* The sample with `size` bytes at the end of the first `text` replaced is refused, and
 * says why. */
static void refused_after(const char *text, size_t skip, const void *with, size_t size,
                          const char *word)
{
    size_t all = 0;
    char *bytes = sample(&all);
    il_gguf *file = NULL;
    il_error err = {0};
    size_t at = 0;

    while (memcmp(bytes + at, text, strlen(text)) != 0) {
        at++;
        ck_assert_uint_lt(at, all);
    }
    memcpy(bytes + at + strlen(text) + skip, with, size);
    ck_assert_int_eq(open_bytes(&file, bytes, all, &err), IL_ERR_INPUT);
    ck_assert_msg(strstr(err.message, word) != NULL, "'%s' lacks '%s'", err.message,
                  word);
    ck_assert_str_eq(err.where, in_folder("file"));
    free(bytes);
}

START_TEST(hostile_heads_are_refused_with_what_is_wrong)
{
    const uint64_t huge = UINT64_MAX / 2;
    const uint64_t odd = 33;
    const uint64_t zero = 0;
    const uint32_t many = 99;

    refused_after("GGUF", 0, &many, 4, "version 2 or 3");
    refused_after("GGUF", 4, &huge, 8, "at most 65536");
    refused_after("GGUF", 12, &huge, 8, "at most 65536");
    refused_after("controlvector.layer_count", 0, &many, 4,
                  "no kind of value has the number 99");
    /* after a name: 4 bytes of dimensions, 8 of size, 4 of type, 8 of place */
    refused_after("direction.2", 0, &many, 4, "1 to 4 dimensions");
    refused_after("direction.2", 4, &huge, 8, "does not fit its type");
    refused_after("direction.2", 16, &odd, 8, "not aligned");
    refused_after("direction.2", 16, &zero, 8, "overlaps another tensor");
    refused_after("direction.", 0, "2", 1, "is there twice");
}
END_TEST

START_TEST(values_of_an_unknown_type_are_refused_by_name)
{
    size_t size = 0;
    char *bytes = sample(&size);
    il_gguf *file = NULL;
    il_error err = {0};
    const uint32_t type = 12; /* Q4_K */
    size_t at = 0;
    float *got = NULL;

    while (memcmp(bytes + at, "direction.2", 11) != 0) {
        at++;
    }
    memcpy(bytes + at + 11 + 12, &type, sizeof type);
    ck_assert_int_eq(open_bytes(&file, bytes, size, &err), IL_OK);
    ck_assert_int_eq(il_gguf_floats(file, il_gguf_at(file, 1), &got, &err),
                     IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "'direction.2'"));
    ck_assert_ptr_nonnull(strstr(err.message, "got type 12"));
    il_gguf_close(file);
    free(bytes);
}
END_TEST

START_TEST(another_kind_of_file_is_refused)
{
    il_gguf *file = NULL;
    il_error err = {0};

    ck_assert_int_eq(open_bytes(&file, "something else, of many bytes", 29, &err),
                     IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "not 'GGUF'"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("gguf");
    TCase *t = tcase_create("gguf");
    SRunner *sr = srunner_create(s);
    int failed;

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, what_the_gguf_package_writes_is_read);
    tcase_add_test(t, what_was_written_is_read_back);
    tcase_add_test(t, writing_refuses_what_repeats);
    tcase_add_test(t, every_cut_before_the_last_value_is_refused);
    tcase_add_test(t, no_changed_byte_is_fatal);
    tcase_add_test(t, hostile_heads_are_refused_with_what_is_wrong);
    tcase_add_test(t, values_of_an_unknown_type_are_refused_by_name);
    tcase_add_test(t, another_kind_of_file_is_refused);
    suite_add_tcase(s, t);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? 0 : 1;
}
