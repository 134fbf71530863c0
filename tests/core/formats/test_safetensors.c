#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/files.h"
#include "base/hash.h"
#include "formats/safetensors.h"

static const il_dtype f64 = {IL_CODE_FLOAT, 64, 1};
static const il_dtype f32 = {IL_CODE_FLOAT, 32, 1};
static const il_dtype u8 = {IL_CODE_UINT, 8, 1};

static char folder[64];

static void setup(void)
{
    (void)snprintf(folder, sizeof folder, "/tmp/il-safetensors-XXXXXX");
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

/* Writes a file of a header's length, a header and zeros for data; opens it. The
 * header's own length is used where `length` is negative. */
static il_status open_file(il_safetensors **file, int64_t length, const char *header,
                           size_t header_bytes, size_t data_bytes, il_error *err)
{
    static const char zeros[4096];
    uint64_t prefix = length < 0 ? header_bytes : (uint64_t)length;
    il_file_part parts[] = {
        {&prefix, sizeof prefix}, {header, header_bytes}, {zeros, data_bytes}};

    ck_assert_uint_le(data_bytes, sizeof zeros);
    ck_assert_int_eq(il_file_write_parts(in_folder("file"), parts, 3, NULL), IL_OK);
    return il_safetensors_open(file, in_folder("file"), err);
}

static const float weights[6] = {1, 2, 3, 4, 5, 6};
static const double scalar = 0.5;
static const uint8_t flags[3] = {1, 0, 1};
static const il_safetensor sample[] = {
    {"flags", {IL_CODE_UINT, 8, 1}, 1, {3}, flags, sizeof flags},
    {"layer.weight", {IL_CODE_FLOAT, 32, 1}, 2, {2, 3}, weights, sizeof weights},
    {"empty", {IL_CODE_FLOAT, 32, 1}, 2, {0, 7}, NULL, 0},
    {"scale", {IL_CODE_FLOAT, 64, 1}, 0, {0}, &scalar, sizeof scalar}};
static const il_safetensors_pair notes[] = {{"step", "12"}, {"by", "a \"test\"\n"}};

START_TEST(what_was_written_is_read_back)
{
    il_safetensors *file = NULL;
    il_error err = {0};
    const il_safetensor *t;

    ck_assert_int_eq(il_safetensors_write(in_folder("file"), sample, 4, notes, 2, &err),
                     IL_OK);
    ck_assert_int_eq(il_safetensors_open(&file, in_folder("file"), &err), IL_OK);
    ck_assert_uint_eq(il_safetensors_count(file), 4);
    t = il_safetensors_find(file, "layer.weight");
    ck_assert_ptr_nonnull(t);
    ck_assert_str_eq(il_safetensors_dtype_name(t->dtype), "F32");
    ck_assert_int_eq(t->ndim, 2);
    ck_assert_int_eq(t->shape[0], 2);
    ck_assert_int_eq(t->shape[1], 3);
    ck_assert_uint_eq(t->bytes, sizeof weights);
    ck_assert_mem_eq(t->data, weights, sizeof weights);
    t = il_safetensors_find(file, "scale");
    ck_assert_int_eq(t->ndim, 0);
    ck_assert_mem_eq(t->data, &scalar, sizeof scalar);
    ck_assert_uint_eq(il_safetensors_find(file, "empty")->bytes, 0);
    ck_assert_mem_eq(il_safetensors_find(file, "flags")->data, flags, sizeof flags);
    ck_assert_ptr_null(il_safetensors_find(file, "layer"));
    ck_assert_uint_eq(il_safetensors_metadata_count(file), 2);
    ck_assert_str_eq(il_safetensors_metadata_at(file, 0).key, "by");
    ck_assert_str_eq(il_safetensors_metadata_get(file, "by"), "a \"test\"\n");
    ck_assert_str_eq(il_safetensors_metadata_get(file, "step"), "12");
    ck_assert_ptr_null(il_safetensors_metadata_get(file, "none"));
    il_safetensors_close(file);
    il_safetensors_close(NULL);
}
END_TEST

START_TEST(tensors_of_a_written_file_are_aligned_to_their_elements)
{
    il_safetensors *file = NULL;

    ck_assert_int_eq(il_safetensors_write(in_folder("file"), sample, 4, NULL, 0, NULL),
                     IL_OK);
    ck_assert_int_eq(il_safetensors_open(&file, in_folder("file"), NULL), IL_OK);
    for (size_t i = 0; i < il_safetensors_count(file); i++) {
        const il_safetensor *t = il_safetensors_at(file, i);

        ck_assert_uint_eq((uintptr_t)t->data % (t->dtype.bits / 8), 0);
    }
    il_safetensors_close(file);
}
END_TEST

START_TEST(the_same_content_in_any_order_gives_the_same_bytes)
{
    const il_safetensor turned[] = {sample[3], sample[1], sample[0], sample[2]};
    const il_safetensors_pair swapped[] = {notes[1], notes[0]};
    char *a = NULL;
    char *b = NULL;
    size_t na = 0;
    size_t nb = 0;

    ck_assert_int_eq(il_safetensors_write(in_folder("a"), sample, 4, notes, 2, NULL),
                     IL_OK);
    ck_assert_int_eq(il_safetensors_write(in_folder("b"), turned, 4, swapped, 2, NULL),
                     IL_OK);
    ck_assert_int_eq(il_file_read(in_folder("a"), 9999, &a, &na, NULL), IL_OK);
    ck_assert_int_eq(il_file_read(in_folder("b"), 9999, &b, &nb, NULL), IL_OK);
    ck_assert_uint_eq(na, nb);
    ck_assert_mem_eq(a, b, na);
    free(a);
    free(b);
}
END_TEST

START_TEST(the_bytes_are_those_the_format_asks_for)
{
    static const uint8_t two[2] = {7, 8};
    const il_safetensor one = {"w", u8, 1, {2}, two, 2};
    static const char header[] =
        "{\"w\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}";
    char *bytes = NULL;
    size_t size = 0;
    uint64_t length = (sizeof header - 1 + 7) / 8 * 8;

    ck_assert_int_eq(il_safetensors_write(in_folder("file"), &one, 1, NULL, 0, NULL),
                     IL_OK);
    ck_assert_int_eq(il_file_read(in_folder("file"), 999, &bytes, &size, NULL), IL_OK);
    ck_assert_uint_eq(size, 8 + length + 2);
    ck_assert_mem_eq(bytes, &length, 8);
    ck_assert_mem_eq(bytes + 8, header, sizeof header - 1);
    for (size_t i = sizeof header - 1; i < length; i++) {
        ck_assert_int_eq(bytes[8 + i], ' ');
    }
    ck_assert_mem_eq(bytes + 8 + length, two, 2);
    free(bytes);
}
END_TEST

START_TEST(a_file_cut_short_anywhere_is_refused)
{
    char *bytes = NULL;
    size_t size = 0;

    ck_assert_int_eq(
        il_safetensors_write(in_folder("whole"), sample, 4, notes, 2, NULL), IL_OK);
    ck_assert_int_eq(il_file_read(in_folder("whole"), 9999, &bytes, &size, NULL),
                     IL_OK);
    for (size_t cut = 0; cut < size; cut++) {
        il_safetensors *file = NULL;
        il_error err = {0};

        ck_assert_int_eq(il_file_write(in_folder("cut"), bytes, cut, NULL), IL_OK);
        ck_assert_msg(il_safetensors_open(&file, in_folder("cut"), &err) ==
                          IL_ERR_INPUT,
                      "cut at %zu: got status %d, '%s'", cut, err.code, err.message);
        ck_assert_ptr_null(file);
        ck_assert_int_ne(err.message[0], '\0');
        ck_assert_str_eq(err.where, in_folder("cut"));
    }
    free(bytes);
}
END_TEST

/* Every byte of the header replaced by some others: refused or read, never a crash. */
START_TEST(a_file_with_a_changed_byte_never_crashes_the_reader)
{
    static const unsigned char others[] = {0, ' ', '"', '0', '9', '[', '{', '}', 0xff};
    char *bytes = NULL;
    size_t size = 0;

    ck_assert_int_eq(
        il_safetensors_write(in_folder("whole"), sample, 4, notes, 2, NULL), IL_OK);
    ck_assert_int_eq(il_file_read(in_folder("whole"), 9999, &bytes, &size, NULL),
                     IL_OK);
    for (size_t at = 0; at < size; at += 3) {
        for (size_t i = 0; i < sizeof others; i++) {
            char kept = bytes[at];
            il_safetensors *file = NULL;
            il_error err = {0};
            FILE *f = fopen(in_folder("bad"), "wb");

            bytes[at] = (char)others[i];
            ck_assert_uint_eq(fwrite(bytes, 1, size, f), size);
            ck_assert_int_eq(fclose(f), 0);
            bytes[at] = kept;
            if (il_safetensors_open(&file, in_folder("bad"), &err) != IL_OK) {
                ck_assert_int_eq(err.code, IL_ERR_INPUT);
                continue;
            }
            for (size_t k = 0; k < il_safetensors_count(file); k++) {
                const il_safetensor *t = il_safetensors_at(file, k);
                char hex[IL_HASH_HEX];

                il_hash_bytes(t->data, t->bytes, hex); /* touches every byte */
            }
            il_safetensors_close(file);
        }
    }
    free(bytes);
}
END_TEST

#define ONE(dtype, shape, offsets)                                                     \
    "{\"w\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"
#define TWO(offsets_a, offsets_b)                                                      \
    "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":" offsets_a "},"          \
    "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":" offsets_b "}}"

static const struct {
    const char *what;
    int64_t length; /* of the header as the file states it; -1: the truth */
    const char *header;
    size_t data_bytes;
    const char *says; /* a part of the message */
} hostile[] = {
    {"a length beyond the file", 9000, "{}", 0, "header length"},
    {"a length near 2^63", INT64_MAX, "{}", 0, "header length"},
    {"a length that ends in the JSON", 5, ONE("\"U8\"", "[4]", "[0,4]"), 4, "header"},
    {"a header of no bytes", 0, "", 4, "begins with '{'"},
    {"a list for a header", -1, "[]", 0, "begins with '{'"},
    {"a header that begins with a blank", -1, " {}", 0, "begins with '{'"},
    {"text for a header", -1, "not json at all", 0, "begins with '{'"},
    {"JSON and more", -1, "{} {}", 0, "header"},
    {"JSON that is not closed", -1, "{\"a\":", 0, "header"},
    {"bytes that are no UTF-8", -1, "{\"\xff\xfe\":1}", 0, "header"},
    {"a name with a NUL", -1, "{\"a\\u0000b\":1}", 0, "header"},
    {"one name twice", -1,
     "{\"w\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},"
     "\"\\u0077\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}",
     0, "duplicate"},
    {"one key of a tensor twice", -1,
     "{\"w\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}",
     0, "duplicate"},
    {"metadata twice", -1, "{\"__metadata__\":{},\"__metadata__\":{}}", 0, "duplicate"},
    {"metadata that is a list", -1, "{\"__metadata__\":[]}", 0, "map of strings"},
    {"metadata with a number", -1, "{\"__metadata__\":{\"step\":1}}", 0, "a string"},
    {"a tensor that is a number", -1, "{\"w\":1}", 0, "three keys"},
    {"a tensor without offsets", -1, "{\"w\":{\"dtype\":\"U8\",\"shape\":[]}}", 0,
     "three keys"},
    {"a tensor with another key for the offsets", -1,
     "{\"w\":{\"dtype\":\"U8\",\"shape\":[],\"offsets\":[0,1]}}", 1, "data_offsets"},
    {"a fourth key", -1,
     "{\"w\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4],\"x\":1}}", 4,
     "three keys"},
    {"an unknown dtype", -1, ONE("\"F31\"", "[4]", "[0,16]"), 16, "got F31"},
    {"a dtype in lower case", -1, ONE("\"f32\"", "[4]", "[0,16]"), 16, "got f32"},
    {"a dtype that is a number", -1, ONE("32", "[4]", "[0,16]"), 16, "no string"},
    {"a dtype that speaks to the terminal", -1, ONE("\"\\u001b[2J\"", "[4]", "[0,16]"),
     16, "got ?[2J"},
    {"the wrong dtype for the bytes", -1, ONE("\"F64\"", "[4]", "[0,16]"), 16,
     "expected 32 bytes"},
    {"a shape that is a number", -1, ONE("\"F32\"", "4", "[0,16]"), 16, "no list"},
    {"a negative size", -1, ONE("\"F32\"", "[-4]", "[0,16]"), 16, "from 0 on"},
    {"two negative sizes", -1, ONE("\"F32\"", "[-2,-2]", "[0,16]"), 16, "from 0 on"},
    {"a size with a fraction", -1, ONE("\"F32\"", "[4.0]", "[0,16]"), 16, "from 0 on"},
    {"a size beyond 64 bits", -1, ONE("\"F32\"", "[99999999999999999999]", "[0,16]"),
     16, "header"},
    {"seven sizes", -1, ONE("\"F32\"", "[1,1,1,1,1,1,4]", "[0,16]"), 16, "at most 6"},
    {"sizes whose product wraps to 4", -1,
     ONE("\"F32\"", "[4611686018427387905,4]", "[0,16]"), 16, "does not fit"},
    {"bytes that wrap to 16", -1, ONE("\"F32\"", "[4611686018427387908]", "[0,16]"), 16,
     "does not fit"},
    {"offsets of one number", -1, ONE("\"F32\"", "[4]", "[16]"), 16, "two whole"},
    {"offsets of three numbers", -1, ONE("\"F32\"", "[4]", "[0,16,16]"), 16,
     "two whole"},
    {"offsets that are strings", -1, ONE("\"F32\"", "[4]", "[\"0\",\"16\"]"), 16,
     "two whole"},
    {"an end before the begin", -1, ONE("\"F32\"", "[4]", "[16,0]"), 16, "within"},
    {"a negative begin", -1, ONE("\"F32\"", "[4]", "[-16,0]"), 16, "within"},
    {"an end beyond the file", -1, ONE("\"F32\"", "[8]", "[0,32]"), 16, "within"},
    {"a huge end", -1, ONE("\"F32\"", "[4]", "[0,9223372036854775807]"), 16, "within"},
    {"too few bytes for the shape", -1, ONE("\"F32\"", "[4]", "[0,12]"), 12,
     "expected 16 bytes"},
    {"data that nobody owns", -1, ONE("\"F32\"", "[4]", "[0,16]"), 17,
     "expected 16 bytes of data"},
    {"data without a tensor", -1, "{}", 1, "expected 0 bytes of data"},
    {"two tensors in one place", -1, TWO("[0,4]", "[0,4]"), 4, "overlap"},
    {"two tensors that overlap", -1, TWO("[0,4]", "[2,6]"), 6, "overlap"},
    {"a gap between two tensors", -1, TWO("[0,4]", "[5,9]"), 9, "no gap"},
    {"a gap before the first", -1, TWO("[1,5]", "[5,9]"), 9, "no gap"},
};

START_TEST(a_hostile_file_is_refused_with_its_reason)
{
    size_t count = sizeof hostile / sizeof hostile[0];

    for (size_t i = 0; i < count; i++) {
        il_safetensors *file = NULL;
        il_error err = {0};
        il_status status =
            open_file(&file, hostile[i].length, hostile[i].header,
                      strlen(hostile[i].header), hostile[i].data_bytes, &err);

        ck_assert_msg(status == IL_ERR_INPUT, "%s: got status %d", hostile[i].what,
                      status);
        ck_assert_msg(strstr(err.message, hostile[i].says) != NULL,
                      "%s: expected '%s' in '%s'", hostile[i].what, hostile[i].says,
                      err.message);
        ck_assert_ptr_null(file);
    }
}
END_TEST

START_TEST(a_header_nested_a_million_deep_is_refused)
{
    enum { DEEP = 1000000 };
    char *header = malloc(DEEP + 8);
    il_safetensors *file = NULL;
    il_error err = {0};

    memset(header, '[', DEEP + 8);
    memcpy(header, "{\"w\":", 5);
    ck_assert_int_eq(open_file(&file, -1, header, DEEP, 0, &err), IL_ERR_INPUT);
    free(header);
}
END_TEST

START_TEST(a_header_beyond_the_limit_is_refused_by_its_length_alone)
{
    il_safetensors *file = NULL;
    il_error err = {0};
    uint64_t length = IL_SAFETENSORS_HEADER_MAX + 1;

    ck_assert_int_eq(il_file_write(in_folder("file"), &length, 8, NULL), IL_OK);
    /* A file with a hole, so that only the limit speaks against the length. */
    ck_assert_int_eq(truncate(in_folder("file"), 8 + (off_t)length), 0);
    ck_assert_int_eq(il_safetensors_open(&file, in_folder("file"), &err), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "at most 100000000 bytes"));
}
END_TEST

START_TEST(what_is_no_file_is_refused)
{
    il_safetensors *file = NULL;
    il_error err = {0};

    ck_assert_int_eq(il_safetensors_open(&file, in_folder("absent"), &err), IL_ERR_IO);
    err = (il_error){0};
    ck_assert_int_eq(il_safetensors_open(&file, folder, &err), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "regular file"));
}
END_TEST

START_TEST(valid_corners_of_the_format_are_read)
{
    static const struct {
        const char *header;
        size_t data_bytes;
        size_t count;
    } good[] = {
        {"{}", 0, 0},
        {"{}      ", 0, 0},
        {"{\"__metadata__\":{}}", 0, 0},
        {ONE("\"F32\"", "[]", "[0,4]"), 4, 1},
        {ONE("\"F32\"", "[0,9223372036854775807,9]", "[0,0]"), 0, 1},
        {ONE("\"BOOL\"", "[1,1,1,1,1,5]", "[0,5]"), 5, 1},
        {TWO("[4,8]", "[0,4]"), 8, 2},
    };

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        il_safetensors *file = NULL;
        il_error err = {0};

        ck_assert_msg(open_file(&file, -1, good[i].header, strlen(good[i].header),
                                good[i].data_bytes, &err) == IL_OK,
                      "%s: %s", good[i].header, err.message);
        ck_assert_uint_eq(il_safetensors_count(file), good[i].count);
        il_safetensors_close(file);
    }
}
END_TEST

START_TEST(the_writer_refuses_what_cannot_be_read_back)
{
    const il_safetensor good = {"w", f32, 1, {6}, weights, sizeof weights};
    const struct {
        il_safetensor tensors[2];
        il_safetensors_pair pairs[2];
        const char *says;
    } bad[] = {
        {{good, good}, {{"a", "1"}, {"b", "2"}}, "new name"},
        {{good, {"x", f32, 1, {6}, weights, 20}}, {{"a", "1"}, {"b", "2"}}, "24 bytes"},
        {{good, {"x", f32, 1, {-6}, weights, 24}}, {{"a", "1"}, {"b", "2"}}, "bytes"},
        {{good, {"x", {IL_CODE_FLOAT, 8, 1}, 1, {6}, weights, 6}},
         {{"a", "1"}, {"b", "2"}},
         "no name"},
        {{good, {"x", {IL_CODE_FLOAT, 32, 4}, 1, {6}, weights, 24}},
         {{"a", "1"}, {"b", "2"}},
         "no name"},
        {{good, {"__metadata__", f64, 0, {0}, &scalar, 8}},
         {{"a", "1"}, {"b", "2"}},
         "taken"},
        {{good, {"\xff", f64, 0, {0}, &scalar, 8}}, {{"a", "1"}, {"b", "2"}}, "UTF-8"},
        {{good, {"x", f64, 0, {0}, &scalar, 8}}, {{"a", "1"}, {"a", "2"}}, "new key"},
        {{good, {"x", f64, 0, {0}, &scalar, 8}}, {{"a", "1"}, {"b", "\xff"}}, "UTF-8"},
    };

    ck_assert_int_eq(il_file_write(in_folder("file"), "old", 3, NULL), IL_OK);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        il_error err = {0};
        char *kept = NULL;
        size_t size = 0;

        ck_assert_int_eq(il_safetensors_write(in_folder("file"), bad[i].tensors, 2,
                                              bad[i].pairs, 2, &err),
                         IL_ERR_INPUT);
        ck_assert_msg(strstr(err.message, bad[i].says) != NULL, "%zu: '%s'", i,
                      err.message);
        ck_assert_int_eq(il_file_read(in_folder("file"), 9, &kept, &size, NULL), IL_OK);
        ck_assert_str_eq(kept, "old");
        free(kept);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("safetensors");
    TCase *tests = tcase_create("safetensors");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, what_was_written_is_read_back);
    tcase_add_test(tests, tensors_of_a_written_file_are_aligned_to_their_elements);
    tcase_add_test(tests, the_same_content_in_any_order_gives_the_same_bytes);
    tcase_add_test(tests, the_bytes_are_those_the_format_asks_for);
    tcase_add_test(tests, a_file_cut_short_anywhere_is_refused);
    tcase_add_test(tests, a_file_with_a_changed_byte_never_crashes_the_reader);
    tcase_add_test(tests, a_hostile_file_is_refused_with_its_reason);
    tcase_add_test(tests, a_header_nested_a_million_deep_is_refused);
    tcase_add_test(tests, a_header_beyond_the_limit_is_refused_by_its_length_alone);
    tcase_add_test(tests, what_is_no_file_is_refused);
    tcase_add_test(tests, valid_corners_of_the_format_are_read);
    tcase_add_test(tests, the_writer_refuses_what_cannot_be_read_back);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
