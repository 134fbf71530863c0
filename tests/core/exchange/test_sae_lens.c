#include "exchange/sae_lens.h"
#include "formats/safetensors.h"
#include <check.h>
#include "support.h"

static const char *const folders[] = {"standard",
                                      "standard_plain",
                                      "standard_layer_norm",
                                      "standard_rescaled",
                                      "gated",
                                      "jumprelu",
                                      "jumprelu_bfloat16",
                                      "topk",
                                      "topk_by_norm",
                                      "batchtopk",
                                      "matryoshka_batchtopk",
                                      "batchtopk_training",
                                      "matryoshka_batchtopk_training",
                                      "standard_5",
                                      "topk_5",
                                      "gated_5",
                                      "jumprelu_5",
                                      "layer_norm_5",
                                      "finetuned_5"};
enum { FOLDERS = sizeof folders / sizeof folders[0] };

static const char *sae(const char *name)
{
    static char path[512];

    (void)snprintf(path, sizeof path, "%s/%s", fixture("sae_lens"), name);
    return path;
}

static void read_folder(il_dictionary *d, const char *path)
{
    il_text said = {0};
    il_error err = {0};

    memset(d, 0, sizeof *d);
    ck_assert_msg(il_sae_lens_read(d, path, &said, &err) == IL_OK, "%s: %s", err.where,
                  err.message);
    ck_assert_ptr_nonnull(strstr(said.data, "SAELens folder"));
    il_text_free(&said);
}

/* What a dictionary makes of the stored rows is what SAELens makes of them. */
static void agrees(const il_dictionary *d, const char *name)
{
    char expected[640];
    int64_t rows = 0;
    float *x, *features, *output, *f, *y;
    il_error err = {0};

    (void)snprintf(expected, sizeof expected, "%s/expected.safetensors", sae(name));
    x = numbers(expected, "x", &rows);
    features = numbers(expected, "features", NULL);
    output = numbers(expected, "output", NULL);
    f = malloc((size_t)(rows * d->features) * sizeof *f);
    y = malloc((size_t)(rows * d->width) * sizeof *y);
    ck_assert_int_eq(il_dictionary_run(d, rows, x, f, y, &err), IL_OK);
    near(name, f, features, rows * d->features, 1e-5);
    near(name, y, output, rows * d->width, 1e-5);
    free(x);
    free(features);
    free(output);
    free(f);
    free(y);
}

START_TEST(folders_made_by_sae_lens_encode_and_decode_as_it_does)
{
    il_dictionary d;

    read_folder(&d, sae(folders[_i]));
    agrees(&d, folders[_i]);
    ck_assert_str_eq(d.site, "blocks.1.hook_resid_post");
    ck_assert_str_eq(d.model, "tiny");
    il_dictionary_clear(&d);
}
END_TEST

START_TEST(a_folder_written_here_is_the_same_sae)
{
    il_dictionary d;
    il_dictionary back;
    il_error err = {0};

    read_folder(&d, sae(folders[_i]));
    ck_assert_msg(il_sae_lens_write(&d, in_folder("out"), &err) == IL_OK, "%s",
                  err.message);
    read_folder(&back, in_folder("out"));
    ck_assert_int_eq(back.form, d.form);
    ck_assert_int_eq(back.scaling, d.scaling);
    ck_assert_int_eq(back.centred, d.centred);
    ck_assert_str_eq(back.site, d.site);
    ck_assert_mem_eq(back.encoder, d.encoder, (size_t)(d.width * d.features) * 4);
    agrees(&back, folders[_i]);
    il_dictionary_clear(&d);
    il_dictionary_clear(&back);
}
END_TEST

START_TEST(a_folder_that_holds_an_sae_is_not_written_over)
{
    il_dictionary d;
    il_error err = {0};

    read_folder(&d, sae("standard"));
    ck_assert_int_eq(il_sae_lens_write(&d, in_folder("out"), &err), IL_OK);
    ck_assert_int_eq(il_sae_lens_write(&d, in_folder("out"), &err), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "is there already"));
    il_dictionary_clear(&d);
}
END_TEST

/* ---- refusals ------------------------------------------------------------------- */

static const char plain[] =
    "{\"architecture\": \"standard\", \"d_in\": 2, \"d_sae\": 3, \"metadata\": "
    "{\"sae_lens_version\": \"6.1.0\"}}";

static const float ones[6] = {1, 1, 1, 1, 1, 1};

static il_safetensor floats(const char *name, int32_t ndim, int64_t rows,
                            int64_t columns)
{
    return (il_safetensor){name, {IL_CODE_FLOAT, 32, 1},
                           ndim, {rows, columns},
                           ones, (size_t)(rows * (ndim == 2 ? columns : 1)) * 4};
}

enum { W_ENC, B_ENC, W_DEC, B_DEC, TENSORS };

static void good(il_safetensor t[TENSORS])
{
    t[W_ENC] = floats("W_enc", 2, 2, 3);
    t[B_ENC] = floats("b_enc", 1, 3, 0);
    t[W_DEC] = floats("W_dec", 2, 3, 2);
    t[B_DEC] = floats("b_dec", 1, 2, 0);
}

/* Reads a folder of this configuration and these tensors; the error's message. */
static il_status try(const char *config, const il_safetensor *tensors, size_t count,
                     il_error *err)
{
    il_dictionary d = {.k = 0};
    il_text said = {0};
    il_status status;

    write_text(in_folder("cfg.json"), config);
    ck_assert_int_eq(il_safetensors_write(in_folder("sae_weights.safetensors"), tensors,
                                          count, NULL, 0, NULL),
                     IL_OK);
    memset(err, 0, sizeof *err);
    status = il_sae_lens_read(&d, folder, &said, err);
    if (status != IL_OK) {
        ck_assert_ptr_null(d.encoder);
        ck_assert_int_eq(d.width, 0);
    }
    il_dictionary_clear(&d);
    il_text_free(&said);
    return status;
}

static void refused(const char *config, const il_safetensor *tensors, size_t count,
                    const char *where, const char *word)
{
    il_error err;

    ck_assert_int_eq(try(config, tensors, count, &err), IL_ERR_INPUT);
    ck_assert_msg(strstr(err.message, word) != NULL, "'%s' lacks '%s'", err.message,
                  word);
    ck_assert_msg(strstr(err.where, where) != NULL, "'%s' lacks '%s'", err.where,
                  where);
}

START_TEST(tensors_that_do_not_fit_are_refused_with_what_was_expected)
{
    static const float wild[6] = {1, 1, 1, 1, NAN, 1};
    static const int32_t wholes[3] = {1, 2, 3};
    const char *where = "sae_weights.safetensors";
    il_safetensor t[TENSORS];
    il_error err;

    good(t);
    ck_assert_int_eq(try(plain, t, TENSORS, &err), IL_OK);
    refused(plain, t, B_DEC, where, "tensor 'b_dec': missing: the file has ");
    t[W_ENC] = floats("W_enc", 2, 3, 2);
    refused(plain, t, TENSORS, where,
            "tensor 'W_enc': expected shape (2, 3), got (3, 2): it is transposed");
    good(t);
    t[W_DEC] = floats("W_dec", 2, 2, 2);
    refused(plain, t, TENSORS, where,
            "tensor 'W_dec': expected shape (3, 2), got (2, 2)");
    good(t);
    t[B_ENC].data = wholes;
    t[B_ENC].dtype = (il_dtype){IL_CODE_INT, 32, 1};
    refused(plain, t, TENSORS, where, "'b_enc': expected float32 or another type");
    good(t);
    t[W_ENC].data = wild;
    refused(plain, t, TENSORS, where,
            "'W_enc': element [1, 1]: expected a finite number, got nan");
}
END_TEST

START_TEST(a_huge_header_is_refused)
{
    const uint64_t length = UINT64_MAX / 2;
    il_dictionary d = {.k = 0};
    il_text said = {0};
    il_error err = {0};

    write_text(in_folder("cfg.json"), plain);
    ck_assert_int_eq(il_file_write(in_folder("sae_weights.safetensors"), &length,
                                   sizeof length, NULL),
                     IL_OK);
    ck_assert_int_eq(il_sae_lens_read(&d, folder, &said, &err), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "header length: expected at most"));
    il_text_free(&said);
}
END_TEST

START_TEST(architectures_that_are_no_sae_on_one_site_are_refused_by_name)
{
    static const char *const names[] = {"transcoder",
                                        "skip_transcoder",
                                        "jumprelu_transcoder",
                                        "jumprelu_skip_transcoder",
                                        "abstopk",
                                        "temporal",
                                        "matching_pursuit"};
    il_safetensor t[TENSORS];

    good(t);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char config[256];
        char word[128];

        (void)snprintf(config, sizeof config,
                       "{\"architecture\": \"%s\", \"d_in\": 2, \"d_sae\": 3, "
                       "\"sae_lens_version\": \"6.0.0\"}",
                       names[i]);
        (void)snprintf(word, sizeof word, "'%s' is no sparse autoencoder on one site",
                       names[i]);
        refused(config, t, TENSORS, "cfg.json", word);
    }
    refused("{\"architecture\": \"jumpreluu\", \"d_in\": 2, \"d_sae\": 3}", t, TENSORS,
            "cfg.json", "got 'jumpreluu'; did you mean 'jumprelu'?");
}
END_TEST

START_TEST(configurations_that_make_no_sense_are_refused_by_key)
{
    static const struct {
        const char *config, *word;
    } wrong[] = {
        {"", "line "},
        {"[]", "expected a JSON object"},
        {"{\"d_in\": 2, \"d_in\": 2}", "duplicate"},
        {"{\"d_sae\": 3}", "d_in: expected a whole number from 1 on, got nothing"},
        {"{\"d_in\": 2, \"d_sae\": \"3\"}", "d_sae: expected a whole number"},
        {"{\"d_in\": 0, \"d_sae\": 3}",
         "d_in: expected a whole number from 1 on, got 0"},
        {"{\"d_in\": 99999999999, \"d_sae\": 3}", "d_in: expected a whole number"},
        {"{\"architecture\": 3, \"d_in\": 2, \"d_sae\": 3}",
         "architecture: expected text, got 3"},
        {"{\"sae_lens_version\": \"6.0.0\", \"d_in\": 2, \"d_sae\": 3}",
         "architecture: missing"},
        {"{\"d_in\": 2, \"d_sae\": 3, \"normalize_activations\": \"whiten\"}",
         "normalize_activations: expected none"},
        {"{\"d_in\": 2, \"d_sae\": 3, \"normalize_activations\": "
         "\"covariance_whitening\"}",
         "the whitening has not been folded"},
        {"{\"d_in\": 2, \"d_sae\": 3, \"activation_fn_str\": \"tanh-relu\"}",
         "activation_fn_str: expected relu, or topk"},
        {"{\"d_in\": 2, \"d_sae\": 3, \"activation_fn_str\": \"topk\", "
         "\"activation_fn_kwargs\": {\"k\": 4}}",
         "k: expected 1 to 3, the features, got 4"},
        {"{\"d_in\": 2, \"d_sae\": 3, \"activation_fn_str\": \"topk\", "
         "\"activation_fn_kwargs\": {\"k\": 2, \"signed\": true}}",
         "signed"},
        {"{\"architecture\": \"topk\", \"sae_lens_version\": \"6.0.0\", \"d_in\": 2, "
         "\"d_sae\": 3}",
         "k: expected a whole number from 1 on, got nothing"},
        {"{\"d_in\": 2, \"d_sae\": 3, \"apply_b_dec_to_input\": 1}",
         "apply_b_dec_to_input: expected true or false, got 1"},
    };
    il_safetensor t[TENSORS];

    good(t);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        refused(wrong[i].config, t, TENSORS, "cfg.json", wrong[i].word);
    }
}
END_TEST

START_TEST(a_folder_without_its_files_is_refused)
{
    il_dictionary d = {.k = 0};
    il_text said = {0};
    il_error err = {0};

    ck_assert_int_eq(il_sae_lens_read(&d, folder, &said, &err), IL_ERR_IO);
    ck_assert_ptr_nonnull(strstr(err.where, "cfg.json"));
    write_text(in_folder("cfg.json"), plain);
    memset(&err, 0, sizeof err);
    ck_assert_int_eq(il_sae_lens_read(&d, folder, &said, &err), IL_ERR_IO);
    ck_assert_ptr_nonnull(strstr(err.where, "sae_weights.safetensors"));
    il_text_free(&said);
}
END_TEST

START_TEST(a_factor_of_the_activations_is_folded_in)
{
    static const char config[] =
        "{\"d_in\": 2, \"d_sae\": 3, \"normalize_activations\": "
        "\"expected_average_only_in\", \"apply_b_dec_to_input\": false}";
    static const float row[2] = {1, 2};
    il_safetensor t[TENSORS];
    il_dictionary d = {.k = 0};
    il_text said = {0};
    il_error err = {0};
    float features[3];
    float output[2];

    good(t);
    write_text(in_folder("activation_scaler.json"), "{\"scaling_factor\": 2.0}");
    ck_assert_int_eq(try(config, t, TENSORS, &err), IL_OK);
    ck_assert_int_eq(il_sae_lens_read(&d, folder, &said, &err), IL_OK);
    ck_assert_ptr_nonnull(strstr(said.data, "factor 2 is folded"));
    ck_assert_int_eq(il_dictionary_run(&d, 1, row, features, output, &err), IL_OK);
    /* 2 x is (2, 4): 2 + 4 + 1 in each feature, 3 * 7 + 1 back, halved */
    ck_assert_float_eq(features[0], 7);
    ck_assert_float_eq(output[0], 11);
    il_dictionary_clear(&d);
    il_text_free(&said);
    write_text(in_folder("activation_scaler.json"), "{\"scaling_factor\": -2.0}");
    ck_assert_int_eq(try(config, t, TENSORS, &err), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "scaling_factor"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sae_lens");
    TCase *t = tcase_create("sae_lens");
    SRunner *sr = srunner_create(s);
    int failed;

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, folders_made_by_sae_lens_encode_and_decode_as_it_does, 0,
                        FOLDERS);
    tcase_add_loop_test(t, a_folder_written_here_is_the_same_sae, 0, FOLDERS);
    tcase_add_test(t, a_folder_that_holds_an_sae_is_not_written_over);
    tcase_add_test(t, tensors_that_do_not_fit_are_refused_with_what_was_expected);
    tcase_add_test(t, a_huge_header_is_refused);
    tcase_add_test(t, architectures_that_are_no_sae_on_one_site_are_refused_by_name);
    tcase_add_test(t, configurations_that_make_no_sense_are_refused_by_key);
    tcase_add_test(t, a_folder_without_its_files_is_refused);
    tcase_add_test(t, a_factor_of_the_activations_is_folded_in);
    suite_add_tcase(s, t);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? 0 : 1;
}
