#include "exchange/weights.h"
#include "formats/npz.h"
#include "formats/safetensors.h"
#include <check.h>
#include "support.h"

/* What a dictionary makes of the stored rows is what its own library makes of them. */
static void agrees(const il_dictionary *d, const char *expected)
{
    int64_t rows = 0;
    float *x = numbers(expected, "x", &rows);
    float *features = numbers(expected, "features", NULL);
    float *output = numbers(expected, "output", NULL);
    float *f = malloc((size_t)(rows * d->features) * sizeof *f);
    float *y = malloc((size_t)(rows * d->width) * sizeof *y);
    il_error err = {0};

    ck_assert_int_eq(il_dictionary_run(d, rows, x, f, y, &err), IL_OK);
    near("features", f, features, rows * d->features, 1e-5);
    near("output", y, output, rows * d->width, 1e-5);
    free(x);
    free(features);
    free(output);
    free(f);
    free(y);
}

START_TEST(a_folder_of_sparsify_encodes_and_decodes_as_it_does)
{
    il_dictionary d = {.k = 0};
    il_text said = {0};
    il_error err = {0};

    ck_assert_msg(
        il_sparsify_read(&d, fixture("sparsify/model.layers.2"), &said, &err) == IL_OK,
        "%s: %s", err.where, err.message);
    ck_assert_ptr_nonnull(strstr(said.data, "topk of k 4, 8 channels, 20 features"));
    ck_assert_str_eq(d.site, "blocks.2.hook_resid_post");
    agrees(&d, fixture("sparsify/model.layers.2/expected.safetensors"));
    il_dictionary_clear(&d);
    il_text_free(&said);
}
END_TEST

/* Reads a folder with that configuration and the fixture's weights. */
static void sparsify_refused(const char *config, const char *word)
{
    il_dictionary d = {.k = 0};
    il_text said = {0};
    il_error err = {0};
    char *bytes = NULL;
    size_t size = 0;

    ck_assert_int_eq(il_file_read(fixture("sparsify/model.layers.2/sae.safetensors"),
                                  1 << 20, &bytes, &size, NULL),
                     IL_OK);
    ck_assert_int_eq(il_file_write(in_folder("sae.safetensors"), bytes, size, NULL),
                     IL_OK);
    free(bytes);
    write_text(in_folder("cfg.json"), config);
    ck_assert_int_eq(il_sparsify_read(&d, folder, &said, &err), IL_ERR_INPUT);
    ck_assert_msg(strstr(err.message, word) != NULL, "'%s' lacks '%s'", err.message,
                  word);
    ck_assert_ptr_null(d.encoder);
    il_text_free(&said);
}

START_TEST(coders_that_are_no_sae_on_one_site_are_refused_by_name)
{
    sparsify_refused(
        "{\"d_in\": 8, \"num_latents\": 20, \"k\": 4, \"transcode\": true}",
        "transcode: no sparse autoencoder on one site");
    sparsify_refused(
        "{\"d_in\": 8, \"num_latents\": 20, \"k\": 4, \"skip_connection\": true}",
        "skip_connection: ");
    sparsify_refused("{\"d_in\": 8, \"num_latents\": 20, \"k\": 4, \"signed\": true}",
                     "signed: ");
    sparsify_refused(
        "{\"d_in\": 8, \"num_latents\": 20, \"k\": 4, \"activation\": \"groupmax\"}",
        "activation: expected topk, got 'groupmax'");
    sparsify_refused("{\"d_in\": 8, \"num_latents\": 20, \"k\": 21}",
                     "k: expected 1 to 20, the latents, got 21");
    sparsify_refused("{\"d_in\": 8, \"num_latents\": 20}",
                     "k: expected a whole number");
    sparsify_refused("{\"d_in\": 8, \"num_latents\": 0, \"k\": 4}",
                     "expansion_factor: expected a whole number");
    sparsify_refused("{\"d_in\": 8, \"expansion_factor\": 3, \"k\": 4}",
                     "'encoder.weight': expected shape (24, 8), got (20, 8)");
    sparsify_refused("{\"d_in\": 20, \"num_latents\": 8, \"k\": 4}",
                     "expected shape (8, 20), got (20, 8): it is transposed");
}
END_TEST

START_TEST(gemma_scopes_parameters_encode_and_decode_as_a_jumping_sae)
{
    il_dictionary d = {.k = 0};
    il_text said = {0};
    il_error err = {0};

    ck_assert_msg(il_gemma_scope_read(&d, fixture("gemma_scope.npz"), &said, &err) ==
                      IL_OK,
                  "%s: %s", err.where, err.message);
    ck_assert(!d.centred);
    agrees(&d, fixture("gemma_scope.safetensors"));
    il_dictionary_clear(&d);
    il_text_free(&said);
}
END_TEST

START_TEST(parameters_written_here_are_the_same_sae_though_it_was_centred)
{
    il_dictionary d = {.k = 0};
    il_dictionary back = {.k = 0};
    il_text said = {0};
    il_error err = {0};
    static const float x[8] = {1, -2, 3, -4, 5, -6, 7, -8};
    float want[20], got[20];

    ck_assert_int_eq(il_gemma_scope_read(&d, fixture("gemma_scope.npz"), &said, &err),
                     IL_OK);
    d.centred = true;
    ck_assert_msg(il_gemma_scope_write(&d, in_folder("params.npz"), &err) == IL_OK,
                  "%s", err.message);
    ck_assert_int_eq(il_gemma_scope_read(&back, in_folder("params.npz"), &said, &err),
                     IL_OK);
    ck_assert(!back.centred);
    ck_assert_int_eq(il_dictionary_run(&d, 1, x, want, NULL, &err), IL_OK);
    ck_assert_int_eq(il_dictionary_run(&back, 1, x, got, NULL, &err), IL_OK);
    near("features", got, want, 20, 1e-5);
    d.scaling = IL_DICTIONARY_LAYER_NORM;
    ck_assert_int_eq(il_gemma_scope_write(&d, in_folder("other.npz"), &err),
                     IL_ERR_INPUT);
    ck_assert(!il_file_exists(in_folder("other.npz")));
    il_dictionary_clear(&d);
    il_dictionary_clear(&back);
    il_text_free(&said);
}
END_TEST

START_TEST(parameters_that_do_not_fit_are_refused)
{
    static const float ones[20] = {1};
    static const il_dtype f32 = {IL_CODE_FLOAT, 32, 1};
    il_npz_source all[] = {{"W_enc", {f32, 2, {2, 3}, ones, 24}},
                           {"W_dec", {f32, 2, {3, 2}, ones, 24}},
                           {"b_enc", {f32, 1, {3}, ones, 12}},
                           {"b_dec", {f32, 1, {2}, ones, 8}},
                           {"threshold", {f32, 1, {3}, ones, 12}},
                           {"affine_skip_connection", {f32, 2, {2, 2}, ones, 16}}};
    il_dictionary d = {.k = 0};
    il_text said = {0};
    il_error err = {0};

    ck_assert_int_eq(il_npz_write(in_folder("params.npz"), all, 4, NULL), IL_OK);
    ck_assert_int_eq(il_gemma_scope_read(&d, in_folder("params.npz"), &said, &err),
                     IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "tensor 'threshold': missing"));
    ck_assert_int_eq(il_npz_write(in_folder("params.npz"), all, 6, NULL), IL_OK);
    memset(&err, 0, sizeof err);
    ck_assert_int_eq(il_gemma_scope_read(&d, in_folder("params.npz"), &said, &err),
                     IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "'affine_skip_connection': no sparse"));
    all[1].array.shape[0] = 2;
    all[1].array.shape[1] = 3;
    ck_assert_int_eq(il_npz_write(in_folder("params.npz"), all, 5, NULL), IL_OK);
    memset(&err, 0, sizeof err);
    ck_assert_int_eq(il_gemma_scope_read(&d, in_folder("params.npz"), &said, &err),
                     IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "'W_dec': expected shape (3, 2), got (2, "
                                              "3): it is transposed"));
    il_text_free(&said);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("weights");
    TCase *t = tcase_create("weights");
    SRunner *sr = srunner_create(s);
    int failed;

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_folder_of_sparsify_encodes_and_decodes_as_it_does);
    tcase_add_test(t, coders_that_are_no_sae_on_one_site_are_refused_by_name);
    tcase_add_test(t, gemma_scopes_parameters_encode_and_decode_as_a_jumping_sae);
    tcase_add_test(t, parameters_written_here_are_the_same_sae_though_it_was_centred);
    tcase_add_test(t, parameters_that_do_not_fit_are_refused);
    suite_add_tcase(s, t);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? 0 : 1;
}
