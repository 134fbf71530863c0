/* The host's batches. */
#include "pipeline/batch.h"
#include "support.h"

static il_batch *batch;

static void open_batch(void)
{
    il_error err = {0};

    ck_assert_int_eq(il_batch_create(&batch, &err), IL_OK);
    il_batch_reset(batch, 3);
}

static void close_batch(void)
{
    il_batch_destroy(batch);
}

START_TEST(a_field_is_zeros_under_its_name)
{
    il_error err = {0};
    int32_t *tokens = il_batch_add(batch, "tokens", IL_I32, IL_SHAPE(3, 5));
    int64_t *units = il_batch_add(batch, "unit", IL_I64, IL_SHAPE(3));
    const il_tensor *t = il_batch_find(batch, "tokens");

    ck_assert_ptr_nonnull(tokens);
    ck_assert_ptr_nonnull(units);
    ck_assert_ptr_eq(t->data, tokens);
    ck_assert_uint_eq((uintptr_t)tokens % 64, 0);
    ck_assert_int_eq(t->ndim, 2);
    ck_assert_int_eq(il_count(t), 15);
    ck_assert_int_eq(t->dtype.code, IL_CODE_INT);
    ck_assert_int_eq(t->dtype.bits, 32);
    ck_assert_int_eq(il_batch_find(batch, "unit")->dtype.bits, 64);
    for (int i = 0; i < 15; i++) {
        ck_assert_int_eq(tokens[i], 0);
    }
    ck_assert_ptr_null(il_batch_find(batch, "token"));
    ck_assert_int_eq(il_batch_rows(batch), 3);
    ck_assert_int_eq(il_batch_status(batch, &err), IL_OK);
}
END_TEST

START_TEST(a_reset_batch_is_empty_and_clean)
{
    il_error err = {0};
    uint8_t *before = il_batch_add(batch, "mask", IL_U8, IL_SHAPE(3, 2));
    uint8_t *after;

    memset(before, 0xff, 6);
    (void)il_batch_add(batch, "mask", IL_U8, IL_SHAPE(3, 2));
    ck_assert_int_eq(il_batch_status(batch, &err), IL_ERR_INPUT);
    il_batch_reset(batch, 2);
    err = (il_error){0};
    ck_assert_int_eq(il_batch_status(batch, &err), IL_OK);
    ck_assert_ptr_null(il_batch_find(batch, "mask"));
    after = il_batch_add(batch, "mask", IL_U8, IL_SHAPE(2, 3));
    for (int i = 0; i < 6; i++) {
        ck_assert_int_eq(after[i], 0);
    }
}
END_TEST

START_TEST(the_first_failure_is_remembered)
{
    il_error err = {0};

    ck_assert_ptr_null(il_batch_add(batch, "x", IL_F32, IL_SHAPE(4, 5)));
    ck_assert_ptr_null(il_batch_add(batch, "", IL_F32, IL_SHAPE(3)));
    (batch->api->fail)(batch, IL_ERR_IO, "later");
    ck_assert_int_eq(il_batch_status(batch, &err), IL_ERR_SHAPE);
    ck_assert_str_eq(err.message, "field 'x': expected 3 rows, got 4");
}
END_TEST

START_TEST(what_cannot_be_a_field_is_refused)
{
    static const int64_t shape[IL_DIMS_MAX + 1] = {3, 1, 1, 1, 1, 1, 1};

    ck_assert_ptr_null(il_batch_add(batch, NULL, IL_F32, IL_SHAPE(3)));
    ck_assert_ptr_null(il_batch_add(batch, "a", (il_type)9, IL_SHAPE(3)));
    ck_assert_ptr_null(il_batch_add(batch, "a", IL_F32, 0, shape));
    ck_assert_ptr_null(il_batch_add(batch, "a", IL_F32, IL_DIMS_MAX + 1, shape));
    ck_assert_ptr_null(il_batch_add(batch, "a", IL_F32, IL_SHAPE(3, -1)));
    ck_assert_ptr_null(il_batch_add(batch, "a", IL_F32, IL_SHAPE(3, INT64_MAX)));
    ck_assert_ptr_null(il_batch_find(batch, "a"));
    ck_assert_ptr_nonnull(il_batch_add(batch, "a", IL_F32, IL_SHAPE(3, 0)));
}
END_TEST

START_TEST(a_dataset_may_give_its_own_failure)
{
    il_error err = {0};

    (batch->api->fail)(batch, IL_ERR_IO, "the file is gone");
    ck_assert_int_eq(il_batch_status(batch, &err), IL_ERR_IO);
    ck_assert_str_eq(err.message, "the file is gone");
}
END_TEST

START_TEST(a_copy_has_every_bit_and_is_no_view)
{
    il_error err = {0};
    il_batch *copy = NULL;
    float *obs = il_batch_add(batch, "obs", IL_F32, IL_SHAPE(3, 2));
    int64_t *units = il_batch_add(batch, "unit", IL_I64, IL_SHAPE(3));

    (void)il_batch_add(batch, "none", IL_U8, IL_SHAPE(3, 0));
    obs[5] = 0.5f;
    units[2] = 7;
    ck_assert_int_eq(il_batch_create(&copy, &err), IL_OK);
    il_batch_reset(copy, 1);
    (void)il_batch_add(copy, "old", IL_U8, IL_SHAPE(1));
    ck_assert_int_eq(il_batch_copy(copy, batch, &err), IL_OK);
    ck_assert_ptr_null(il_batch_find(copy, "old"));
    ck_assert_int_eq(il_batch_rows(copy), 3);
    ck_assert_float_eq(il_f32(il_batch_find(copy, "obs"))[5], 0.5f);
    ck_assert_int_eq(il_i64(il_batch_find(copy, "unit"))[2], 7);
    ck_assert_ptr_null(il_batch_difference(batch, copy));
    units[2] = 8;
    ck_assert_str_eq(il_batch_difference(batch, copy), "unit");
    il_batch_destroy(copy);
}
END_TEST

START_TEST(a_field_that_one_of_two_batches_lacks_is_a_difference)
{
    il_error err = {0};
    il_batch *other = NULL;

    (void)il_batch_add(batch, "obs", IL_F32, IL_SHAPE(3, 2));
    ck_assert_int_eq(il_batch_create(&other, &err), IL_OK);
    il_batch_reset(other, 3);
    ck_assert_str_eq(il_batch_difference(batch, other), "obs");
    ck_assert_str_eq(il_batch_difference(other, batch), "obs");
    /* as many bytes in another shape are no equal field */
    (void)il_batch_add(other, "obs", IL_F32, IL_SHAPE(3, 2, 1));
    ck_assert_str_eq(il_batch_difference(other, batch), "obs");
    il_batch_destroy(other);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("batch");

    tcase_add_checked_fixture(tc, open_batch, close_batch);
    tcase_add_test(tc, a_field_is_zeros_under_its_name);
    tcase_add_test(tc, a_reset_batch_is_empty_and_clean);
    tcase_add_test(tc, a_copy_has_every_bit_and_is_no_view);
    tcase_add_test(tc, a_field_that_one_of_two_batches_lacks_is_a_difference);
    tcase_add_test(tc, the_first_failure_is_remembered);
    tcase_add_test(tc, what_cannot_be_a_field_is_refused);
    tcase_add_test(tc, a_dataset_may_give_its_own_failure);
    return run_case(tc);
}
