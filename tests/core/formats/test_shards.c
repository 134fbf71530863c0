/* Shards: which files of a folder they are, rows over their borders, and what is told
 * of files that do not belong together. */
#include "base/files.h"
#include "formats/npy.h"
#include "formats/safetensors.h"
#include "formats/shards.h"
#include <check.h>
#include <math.h>
#include <stdlib.h>

static char folder[64];

static void setup(void)
{
    (void)snprintf(folder, sizeof folder, "/tmp/il-shards-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void teardown(void)
{
    ck_assert_int_eq(il_folder_remove(folder, NULL), IL_OK);
}

static const char *in_folder(const char *name)
{
    static char path[160];

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void put_bytes(const char *name, const void *data, size_t size)
{
    ck_assert_int_eq(il_file_write(in_folder(name), data, size, NULL), IL_OK);
}

/* An array of float32 (rows,width) that counts up from `from`. */
static il_array counting(int64_t rows, int64_t width, float from)
{
    static float values[4][256];
    static int next;
    float *to = values[next++ % 4];
    il_array a = {.dtype = {IL_CODE_FLOAT, 32, 1},
                  .ndim = 2,
                  .shape = {rows, width},
                  .data = to,
                  .bytes = (size_t)(rows * width) * sizeof(float)};

    ck_assert_int_le(rows * width, 256);
    for (int64_t i = 0; i < rows * width; i++) {
        to[i] = from + (float)i;
    }
    return a;
}

static void put_npy(const char *name, int64_t rows, int64_t width, float from)
{
    il_array a = counting(rows, width, from);

    ck_assert_int_eq(il_npy_write(in_folder(name), &a, NULL), IL_OK);
}

static il_safetensor tensor(const char *name, il_array a)
{
    il_safetensor t = {.name = name,
                       .dtype = a.dtype,
                       .ndim = a.ndim,
                       .data = a.data,
                       .bytes = a.bytes};

    memcpy(t.shape, a.shape, sizeof t.shape);
    return t;
}

/* A shard with `x` and a column of ids. */
static void put_shard(const char *name, int64_t rows, int64_t width, float from)
{
    static int64_t ids[64];
    il_array i = {.dtype = {IL_CODE_INT, 64, 1},
                  .ndim = 1,
                  .shape = {rows},
                  .data = ids,
                  .bytes = (size_t)rows * sizeof ids[0]};
    il_safetensor t[2] = {tensor("x", counting(rows, width, from)), tensor("ids", i)};

    for (int64_t k = 0; k < rows; k++) {
        ids[k] = (int64_t)from + k;
    }
    ck_assert_int_eq(il_safetensors_write(in_folder(name), t, 2, NULL, 0, NULL), IL_OK);
}

static il_shards *opened(const char *naming)
{
    il_shards *s = NULL;
    il_error err = {0};
    il_status status = il_shards_open(&s, folder, naming, &err);

    ck_assert_msg(status == IL_OK, "%s: %s", err.where, err.message);
    return s;
}

static size_t found(const il_shards *s, const char *name, int64_t rows)
{
    il_shards_column c;
    il_error err = {0};
    size_t number = 99;
    il_status status = il_shards_find(s, name, &number, &c, &err);

    ck_assert_msg(status == IL_OK, "%s: %s", err.where, err.message);
    ck_assert_int_eq(c.shape[0], rows);
    return number;
}

START_TEST(rows_are_read_over_the_borders_of_shards)
{
    il_shards *s;
    size_t x;
    float values[40];
    int64_t ids[10];

    /* Shard 10 comes behind 9: numbers, not letters. */
    put_shard("10.safetensors", 3, 4, 1000);
    put_shard("9.safetensors", 5, 4, 0);
    put_shard("11.safetensors", 2, 4, 2000);
    s = opened(NULL);
    ck_assert_uint_eq(il_shards_count(s), 3);
    ck_assert_uint_eq(il_shards_columns(s), 2);
    ck_assert_str_eq(il_shards_name(s, 0), "ids");
    x = found(s, "x", 10);
    ck_assert_int_eq(il_shards_floats(s, x, 0, 10, values, NULL), IL_OK);
    ck_assert(values[0] == 0 && values[19] == 19 && values[20] == 1000 &&
              values[32] == 2000 && values[39] == 2007);
    ck_assert_int_eq(il_shards_floats(s, x, 4, 5, values, NULL), IL_OK);
    ck_assert(values[0] == 16 && values[4] == 1000 && values[16] == 2000);
    ck_assert_int_eq(il_shards_wholes(s, found(s, "ids", 10), 7, 2, ids, NULL), IL_OK);
    ck_assert(ids[0] == 1002 && ids[1] == 2000);
    ck_assert_int_eq(il_shards_floats(s, x, 10, 0, values, NULL), IL_OK);
    ck_assert_int_eq(il_shards_floats(s, x, 8, 3, values, NULL), IL_ERR_INPUT);
    ck_assert_int_eq(il_shards_floats(s, x, -1, 1, values, NULL), IL_ERR_INPUT);
    ck_assert_int_eq(il_shards_floats(s, x, INT64_MAX, 1, values, NULL), IL_ERR_INPUT);
    il_shards_close(s);
}
END_TEST

START_TEST(a_shard_without_rows_is_passed_over)
{
    il_shards *s;
    float values[8];

    put_npy("0.x.npy", 2, 2, 0);
    put_npy("1.x.npy", 0, 2, 0);
    put_npy("2.x.npy", 2, 2, 10);
    s = opened(NULL);
    ck_assert_int_eq(il_shards_floats(s, found(s, "x", 4), 0, 4, values, NULL), IL_OK);
    ck_assert(values[3] == 3 && values[4] == 10);
    ck_assert_int_eq(il_shards_floats(s, found(s, "x", 4), 2, 2, values, NULL), IL_OK);
    ck_assert(values[0] == 10);
    il_shards_close(s);
}
END_TEST

static const struct {
    const char *naming;
    const char *files[5];
    const char *columns; /* with spaces */
    size_t shards;
} namings[] = {
    {NULL, {"acts.a.b.npy", "labels.npy"}, "acts.a.b labels", 1},
    {NULL,
     {"00000.acts.a.npy", "00000.y.npy", "00001.acts.a.npy", "00001.y.npy"},
     "acts.a y",
     2},
    {"acts_{shard}.npy, y_{shard}.npy",
     {"acts_1.npy", "acts_2.npy", "y_1.npy", "y_2.npy", "other.npy"},
     "acts y",
     2},
    {"{name}_{shard}.npy", {"a_b_0.npy", "a_b_1.npy"}, "a_b", 2},
    {"{name}-{shard}-of-2.npy", {"x-1-of-2.npy", "x-2-of-2.npy", "x-3.npy"}, "x", 2},
    {"layer.npy", {"layer.npy", "x.npy"}, "layer", 1},
    {"{shard}.npy", {"monday.npy", "tuesday.npy"}, "acts", 2},
};

START_TEST(a_naming_tells_shards_and_columns)
{
    il_shards *s;
    char names[128] = "";

    for (size_t i = 0; i < 5 && namings[_i].files[i] != NULL; i++) {
        put_npy(namings[_i].files[i], 2, 2, 0);
    }
    s = opened(namings[_i].naming);
    for (size_t i = 0; i < il_shards_columns(s); i++) {
        size_t n = strlen(names);

        (void)snprintf(names + n, sizeof names - n, "%s%s", i > 0 ? " " : "",
                       il_shards_name(s, i));
    }
    ck_assert_str_eq(names, namings[_i].columns);
    ck_assert_uint_eq(il_shards_count(s), namings[_i].shards);
    il_shards_close(s);
}
END_TEST

START_TEST(one_file_is_a_shard)
{
    il_shards *s = NULL;

    put_npy("acts.npy", 3, 2, 0);
    put_npy("more.npy", 3, 2, 0);
    ck_assert_int_eq(il_shards_open(&s, in_folder("acts.npy"), NULL, NULL), IL_OK);
    ck_assert_uint_eq(il_shards_columns(s), 1);
    (void)found(s, "acts", 3);
    il_shards_close(s);
}
END_TEST

/* ---- what does not belong together ---------------------------------------------- */

static void refused_find(const char *name, const char *says)
{
    il_shards *s = opened(NULL);
    il_shards_column c;
    il_error err = {0};
    size_t number;

    ck_assert_int_ne(il_shards_find(s, name, &number, &c, &err), IL_OK);
    ck_assert_msg(strstr(err.message, says) != NULL, "'%s'", err.message);
    ck_assert_msg(strncmp(err.where, folder, strlen(folder)) == 0, "'%s'", err.where);
    il_shards_close(s);
}

START_TEST(shards_of_other_widths_are_refused_when_asked_for)
{
    put_shard("0.safetensors", 2, 4, 0);
    put_shard("1.safetensors", 2, 5, 0);
    refused_find("x", "expected float32 (2, 4) but for the number of rows");
}
END_TEST

START_TEST(shards_of_another_type_are_refused_when_asked_for)
{
    const double two[4] = {0, 1, 2, 3};
    il_array a = {.dtype = {IL_CODE_FLOAT, 64, 1},
                  .ndim = 2,
                  .shape = {1, 4},
                  .data = two,
                  .bytes = sizeof two};

    put_npy("0.x.npy", 1, 4, 0);
    ck_assert_int_eq(il_npy_write(in_folder("1.x.npy"), &a, NULL), IL_OK);
    refused_find("x", "got float64 (1, 4)");
}
END_TEST

START_TEST(a_column_that_a_shard_lacks_is_refused_when_asked_for)
{
    put_npy("0.x.npy", 2, 4, 0);
    put_npy("1.x.npy", 2, 4, 0);
    put_npy("1.y.npy", 2, 4, 0);
    refused_find("y", "it lacks 'y'");
    refused_find("xs", "did you mean 'x'?");
}
END_TEST

START_TEST(columns_of_other_row_counts_do_not_agree)
{
    il_shards *s;
    il_error err = {0};

    /* As many in all, and yet not of one another. */
    put_npy("0.x.npy", 2, 4, 0);
    put_npy("0.y.npy", 3, 4, 0);
    put_npy("1.x.npy", 3, 4, 0);
    put_npy("1.y.npy", 2, 4, 0);
    s = opened(NULL);
    ck_assert_int_eq(il_shards_agree(s, found(s, "x", 5), found(s, "x", 5), &err),
                     IL_OK);
    ck_assert_int_eq(il_shards_agree(s, found(s, "x", 5), found(s, "y", 5), &err),
                     IL_ERR_SHAPE);
    ck_assert_ptr_nonnull(strstr(err.message, "expected 2 rows"));
    ck_assert_ptr_nonnull(strstr(err.where, "0.y.npy"));
    il_shards_close(s);
}
END_TEST

/* A header as long as it says, and data behind it. */
static void put_header(const char *name, const char *header, size_t data)
{
    static char bytes[4096];
    uint64_t length = strlen(header);

    ck_assert_uint_le(8 + length + data, sizeof bytes);
    memset(bytes, 0, sizeof bytes);
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, header, length);
    put_bytes(name, bytes, 8 + length + data);
}

static void refused(const char *naming, const char *says)
{
    il_shards *s = NULL;
    il_error err = {0};

    ck_assert_int_eq(il_shards_open(&s, folder, naming, &err), IL_ERR_INPUT);
    ck_assert_msg(strstr(err.message, says) != NULL, "'%s'", err.message);
    ck_assert_ptr_null(s);
}

static const struct {
    const char *header;
    size_t data;
    const char *says;
} hostile[] = {
    {"{\"x\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]},"
     "\"y\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[8,24]}}",
     24, "may not overlap"},
    {"{\"x\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]},"
     "\"x\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[16,32]}}",
     32, "duplicate"},
    {"{\"x\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]}}", 12,
     "within the 12 bytes"},
    {"{\"x\":{\"dtype\":\"F8_E4M3\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4,
     "dtype: expected one of"},
    {"{\"x\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],"
     "\"data_offsets\":[0,16]}}",
     16, "does not fit 64 bits"},
    {"{\"x\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,0]}}", 0,
     "whole number from 0 on"},
};

START_TEST(a_hostile_safetensors_shard_opens_nothing)
{
    put_shard("0.safetensors", 2, 2, 0);
    put_header("1.safetensors", hostile[_i].header, hostile[_i].data);
    refused(NULL, hostile[_i].says);
}
END_TEST

START_TEST(a_huge_header_is_refused)
{
    put_shard("0.safetensors", 2, 2, 0);
    put_bytes("1.safetensors", "\xff\xff\xff\xff\xff\xff\xff\x7f{}", 10);
    refused(NULL, "header length");
}
END_TEST

/* An .npy file with this dictionary. */
static void put_raw_npy(const char *name, int major, const char *header, size_t data)
{
    char bytes[512] = "\x93NUMPY";
    size_t n = strlen(header);
    size_t at = major > 1 ? 12 : 10;

    bytes[6] = (char)major;
    bytes[8] = (char)n;
    memcpy(bytes + at, header, n);
    put_bytes(name, bytes, at + n + data);
}

static const struct {
    const char *header;
    size_t data;
    const char *says;
} hostile_npy[] = {
    {"{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2)}", 16,
     "fortran_order: expected False"},
    {"{'descr': '>f4', 'fortran_order': False, 'shape': (2, 2)}", 16, "little-endian"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2)}", 12, "cut short"},
    {"{'descr': '|O', 'fortran_order': False, 'shape': (2,)}", 16, "element type"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 8)}", 16,
     "does not fit 64 bits"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': ()}", 4, "a single number"},
    {"{'descr': '<f4', 'shape': (2, 2)}", 16, "fortran_order is missing"},
};

START_TEST(a_hostile_npy_shard_opens_nothing)
{
    il_shards *s = NULL;
    il_error err = {0};

    put_npy("0.x.npy", 2, 2, 0);
    put_raw_npy("1.x.npy", 1, hostile_npy[_i].header, hostile_npy[_i].data);
    ck_assert_int_ne(il_shards_open(&s, folder, NULL, &err), IL_OK);
    ck_assert_msg(strstr(err.message, hostile_npy[_i].says) != NULL, "'%s'",
                  err.message);
    ck_assert_ptr_nonnull(strstr(err.where, "1.x.npy"));
}
END_TEST

START_TEST(each_version_of_npy_is_read)
{
    static const char header[] =
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2)}";
    il_shards *s;
    float values[4];

    put_raw_npy("x.npy", _i, header, 16);
    s = opened(NULL);
    ck_assert_int_eq(il_shards_floats(s, found(s, "x", 2), 0, 2, values, NULL), IL_OK);
    il_shards_close(s);
}
END_TEST

START_TEST(a_naming_that_tells_nothing_is_refused)
{
    put_shard("0.safetensors", 2, 2, 0);
    refused("{shard}.bin", "ends in .safetensors or .npy");
    refused("{shard}{shard}.npy", "at most once");
    refused("{name}.safetensors", "expected a name");
    refused("../{shard}.npy", "expected a name");
    refused("train-{shard}.safetensors", "none is called like");
}
END_TEST

START_TEST(shards_of_both_kinds_at_once_are_refused)
{
    put_shard("0.safetensors", 2, 2, 0);
    put_npy("0.x.npy", 2, 2, 0);
    refused("{shard}.safetensors, {shard}.{name}.npy", "got both");
}
END_TEST

START_TEST(an_empty_folder_has_no_shards)
{
    refused(NULL, "expected shards: of 0");
}
END_TEST

/* ---- an index ------------------------------------------------------------------- */

static void put_index(const char *text)
{
    put_bytes("index.json", text, strlen(text));
}

START_TEST(an_index_says_how_many_shards_there_are)
{
    il_shards *s;

    put_index("{\"interloop\": 1, \"shards\": 2, \"label\": \"lie\"}");
    put_shard("00000.safetensors", 2, 2, 0);
    refused(NULL, "00001 is not there");
    put_shard("00001.safetensors", 2, 2, 0);
    s = opened(NULL);
    ck_assert_str_eq(json_string_value(json_object_get(il_shards_about(s), "label")),
                     "lie");
    il_shards_close(s);
    put_shard("00002.safetensors", 2, 2, 0);
    refused(NULL, "speaks of 2 shards and not of it");
}
END_TEST

START_TEST(another_programs_index_is_left_alone)
{
    il_shards *s;

    put_index("{\"shards\": 7}");
    put_shard("0.safetensors", 2, 2, 0);
    s = opened(NULL);
    ck_assert_ptr_null(il_shards_about(s));
    il_shards_close(s);
    put_index("[1]");
    refused(NULL, "expected an object of JSON");
    put_index("{\"interloop\": 1, \"shards\": 99999999999}");
    refused(NULL, "shards: expected a number");
    put_index("{\"interloop\": 1, \"shards\": -1}");
    refused(NULL, "shards: expected a number");
}
END_TEST

START_TEST(a_changed_row_changes_the_hash)
{
    char hex[3][IL_HASH_HEX];
    il_shards *s;

    for (int i = 0; i < 3; i++) {
        put_shard("0.safetensors", 2, 2, i == 1 ? 5 : 0);
        s = opened(NULL);
        ck_assert_int_eq(il_shards_hash(s, true, hex[i], NULL), IL_OK);
        if (i == 0) {
            char plain[IL_HASH_HEX];

            ck_assert_int_eq(il_shards_hash(s, false, plain, NULL), IL_OK);
            ck_assert_str_ne(plain, hex[0]);
        }
        il_shards_close(s);
    }
    ck_assert_str_ne(hex[0], hex[1]);
    ck_assert_str_eq(hex[0], hex[2]);
}
END_TEST

/* ---- values --------------------------------------------------------------------- */

START_TEST(half_width_numbers_come_out_exactly)
{
    /* 1, -2, the smallest, the largest below it, the largest, infinity, a NaN. */
    static const uint16_t halves[] = {0x3c00, 0xc000, 0x0001, 0x83ff,
                                      0x7bff, 0xfc00, 0x7e01};
    static const uint16_t brains[] = {0x3f80, 0xc000, 0x0001, 0x8040,
                                      0x7f7f, 0xff80, 0x7fc1};
    float out[7];
    il_array a = {.dtype = {IL_CODE_FLOAT, 16, 1},
                  .ndim = 1,
                  .shape = {7},
                  .data = halves,
                  .bytes = sizeof halves};

    ck_assert_int_eq(il_array_floats_to(out, &a, "x", NULL), IL_OK);
    ck_assert(out[0] == 1.0f && out[1] == -2.0f && out[2] == 0x1p-24f);
    ck_assert(out[3] == -1023 * 0x1p-24f && out[4] == 65504.0f);
    ck_assert(isinf(out[5]) && out[5] < 0 && isnan(out[6]));
    a.dtype.code = IL_CODE_BFLOAT;
    a.data = brains;
    ck_assert_int_eq(il_array_floats_to(out, &a, "x", NULL), IL_OK);
    ck_assert(out[0] == 1.0f && out[1] == -2.0f && out[2] == 0x1p-133f);
    ck_assert(out[3] == -0x1p-127f && out[4] == 0x1.fep127f);
    ck_assert(isinf(out[5]) && out[5] < 0 && isnan(out[6]));
}
END_TEST

START_TEST(narrowing_gives_back_what_was_half_width)
{
    const il_dtype types[2] = {{IL_CODE_FLOAT, 16, 1}, {IL_CODE_BFLOAT, 16, 1}};

    for (int k = 0; k < 2; k++) {
        for (uint32_t i = 0; i < 65536; i++) {
            uint16_t in = (uint16_t)i;
            uint16_t out = 0;
            float wide;
            il_array a = {
                .dtype = types[k], .ndim = 1, .shape = {1}, .data = &in, .bytes = 2};

            ck_assert_int_eq(il_array_floats_to(&wide, &a, "x", NULL), IL_OK);
            ck_assert_int_eq(il_array_narrow(&out, &wide, 1, types[k], "x", NULL),
                             IL_OK);
            ck_assert(isnan(wide) || out == in);
            /* What is none stays none. */
            ck_assert(!isnan(wide) || (out & 0x7fff) > (k == 0 ? 0x7c00 : 0x7f80));
        }
    }
}
END_TEST

static const struct {
    float x;
    uint16_t half, brain;
} narrowed[] = {
    {0x1.002p0f, 0x3c00, 0x3f80},    /* between two halves: the even one */
    {0x1.006p0f, 0x3c02, 0x3f80},    /* the other even one */
    {0x1.002002p0f, 0x3c01, 0x3f80}, /* a little above the middle */
    {0x1.01p0f, 0x3c04, 0x3f80},     /* between two brains: the even one */
    {0x1.03p0f, 0x3c0c, 0x3f82},
    {0x1p-25f, 0x0000, 0x3300}, /* half of the smallest */
    {0x1.8p-24f, 0x0002, 0x33c0},
    {-0x1.ffcp-15f, 0x8400, 0xb880}, /* up to what has an exponent */
    {65519.0f, 0x7bff, 0x4780},
};

START_TEST(narrowing_goes_to_the_nearest)
{
    const il_dtype f16 = {IL_CODE_FLOAT, 16, 1};
    const il_dtype bf16 = {IL_CODE_BFLOAT, 16, 1};
    uint16_t out[2];

    ck_assert_int_eq(il_array_narrow(&out[0], &narrowed[_i].x, 1, f16, "x", NULL),
                     IL_OK);
    ck_assert_int_eq(il_array_narrow(&out[1], &narrowed[_i].x, 1, bf16, "x", NULL),
                     IL_OK);
    ck_assert_uint_eq(out[0], narrowed[_i].half);
    ck_assert_uint_eq(out[1], narrowed[_i].brain);
}
END_TEST

START_TEST(what_a_narrow_type_does_not_hold_is_refused)
{
    const il_dtype f16 = {IL_CODE_FLOAT, 16, 1};
    const il_dtype bf16 = {IL_CODE_BFLOAT, 16, 1};
    const float large[2] = {1.0f, -65520.0f};
    const float largest = 0x1.fffffep127f;
    uint16_t out[2];
    il_error err = {0};

    ck_assert_int_eq(il_array_narrow(out, large, 2, f16, "x", &err), IL_ERR_INPUT);
    ck_assert_str_eq(err.message,
                     "element 1: float16 does not hold -65520: take bfloat16 or "
                     "float32");
    ck_assert_int_eq(il_array_narrow(out, large, 2, bf16, "x", NULL), IL_OK);
    ck_assert_int_eq(il_array_narrow(out, &largest, 1, bf16, "x", NULL), IL_ERR_INPUT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("shards");
    TCase *c = tcase_create("shards");
    SRunner *sr;
    int failed;

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, rows_are_read_over_the_borders_of_shards);
    tcase_add_test(c, a_shard_without_rows_is_passed_over);
    tcase_add_loop_test(c, a_naming_tells_shards_and_columns, 0,
                        (int)(sizeof namings / sizeof namings[0]));
    tcase_add_test(c, one_file_is_a_shard);
    tcase_add_test(c, shards_of_other_widths_are_refused_when_asked_for);
    tcase_add_test(c, shards_of_another_type_are_refused_when_asked_for);
    tcase_add_test(c, a_column_that_a_shard_lacks_is_refused_when_asked_for);
    tcase_add_test(c, columns_of_other_row_counts_do_not_agree);
    tcase_add_loop_test(c, a_hostile_safetensors_shard_opens_nothing, 0,
                        (int)(sizeof hostile / sizeof hostile[0]));
    tcase_add_test(c, a_huge_header_is_refused);
    tcase_add_loop_test(c, a_hostile_npy_shard_opens_nothing, 0,
                        (int)(sizeof hostile_npy / sizeof hostile_npy[0]));
    tcase_add_loop_test(c, each_version_of_npy_is_read, 1, 4);
    tcase_add_test(c, a_naming_that_tells_nothing_is_refused);
    tcase_add_test(c, shards_of_both_kinds_at_once_are_refused);
    tcase_add_test(c, an_empty_folder_has_no_shards);
    tcase_add_test(c, an_index_says_how_many_shards_there_are);
    tcase_add_test(c, another_programs_index_is_left_alone);
    tcase_add_test(c, a_changed_row_changes_the_hash);
    tcase_add_test(c, half_width_numbers_come_out_exactly);
    tcase_add_test(c, narrowing_gives_back_what_was_half_width);
    tcase_add_loop_test(c, narrowing_goes_to_the_nearest, 0,
                        (int)(sizeof narrowed / sizeof narrowed[0]));
    tcase_add_test(c, what_a_narrow_type_does_not_hold_is_refused);
    suite_add_tcase(suite, c);
    sr = srunner_create(suite);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? 0 : 1;
}
