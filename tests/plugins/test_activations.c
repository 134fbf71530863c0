/* The dataset of shards and the model in whose place it stands: fields, splits, values
 * of every type, and what files that do not fit are told. */
#include "plugins/host.h"
#include <fcntl.h>
#include <math.h>
#include <unistd.h>
#include "base/files.h"
#include "formats/npy.h"
#include "formats/safetensors.h"

static char folder[64];
static host data;
static const il_dataset_api *api;

static void setup(void)
{
    (void)snprintf(folder, sizeof folder, "/tmp/il-activations-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void teardown(void)
{
    if (data.self != NULL) {
        api->destroy(data.self);
    }
    host_tensors_close(&data);
    free(data.memory);
    memset(&data, 0, sizeof data);
    ck_assert_int_eq(il_folder_remove(folder, NULL), IL_OK);
}

static const char *in_folder(const char *name)
{
    static char path[160];

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* ---- what is written ------------------------------------------------------------ */

enum { F32, F16, BF16, F64, I64, I32, U8, BOOL };
static const il_dtype dtypes[] = {{IL_CODE_FLOAT, 32, 1},  {IL_CODE_FLOAT, 16, 1},
                                  {IL_CODE_BFLOAT, 16, 1}, {IL_CODE_FLOAT, 64, 1},
                                  {IL_CODE_INT, 64, 1},    {IL_CODE_INT, 32, 1},
                                  {IL_CODE_UINT, 8, 1},    {IL_CODE_BOOL, 8, 1}};

/* An array with memory of its own, which lives as long as the test; each is a process.
 */
static il_safetensor array(const char *name, int type, const void *values, int ndim,
                           int64_t b, int64_t t, int64_t w)
{
    il_safetensor a = {.name = name, .dtype = dtypes[type], .ndim = ndim};
    void *copy;

    a.shape[0] = b;
    a.shape[1] = ndim > 1 ? t : 0;
    a.shape[2] = ndim > 2 ? w : 0;
    a.bytes =
        (size_t)(b * (ndim > 1 ? t : 1) * (ndim > 2 ? w : 1)) * dtypes[type].bits / 8;
    copy = malloc(a.bytes + 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, values, a.bytes);
    a.data = copy;
    return a;
}

static void put(const char *name, const il_safetensor *tensors, size_t count)
{
    ck_assert_int_eq(
        il_safetensors_write(in_folder(name), tensors, count, NULL, 0, NULL), IL_OK);
    for (size_t i = 0; i < count; i++) {
        free((void *)(uintptr_t)tensors[i].data);
    }
}

/* B rows of 2 positions and 3 channels that count up from `from`; documents too. */
static void put_shard(const char *name, int64_t b, float from)
{
    float acts[64 * 6];
    int32_t tokens[64 * 2];
    uint8_t mask[64 * 2];
    uint8_t labels[64 * 2];
    int64_t ids[64];
    il_safetensor t[5];

    for (int i = 0; i < 64 * 6; i++) {
        acts[i] = from + (float)i;
    }
    for (int i = 0; i < 64 * 2; i++) {
        tokens[i] = i % 7;
        mask[i] = i % 2 == 0;
        labels[i] = i % 3 == 0;
    }
    for (int i = 0; i < 64; i++) {
        ids[i] = (int64_t)from + i;
    }
    t[0] = array("acts.here", F32, acts, 3, b, 2, 3);
    t[1] = array("tokens", I32, tokens, 2, b, 2, 0);
    t[2] = array("mask", BOOL, mask, 2, b, 2, 0);
    t[3] = array("labels", U8, labels, 2, b, 2, 0);
    t[4] = array("ids", I64, ids, 1, b, 0, 0);
    put(name, t, 5);
}

/* ---- what is read --------------------------------------------------------------- */

static il_status make(const char *const *settings)
{
    host_open(&data, "activations", IL_KIND_DATASET);
    host_set(&data, "folder", folder);
    for (; settings[0] != NULL; settings += 2) {
        host_set(&data, settings[0], settings[1]);
    }
    api = data.component->api;
    return api->create(&data.setup, &data.self, &data.err);
}

static void good(const char *const *settings)
{
    il_status status = make(settings);

    ck_assert_msg(status == IL_OK, "%s: %s", data.err.where, data.err.message);
}

static void bad(const char *const *settings, const char *says)
{
    ck_assert_int_ne(make(settings), IL_OK);
    ck_assert_msg(strstr(data.err.message, says) != NULL, "'%s'", data.err.message);
    data.self = NULL;
}

static void get(host_batch *b, int32_t split, int64_t index, int64_t rows)
{
    il_status status;

    host_batch_open(b, rows);
    status = api->get(data.self, split, index, rows, &b->batch, &data.err);
    ck_assert_msg(status == IL_OK, "%s: %s", data.err.where, data.err.message);
}

static int64_t rows_of(int32_t split)
{
    int32_t count;

    return api->splits(data.self, &count)[split].rows;
}

static const il_field *field(const char *name)
{
    int32_t count;
    const il_field *f = api->fields(data.self, &count);

    for (int32_t i = 0; i < count; i++) {
        if (strcmp(f[i].name, name) == 0) {
            return &f[i];
        }
    }
    return NULL;
}

static const char *const whole[] = {"val", "0", "test", "0", NULL};

START_TEST(rows_hold_what_the_shards_hold)
{
    host_batch b;
    const il_tensor *x;

    put_shard("0.safetensors", 3, 0);
    put_shard("1.safetensors", 4, 100);
    good(whole);
    ck_assert_int_eq(rows_of(0), 7);
    ck_assert_int_eq(field("acts.here")->role, IL_FIELD_INPUT);
    ck_assert_int_eq(field("labels")->role, IL_FIELD_LABEL);
    ck_assert_int_eq(field("mask")->role, IL_FIELD_MASK);
    ck_assert_int_eq(field("document")->role, IL_FIELD_UNIT);
    get(&b, 0, 2, 3);
    x = il_batch_find(&b.batch, "acts.here");
    ck_assert(x->ndim == 3 && x->shape[0] == 3 && x->shape[1] == 2 && x->shape[2] == 3);
    ck_assert(il_f32(x)[0] == 12 && il_f32(x)[6] == 100 && il_f32(x)[17] == 111);
    ck_assert(il_i64(il_batch_find(&b.batch, "document"))[0] == 2 &&
              il_i64(il_batch_find(&b.batch, "document"))[2] == 101);
    ck_assert(il_i32(il_batch_find(&b.batch, "tokens"))[1] == 5);
    ck_assert(il_u8(il_batch_find(&b.batch, "mask"))[2] == 1 &&
              il_u8(il_batch_find(&b.batch, "mask"))[3] == 0);
    ck_assert(il_u8(il_batch_find(&b.batch, "labels"))[5] == 1);
    ck_assert_int_eq(data.facts[0].value, 7); /* the vocabulary: tokens 0 to 6 */
    ck_assert_int_eq(data.facts[1].value, 2);
    host_batch_close(&b);
}
END_TEST

START_TEST(a_document_stays_in_its_split_when_shards_are_added)
{
    static const char *const set[] = {"val", "0.3", "test", "0.3", NULL};
    int64_t ids[3][256];
    int64_t rows[3];
    host_batch b;

    put_shard("0.safetensors", 60, 0);
    good(set);
    for (int32_t s = 0; s < 3; s++) {
        rows[s] = rows_of(s);
        ck_assert_int_gt(rows[s], 5);
        get(&b, s, 0, rows[s]);
        memcpy(ids[s], il_i64(il_batch_find(&b.batch, "document")),
               (size_t)rows[s] * sizeof ids[0][0]);
        /* Each row is its own document's. */
        for (int64_t i = 0; i < rows[s]; i++) {
            ck_assert(il_f32(il_batch_find(&b.batch, "acts.here"))[i * 6] ==
                      (float)ids[s][i] * 6);
        }
        host_batch_close(&b);
    }
    ck_assert_int_eq(rows[0] + rows[1] + rows[2], 60);
    api->destroy(data.self);
    host_tensors_close(&data);
    free(data.memory);
    put_shard("1.safetensors", 60, 1000);
    good(set);
    for (int32_t s = 0; s < 3; s++) {
        ck_assert_int_gt(rows_of(s), rows[s]);
        get(&b, s, 0, rows_of(s));
        ck_assert_mem_eq(il_i64(il_batch_find(&b.batch, "document")), ids[s],
                         (size_t)rows[s] * sizeof ids[0][0]);
        host_batch_close(&b);
    }
}
END_TEST

START_TEST(splits_have_folders_of_their_own)
{
    char val[160];
    const char *const set[] = {"val_folder", val, "test", "0", NULL};
    host_batch b;

    (void)snprintf(val, sizeof val, "%s", in_folder("val"));
    ck_assert_int_eq(il_folder_make(val, NULL), IL_OK);
    put_shard("0.safetensors", 5, 0);
    put_shard("val/0.safetensors", 2, 300);
    good(set);
    ck_assert_int_eq(rows_of(0), 5);
    ck_assert_int_eq(rows_of(1), 2);
    ck_assert_int_eq(rows_of(2), 0);
    get(&b, 1, 1, 1);
    ck_assert(il_f32(il_batch_find(&b.batch, "acts.here"))[0] == 306);
    host_batch_close(&b);
}
END_TEST

START_TEST(arrays_of_others_are_rows_of_one_position)
{
    static const char *const set[] = {"files",  "resid_{shard}.npy, y_{shard}.npy",
                                      "sites",  "deep=resid",
                                      "val",    "0",
                                      "labels", "lie=y",
                                      "test",   "0",
                                      NULL};
    const double acts[6] = {1, 2.5, -3, 4, 5, 6};
    const int64_t y[2] = {1, 0};
    host_batch b;

    for (int k = 0; k < 2; k++) {
        char name[32];
        il_array a = {.dtype = dtypes[F64],
                      .ndim = 2,
                      .shape = {2, 3},
                      .data = acts,
                      .bytes = sizeof acts};
        il_array l = {.dtype = dtypes[I64],
                      .ndim = 1,
                      .shape = {2},
                      .data = y,
                      .bytes = sizeof y};

        (void)snprintf(name, sizeof name, "resid_%d.npy", k);
        ck_assert_int_eq(il_npy_write(in_folder(name), &a, NULL), IL_OK);
        (void)snprintf(name, sizeof name, "y_%d.npy", k);
        ck_assert_int_eq(il_npy_write(in_folder(name), &l, NULL), IL_OK);
    }
    good(set);
    ck_assert_int_eq(rows_of(0), 4);
    ck_assert_ptr_null(field("tokens"));
    ck_assert_ptr_null(field("mask"));
    get(&b, 0, 0, 4);
    ck_assert_int_eq(il_batch_find(&b.batch, "acts.deep")->shape[1], 1);
    ck_assert(il_f32(il_batch_find(&b.batch, "acts.deep"))[7] == 2.5f);
    ck_assert(il_u8(il_batch_find(&b.batch, "lie"))[2] == 1 &&
              il_u8(il_batch_find(&b.batch, "lie"))[3] == 0);
    ck_assert(il_i64(il_batch_find(&b.batch, "document"))[3] == 3);
    host_batch_close(&b);
}
END_TEST

START_TEST(labels_of_rows_hold_at_each_position)
{
    const float acts[12] = {0};
    const uint8_t labels[2] = {0, 1};
    host_batch b;
    il_safetensor t[2] = {array("acts.x", F32, acts, 3, 2, 3, 2),
                          array("labels", U8, labels, 1, 2, 0, 0)};

    put("0.safetensors", t, 2);
    good(whole);
    get(&b, 0, 0, 2);
    ck_assert_mem_eq(il_u8(il_batch_find(&b.batch, "labels")), "\0\0\0\1\1\1", 6);
    host_batch_close(&b);
}
END_TEST

START_TEST(every_width_of_floats_is_read)
{
    static const uint16_t half[2] = {0x3e00, 0xc000};  /* 1.5, -2 */
    static const uint16_t brain[2] = {0x3fc0, 0xc000}; /* 1.5, -2 */
    static const float single[2] = {1.5f, -2.0f};
    static const double wide[2] = {1.5, -2.0};
    const void *const values[] = {single, half, brain, wide};
    il_safetensor t = array("acts.x", _i, values[_i], 2, 1, 2, 0);
    host_batch b;

    put("0.safetensors", &t, 1);
    good(whole);
    get(&b, 0, 0, 1);
    ck_assert(il_f32(il_batch_find(&b.batch, "acts.x"))[0] == 1.5f &&
              il_f32(il_batch_find(&b.batch, "acts.x"))[1] == -2.0f);
    host_batch_close(&b);
}
END_TEST

START_TEST(what_is_no_number_is_refused_where_it_counts)
{
    const float acts[4] = {1, (float)NAN, 3, 4};
    uint8_t mask[2] = {0, 1};
    host_batch b;
    il_safetensor t[2] = {array("acts.x", F32, acts, 3, 1, 2, 2),
                          array("mask", U8, mask, 2, 1, 2, 0)};

    put("0.safetensors", t, 2);
    good(whole);
    get(&b, 0, 0, 1);
    ck_assert(il_f32(il_batch_find(&b.batch, "acts.x"))[1] == 0.0f);
    host_batch_close(&b);
    api->destroy(data.self);
    host_tensors_close(&data);
    free(data.memory);
    mask[0] = 1;
    t[0] = array("acts.x", F32, acts, 3, 1, 2, 2);
    t[1] = array("mask", U8, mask, 2, 1, 2, 0);
    put("0.safetensors", t, 2);
    good(whole);
    host_batch_open(&b, 1);
    ck_assert_int_eq(api->get(data.self, 0, 0, 1, &b.batch, &data.err), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(
        strstr(data.err.message, "row 0, position 0, channel 1: the activation is no"));
    host_batch_close(&b);
}
END_TEST

START_TEST(a_changed_row_changes_the_fingerprint)
{
    uint8_t prints[3][32];

    for (int i = 0; i < 3; i++) {
        put_shard("0.safetensors", 4, i == 1 ? 7 : 0);
        good(whole);
        api->fingerprint(data.self, prints[i]);
        api->destroy(data.self);
        host_tensors_close(&data);
        free(data.memory);
        data.self = data.memory = NULL;
    }
    ck_assert_mem_ne(prints[0], prints[1], 32);
    ck_assert_mem_eq(prints[0], prints[2], 32);
}
END_TEST

/* 16 GiB of zeros that take no room, but for one row. Nothing of it is copied before it
 * is asked for, and what is asked for is a row. */
START_TEST(shards_may_be_larger_than_memory)
{
    static const char header[] =
        "{\"acts.x\":{\"dtype\":\"F16\",\"shape\":[2097152,4096],"
        "\"data_offsets\":[0,17179869184]}} ";
    const uint64_t length = sizeof header - 1;
    const off_t row = (off_t)(8 + length) + 2097151LL * 8192;
    static const uint16_t value = 0x4000; /* 2 */
    host_batch b;
    int fd = open(in_folder("0.safetensors"), O_CREAT | O_RDWR, 0600);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, &length, 8), 8);
    ck_assert_int_eq(write(fd, header, length), (ssize_t)length);
    ck_assert_int_eq(ftruncate(fd, (off_t)(8 + length) + 17179869184LL), 0);
    ck_assert_int_eq(pwrite(fd, &value, 2, row), 2);
    ck_assert_int_eq(close(fd), 0);
    good(whole);
    ck_assert_int_eq(rows_of(0), 2097152);
    get(&b, 0, 2097150, 2);
    ck_assert(il_f32(il_batch_find(&b.batch, "acts.x"))[4096] == 2.0f);
    ck_assert(il_f32(il_batch_find(&b.batch, "acts.x"))[0] == 0.0f);
    host_batch_close(&b);
}
END_TEST

/* ---- what does not fit ---------------------------------------------------------- */

START_TEST(unequal_rows_in_one_shard_are_refused)
{
    const float acts[12] = {0};
    const int64_t ids[3] = {0};
    il_safetensor t[2] = {array("acts.x", F32, acts, 2, 2, 3, 0),
                          array("ids", I64, ids, 1, 3, 0, 0)};

    put("0.safetensors", t, 2);
    bad(whole, "expected 2 rows");
}
END_TEST

START_TEST(shards_of_other_widths_are_refused)
{
    const float acts[12] = {0};
    il_safetensor t = array("acts.x", F32, acts, 2, 2, 3, 0);

    put("0.safetensors", &t, 1);
    t = array("acts.x", F32, acts, 2, 2, 4, 0);
    put("1.safetensors", &t, 1);
    bad(whole, "but for the number of rows");
}
END_TEST

START_TEST(a_mask_of_another_length_is_refused)
{
    const float acts[12] = {0};
    const uint8_t mask[6] = {0};
    il_safetensor t[2] = {array("acts.x", F32, acts, 3, 2, 2, 3),
                          array("mask", U8, mask, 2, 2, 3, 0)};

    put("0.safetensors", t, 2);
    bad(whole, "of another T");
}
END_TEST

static const struct {
    const char *settings[3];
    const char *says;
} wrongs[] = {
    {{"labels", "here"}, "have no 'here'"},
    {{"sites", "nowhere"}, "have no 'nowhere'"},
    {{"sites", "here, here"}, "there already"},
    {{"labels", "mask=labels"}, "'mask' is a field's name already"},
    {{"files", "{shard}.csv"}, "ends in .safetensors or .npy"},
    {{"tokens", "acts.here"}, "expected shape"},
    {{"labels", "=x"}, "NAME=TENSOR"},
};

START_TEST(names_that_nothing_has_are_refused)
{
    put_shard("0.safetensors", 3, 0);
    bad(wrongs[_i].settings, wrongs[_i].says);
}
END_TEST

START_TEST(labels_are_flags)
{
    const float acts[4] = {0};
    const uint8_t labels[2] = {1, 2};
    host_batch b;
    il_safetensor t[2] = {array("acts.x", F32, acts, 2, 2, 2, 0),
                          array("labels", U8, labels, 1, 2, 0, 0)};

    put("0.safetensors", t, 2);
    good(whole);
    host_batch_open(&b, 2);
    ck_assert_int_eq(api->get(data.self, 0, 0, 2, &b.batch, &data.err), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(data.err.message, "expected 0 or 1"));
    ck_assert_ptr_nonnull(strstr(data.err.where, "#labels"));
    host_batch_close(&b);
}
END_TEST

START_TEST(a_cut_shard_is_refused)
{
    char *bytes = NULL;
    size_t size = 0;

    put_shard("0.safetensors", 3, 0);
    ck_assert_int_eq(
        il_file_read(in_folder("0.safetensors"), 1 << 20, &bytes, &size, NULL), IL_OK);
    ck_assert_int_eq(il_file_write(in_folder("0.safetensors"), bytes, size - 9, NULL),
                     IL_OK);
    free(bytes);
    bad(whole, "data_offsets: expected a range within");
}
END_TEST

START_TEST(the_model_in_its_place_has_its_sites_and_reads_no_rows)
{
    host model;
    const il_model_api *of;
    float x[8];

    put_shard("0.safetensors", 3, 0);
    host_open(&model, "harvested", IL_KIND_MODEL);
    host_set(&model, "folder", folder);
    of = model.component->api;
    ck_assert_int_eq(of->create(&model.setup, &model.self, &model.err), IL_OK);
    ck_assert_int_eq(model.site_count, 1);
    ck_assert_str_eq(model.sites[0].name, "here");
    ck_assert_int_eq(model.sites[0].width, 3);
    ck_assert_int_eq(model.param_count, 0);
    ck_assert_int_eq(il_tensors_read(model.tensors[0], 0, 0, 1, IL_F32, x, &model.err),
                     IL_ERR_UNSUPPORTED);
    host_tensors_close(&model);
    free(model.memory);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("activations");
    TCase *c = tcase_create("activations");
    SRunner *sr;
    int failed;

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, rows_hold_what_the_shards_hold);
    tcase_add_test(c, a_document_stays_in_its_split_when_shards_are_added);
    tcase_add_test(c, splits_have_folders_of_their_own);
    tcase_add_test(c, arrays_of_others_are_rows_of_one_position);
    tcase_add_test(c, labels_of_rows_hold_at_each_position);
    tcase_add_loop_test(c, every_width_of_floats_is_read, F32, F64 + 1);
    tcase_add_test(c, what_is_no_number_is_refused_where_it_counts);
    tcase_add_test(c, a_changed_row_changes_the_fingerprint);
    tcase_add_test(c, shards_may_be_larger_than_memory);
    tcase_add_test(c, unequal_rows_in_one_shard_are_refused);
    tcase_add_test(c, shards_of_other_widths_are_refused);
    tcase_add_test(c, a_mask_of_another_length_is_refused);
    tcase_add_loop_test(c, names_that_nothing_has_are_refused, 0,
                        (int)(sizeof wrongs / sizeof wrongs[0]));
    tcase_add_test(c, labels_are_flags);
    tcase_add_test(c, a_cut_shard_is_refused);
    tcase_add_test(c, the_model_in_its_place_has_its_sites_and_reads_no_rows);
    suite_add_tcase(s, c);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? 0 : 1;
}
