#include "base/files.h"
#include "formats/npy.h"
#include <check.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char folder[64];

static void setup(void)
{
    (void)snprintf(folder, sizeof folder, "/tmp/il-npy-XXXXXX");
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

/* Parses a file of version `major`, with this dictionary and these data. */
static il_status parse(il_npy *npy, int major, const char *header, const void *data,
                       size_t bytes, il_error *err)
{
    static char file[8192];
    size_t length = strlen(header);
    size_t at = major == 2 ? 12 : 10;

    ck_assert_uint_le(at + length + bytes, sizeof file);
    memset(npy, 0, sizeof *npy);
    memset(err, 0, sizeof *err);
    memset(file, 0, at);
    memcpy(file, "\x93NUMPY", 6);
    file[6] = (char)major;
    file[8] = (char)(length & 255);
    file[9] = (char)(length >> 8);
    memcpy(file + at, header, length);
    memcpy(file + at + length, data, bytes);
    return il_npy_parse(npy, file, at + length + bytes, "x.npy", err);
}

static const float six[6] = {0, 1, 2, 3, 4, 5};

START_TEST(what_is_written_is_read_back)
{
    static const struct {
        uint8_t code, bits;
    } types[] = {{IL_CODE_FLOAT, 64}, {IL_CODE_FLOAT, 32}, {IL_CODE_FLOAT, 16},
                 {IL_CODE_INT, 64},   {IL_CODE_INT, 32},   {IL_CODE_INT, 16},
                 {IL_CODE_INT, 8},    {IL_CODE_UINT, 64},  {IL_CODE_UINT, 32},
                 {IL_CODE_UINT, 16},  {IL_CODE_UINT, 8},   {IL_CODE_BOOL, 8}};
    uint8_t data[48] = {1, 0, 1, 1};

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        il_array a = {.dtype = {types[i].code, types[i].bits, 1},
                      .ndim = 2,
                      .shape = {2, 3},
                      .data = data,
                      .bytes = 6u * types[i].bits / 8};
        il_npy npy = {.turned = NULL};

        ck_assert_int_eq(il_npy_write(in_folder("x.npy"), &a, NULL), IL_OK);
        ck_assert_int_eq(il_npy_open(&npy, in_folder("x.npy"), NULL), IL_OK);
        ck_assert_mem_eq(&npy.array.dtype, &a.dtype, sizeof a.dtype);
        ck_assert_int_eq(npy.array.ndim, 2);
        ck_assert_int_eq(npy.array.shape[0], 2);
        ck_assert_int_eq(npy.array.shape[1], 3);
        ck_assert_uint_eq(npy.array.bytes, a.bytes);
        ck_assert_mem_eq(npy.array.data, data, a.bytes);
        il_npy_close(&npy);
    }
}
END_TEST

START_TEST(scalars_and_arrays_of_nothing_keep_their_shape)
{
    il_array a = {.dtype = {IL_CODE_FLOAT, 32, 1}, .data = six, .bytes = 4};
    il_npy npy = {.turned = NULL};

    ck_assert_int_eq(il_npy_write(in_folder("x.npy"), &a, NULL), IL_OK);
    ck_assert_int_eq(il_npy_open(&npy, in_folder("x.npy"), NULL), IL_OK);
    ck_assert_int_eq(npy.array.ndim, 0);
    ck_assert_int_eq(il_array_count(&npy.array), 1);
    il_npy_close(&npy);
    a.ndim = 1;
    a.shape[0] = 0;
    a.bytes = 0;
    ck_assert_int_eq(il_npy_write(in_folder("x.npy"), &a, NULL), IL_OK);
    ck_assert_int_eq(il_npy_open(&npy, in_folder("x.npy"), NULL), IL_OK);
    ck_assert_int_eq(npy.array.ndim, 1);
    ck_assert_int_eq(il_array_count(&npy.array), 0);
    il_npy_close(&npy);
}
END_TEST

START_TEST(a_header_is_laid_out_as_numpy_does_it)
{
    il_array a = {.dtype = {IL_CODE_FLOAT, 32, 1},
                  .ndim = 1,
                  .shape = {6},
                  .data = six,
                  .bytes = sizeof six};
    char *header = NULL;
    size_t size = 0;

    ck_assert_int_eq(il_npy_header(&a, &header, &size, "x", NULL), IL_OK);
    ck_assert_uint_eq(size, 128);
    ck_assert_mem_eq(header, "\x93NUMPY\x01\x00\x76\x00", 10);
    ck_assert_mem_eq(header + 10,
                     "{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }  ", 59);
    ck_assert_int_eq(header[127], '\n');
    free(header);
}
END_TEST

START_TEST(both_versions_and_any_order_of_keys_are_read)
{
    il_npy npy;
    il_error err;

    ck_assert_int_eq(parse(&npy, 1,
                           "{'shape':(2,3),\"descr\":\"<f4\",'fortran_order':False}",
                           six, sizeof six, &err),
                     IL_OK);
    ck_assert_int_eq(npy.array.shape[1], 3);
    il_npy_close(&npy);
    ck_assert_int_eq(
        parse(&npy, 2,
              "{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 3L), }  \n", six,
              sizeof six, &err),
        IL_OK);
    ck_assert_int_eq(npy.array.shape[0], 2);
    il_npy_close(&npy);
}
END_TEST

START_TEST(fortran_order_is_turned)
{
    /* The file's order runs down the columns of ((0, 2, 4), (1, 3, 5)). */
    static const float rows[6] = {0, 2, 4, 1, 3, 5};
    il_npy npy;
    il_error err;

    ck_assert_int_eq(parse(&npy, 1,
                           "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }",
                           six, sizeof six, &err),
                     IL_OK);
    ck_assert_mem_eq(npy.array.data, rows, sizeof rows);
    il_npy_close(&npy);
}
END_TEST

START_TEST(fortran_order_is_turned_in_three_dimensions)
{
    /* Element (i, j, k) of shape (2, 1, 3) lies at i + 2 j + 2 k. */
    static const float rows[6] = {0, 2, 4, 1, 3, 5};
    il_npy npy;
    il_error err;

    ck_assert_int_eq(
        parse(&npy, 1, "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 1, 3), }",
              six, sizeof six, &err),
        IL_OK);
    ck_assert_mem_eq(npy.array.data, rows, sizeof rows);
    il_npy_close(&npy);
}
END_TEST

static const struct {
    const char *header;
    size_t bytes;
    const char *says;
} hostile[] = {
    {"", 24, "expected a dictionary that begins with '{', got its end"},
    {"[1]", 24, "expected a dictionary"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)", 24, "expected ','"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3}", 24,
     "expected ',' or ')'"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)} x", 24,
     "nothing after the dictionary"},
    {"{'descr': '<f4', 'shape': (2, 3)}", 24, "the key fortran_order is missing"},
    {"{'fortran_order': False, 'shape': (2, 3)}", 24, "the key descr is missing"},
    {"{'descr': '<f4', 'fortran_order': False}", 24, "the key shape is missing"},
    {"{'descr': '<f4', 'descr': '<f8', 'fortran_order': False, 'shape': (2, 3)}", 24,
     "shape once"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), 'x': 1}", 24,
     "shape once"},
    {"{'descr': '<f4', 'fortran_order': 0, 'shape': (2, 3)}", 24, "True or False"},
    {"{'descr': '>f4', 'fortran_order': False, 'shape': (2, 3)}", 24, "little-endian"},
    {"{'descr': '|O', 'fortran_order': False, 'shape': (2, 3)}", 24, "astype('<f4')"},
    {"{'descr': '<U7', 'fortran_order': False, 'shape': (2, 3)}", 24, "element type"},
    {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 3)}", 24,
     "one element type as text"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (-2, 3)}", 24,
     "whole number from 0 on"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (2.0, 3)}", 24,
     "expected ',' or ')'"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': 6}", 24, "begins with '('"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1, 1, 6)}", 24,
     "at most 6 sizes"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", 24,
     "fits 63 bits"},
    {"{'descr': '<f8', 'fortran_order': False, 'shape': (4611686018427387904, 4)}", 24,
     "does not fit 64 bits"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904,)}", 0,
     "does not fit 64 bits"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}", 23, "cut short"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}", 25,
     "expected 24 bytes of data for shape (2, 3), got 25"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,)}", 24,
     "expected 4000000000000 bytes"},
    {"{'descr': '<f4\\x27', 'fortran_order': False, 'shape': (6,)}", 24,
     "element type as text"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)\x1b[2J}", 24,
     "got '?[2J}'"},
};

START_TEST(a_hostile_header_is_refused_with_what_was_found)
{
    static const char data[32];
    il_npy npy;
    il_error err;

    ck_assert_int_eq(parse(&npy, 1, hostile[_i].header, data, hostile[_i].bytes, &err),
                     IL_ERR_INPUT);
    ck_assert_str_eq(err.where, "x.npy");
    ck_assert_msg(strstr(err.message, hostile[_i].says) != NULL, "'%s' lacks '%s'",
                  err.message, hostile[_i].says);
    il_npy_close(&npy);
}
END_TEST

START_TEST(a_file_cut_short_anywhere_is_refused)
{
    il_array a = {.dtype = {IL_CODE_FLOAT, 32, 1},
                  .ndim = 1,
                  .shape = {6},
                  .data = six,
                  .bytes = sizeof six};
    char *bytes = NULL;
    size_t size = 0;

    ck_assert_int_eq(il_npy_write(in_folder("x.npy"), &a, NULL), IL_OK);
    ck_assert_int_eq(il_file_read(in_folder("x.npy"), 4096, &bytes, &size, NULL),
                     IL_OK);
    for (size_t n = 0; n < size; n++) {
        il_npy npy = {.turned = NULL};
        char *part = malloc(n + 1); /* so that a read past its end is seen */

        memcpy(part, bytes, n);
        ck_assert_int_eq(il_npy_parse(&npy, part, n, "x", NULL), IL_ERR_INPUT);
        il_npy_close(&npy);
        free(part);
    }
    free(bytes);
}
END_TEST

START_TEST(a_flipped_byte_of_the_header_never_crashes)
{
    il_array a = {.dtype = {IL_CODE_FLOAT, 32, 1},
                  .ndim = 2,
                  .shape = {2, 3},
                  .data = six,
                  .bytes = sizeof six};
    char *bytes = NULL;
    size_t size = 0;

    ck_assert_int_eq(il_npy_write(in_folder("x.npy"), &a, NULL), IL_OK);
    ck_assert_int_eq(il_file_read(in_folder("x.npy"), 4096, &bytes, &size, NULL),
                     IL_OK);
    for (size_t at = 0; at < size - sizeof six; at++) {
        for (int flip = 1; flip < 256; flip++) {
            il_npy npy = {.turned = NULL};
            float *values = NULL;

            bytes[at] = (char)(bytes[at] ^ flip);
            if (il_npy_parse(&npy, bytes, size, "x", NULL) == IL_OK &&
                il_array_floats(&values, &npy.array, "x", NULL) == IL_OK) {
                free(values);
            }
            il_npy_close(&npy);
            bytes[at] = (char)(bytes[at] ^ flip);
        }
    }
    free(bytes);
}
END_TEST

START_TEST(what_is_no_npy_file_is_refused)
{
    il_npy npy = {.turned = NULL};
    il_error err = {0};

    ck_assert_int_eq(il_npy_parse(&npy, "PK\3\4aaaaaaaaaa", 14, "x", &err),
                     IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "expected an .npy file"));
    memset(&err, 0, sizeof err);
    ck_assert_int_eq(
        il_npy_parse(&npy, "\x93NUMPY\x04\x00\x00\x00\x00\x00", 12, "x", &err),
        IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "expected 1.0, 2.0 or 3.0, got 4.0"));
    memset(&err, 0, sizeof err);
    ck_assert_int_eq(il_npy_open(&npy, in_folder("nothing"), &err), IL_ERR_IO);
    memset(&err, 0, sizeof err);
    ck_assert_int_eq(il_npy_open(&npy, folder, &err), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "regular file"));
}
END_TEST

START_TEST(a_type_that_numpy_lacks_is_not_written)
{
    il_array a = {.dtype = {IL_CODE_BFLOAT, 16, 1},
                  .ndim = 1,
                  .shape = {6},
                  .data = six,
                  .bytes = 12};
    il_error err = {0};

    ck_assert_int_eq(il_npy_write(in_folder("x.npy"), &a, &err), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "no element type bfloat16"));
    ck_assert(!il_file_exists(in_folder("x.npy")));
}
END_TEST

/* ---- values --------------------------------------------------------------------- */

START_TEST(halves_have_their_values)
{
    /* 1, -2, the largest, the smallest, minus zero, infinity */
    static const uint16_t bits[6] = {0x3c00, 0xc000, 0x7bff, 0x0001, 0x8000, 0x7c00};
    static const float expected[6] = {1,     -2,      65504, 5.9604644775390625e-8f,
                                      -0.0f, INFINITY};
    il_array a = {.dtype = {IL_CODE_FLOAT, 16, 1},
                  .ndim = 1,
                  .shape = {6},
                  .data = bits,
                  .bytes = sizeof bits};
    float *x = NULL;

    ck_assert_int_eq(il_array_floats(&x, &a, "x", NULL), IL_OK);
    ck_assert_mem_eq(x, expected, sizeof expected);
    free(x);
}
END_TEST

START_TEST(bfloats_have_their_values)
{
    static const uint16_t bits[2] = {0x3f80, 0xc040};
    il_array a = {.dtype = {IL_CODE_BFLOAT, 16, 1},
                  .ndim = 1,
                  .shape = {2},
                  .data = bits,
                  .bytes = sizeof bits};
    float *x = NULL;

    ck_assert_int_eq(il_array_floats(&x, &a, "x", NULL), IL_OK);
    ck_assert_float_eq(x[0], 1);
    ck_assert_float_eq(x[1], -3);
    free(x);
}
END_TEST

START_TEST(signs_of_small_integers_survive)
{
    static const int16_t values[3] = {-1, 32767, -32768};
    il_array a = {.dtype = {IL_CODE_INT, 16, 1},
                  .ndim = 1,
                  .shape = {3},
                  .data = values,
                  .bytes = sizeof values};
    int64_t *n = NULL;

    ck_assert_int_eq(il_array_wholes(&n, &a, "x", NULL), IL_OK);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(n[i], values[i]);
    }
    free(n);
}
END_TEST

START_TEST(what_would_become_another_number_is_refused)
{
    static const double large = 1e300;
    static const int64_t odd = (1 << 24) + 1;
    static const uint64_t most = UINT64_MAX;
    static const double split = 0.5;
    il_array a = {.dtype = {IL_CODE_FLOAT, 64, 1}, .data = &large, .bytes = 8};
    float *x = NULL;
    int64_t *n = NULL;
    uint8_t *flags = NULL;
    il_error err = {0};

    ck_assert_int_eq(il_array_floats(&x, &a, "x", &err), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "element 0: its float64"));
    a = (il_array){.dtype = {IL_CODE_INT, 64, 1}, .data = &odd, .bytes = 8};
    ck_assert_int_eq(il_array_floats(&x, &a, "x", NULL), IL_ERR_INPUT);
    a = (il_array){.dtype = {IL_CODE_UINT, 64, 1}, .data = &most, .bytes = 8};
    ck_assert_int_eq(il_array_wholes(&n, &a, "x", NULL), IL_ERR_INPUT);
    a = (il_array){.dtype = {IL_CODE_FLOAT, 64, 1}, .data = &split, .bytes = 8};
    ck_assert_int_eq(il_array_wholes(&n, &a, "x", NULL), IL_ERR_INPUT);
    ck_assert_int_eq(il_array_flags(&flags, &a, "x", NULL), IL_ERR_INPUT);
    ck_assert_ptr_null(x);
    ck_assert_ptr_null(n);
    ck_assert_ptr_null(flags);
}
END_TEST

START_TEST(labels_come_in_any_type)
{
    static const double values[3] = {0, 1, 1};
    il_array a = {.dtype = {IL_CODE_FLOAT, 64, 1},
                  .ndim = 1,
                  .shape = {3},
                  .data = values,
                  .bytes = sizeof values};
    uint8_t *flags = NULL;

    ck_assert_int_eq(il_array_flags(&flags, &a, "x", NULL), IL_OK);
    ck_assert_mem_eq(flags, "\0\1\1", 3);
    free(flags);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("npy");
    TCase *files = tcase_create("files");
    TCase *values = tcase_create("values");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(files, setup, teardown);
    tcase_add_test(files, what_is_written_is_read_back);
    tcase_add_test(files, scalars_and_arrays_of_nothing_keep_their_shape);
    tcase_add_test(files, a_header_is_laid_out_as_numpy_does_it);
    tcase_add_test(files, both_versions_and_any_order_of_keys_are_read);
    tcase_add_test(files, fortran_order_is_turned);
    tcase_add_test(files, fortran_order_is_turned_in_three_dimensions);
    tcase_add_loop_test(files, a_hostile_header_is_refused_with_what_was_found, 0,
                        (int)(sizeof hostile / sizeof hostile[0]));
    tcase_add_test(files, a_file_cut_short_anywhere_is_refused);
    tcase_add_test(files, a_flipped_byte_of_the_header_never_crashes);
    tcase_add_test(files, what_is_no_npy_file_is_refused);
    tcase_add_test(files, a_type_that_numpy_lacks_is_not_written);
    tcase_add_test(values, halves_have_their_values);
    tcase_add_test(values, bfloats_have_their_values);
    tcase_add_test(values, signs_of_small_integers_survive);
    tcase_add_test(values, what_would_become_another_number_is_refused);
    tcase_add_test(values, labels_come_in_any_type);
    suite_add_tcase(suite, files);
    suite_add_tcase(suite, values);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
