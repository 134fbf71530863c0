#include "exchange/direction.h"
#include "formats/gguf.h"
#include "formats/npz.h"
#include "formats/safetensors.h"
#include <check.h>
#include "support.h"

static const il_dtype f32 = {IL_CODE_FLOAT, 32, 1};

static void read_probe(il_directions *d, const char *path, const char *word)
{
    il_text said = {0};
    il_error err = {0};

    memset(d, 0, sizeof *d);
    ck_assert_msg(il_direction_read_probe(d, path, &said, &err) == IL_OK, "%s: %s",
                  err.where, err.message);
    ck_assert_uint_eq(d->count, 1);
    ck_assert_msg(strstr(said.data, word) != NULL, "'%s' lacks '%s'", said.data, word);
    il_text_free(&said);
}

/* Its logits of rows are those. */
static void agrees(const il_direction *d, const float *x, const float *want,
                   int64_t rows)
{
    float *got = malloc((size_t)rows * sizeof *got);

    for (int64_t n = 0; n < rows; n++) {
        double sum = d->bias;

        for (int64_t c = 0; c < d->width; c++) {
            sum += (double)d->weight[c] * x[n * d->width + c];
        }
        got[n] = (float)sum;
    }
    near("logits", got, want, rows, 1e-5);
    free(got);
}

START_TEST(a_scaled_probe_of_scikit_learn_scores_as_it_does)
{
    il_directions d;

    read_probe(&d, fixture("probe_scaled.npz"), "the scaler (mean, scale) is folded");
    ck_assert_int_eq(d.row_count, 12);
    ck_assert_int_eq(d.items[0].width, 8);
    agrees(&d.items[0], d.rows, d.logits, d.row_count);
    il_directions_clear(&d);
}
END_TEST

START_TEST(probes_of_pytorch_score_as_they_do)
{
    int64_t rows = 0;
    float *x = numbers(fixture("probe.safetensors"), "x", &rows);
    float *one = numbers(fixture("probe.safetensors"), "one", NULL);
    float *two = numbers(fixture("probe.safetensors"), "two", NULL);
    il_directions d;

    read_probe(&d, fixture("probe_torch.safetensors"), "'probe.0.weight', 8 channels");
    agrees(&d.items[0], x, one, rows);
    ck_assert_ptr_null(d.rows);
    il_directions_clear(&d);
    read_probe(&d, fixture("probe_two.safetensors"), "two logits, whose difference");
    agrees(&d.items[0], x, two, rows);
    il_directions_clear(&d);
    free(x);
    free(one);
    free(two);
}
END_TEST

static const float ones[12] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

static void probe_refused(const il_npz_source *arrays, size_t count, const char *word)
{
    il_directions d = {.count = 0};
    il_text said = {0};
    il_error err = {0};

    ck_assert_int_eq(il_npz_write(in_folder("probe.npz"), arrays, count, NULL), IL_OK);
    ck_assert_int_eq(il_direction_read_probe(&d, in_folder("probe.npz"), &said, &err),
                     IL_ERR_INPUT);
    ck_assert_msg(strstr(err.message, word) != NULL, "'%s' lacks '%s'", err.message,
                  word);
    ck_assert_ptr_null(d.items);
    il_text_free(&said);
}

START_TEST(probes_that_do_not_fit_are_refused)
{
    static const float nan[4] = {1, NAN, 1, 1};
    static const int32_t wholes[4] = {1, 2, 3, 4};
    il_npz_source coef = {"coef", {f32, 2, {1, 4}, ones, 16}};
    il_npz_source p[4] = {coef};

    p[0] = (il_npz_source){"other", {f32, 1, {4}, ones, 16}};
    probe_refused(p, 1, "expected a probe: coef and intercept");
    p[0] = (il_npz_source){"coef", {f32, 2, {3, 4}, ones, 48}};
    probe_refused(p, 1, "(2, W) of two classes, got (3, 4): save the row of one class");
    p[0] = (il_npz_source){"coef", {f32, 2, {1, 4}, nan, 16}};
    probe_refused(p, 1, "'coef': element [0, 1]: expected a finite number, got nan");
    p[0] = (il_npz_source){"coef", {{IL_CODE_INT, 32, 1}, 2, {1, 4}, wholes, 16}};
    probe_refused(p, 1, "got int32");
    p[0] = coef;
    p[1] = (il_npz_source){"intercept", {f32, 1, {2}, ones, 8}};
    probe_refused(p, 2, "'intercept': expected 1 value, got shape (2,)");
    p[1] = (il_npz_source){"scale", {f32, 1, {3}, ones, 12}};
    probe_refused(p, 2, "'scale': expected shape (4,), got (3,)");
    p[1] = (il_npz_source){"scale", {f32, 1, {4}, (const float[4]){1, 0, 1, 1}, 16}};
    probe_refused(p, 2, "'scale': element [1]: expected a number above 0, got 0");
    p[1] = (il_npz_source){"activations", {f32, 2, {2, 3}, ones, 24}};
    p[2] = (il_npz_source){"scores", {f32, 1, {2}, ones, 8}};
    probe_refused(p, 3, "'activations': expected shape (2, 4), got (2, 3)");
    p[0] = (il_npz_source){"0.weight", {f32, 2, {1, 4}, ones, 16}};
    p[1] = (il_npz_source){"2.weight", {f32, 2, {1, 4}, ones, 16}};
    probe_refused(p, 2, "expected one layer, got '0.weight' and '2.weight'");
}
END_TEST

START_TEST(a_probe_is_written_and_read_back)
{
    float weight[3] = {1, 2, -3};
    const il_direction d = {4, 3, weight, 0.5f};
    il_directions back;

    ck_assert_int_eq(il_direction_write_npz(&d, in_folder("p.npz"), NULL), IL_OK);
    ck_assert_int_eq(
        il_direction_write_safetensors(&d, in_folder("p.safetensors"), NULL), IL_OK);
    for (int i = 0; i < 2; i++) {
        read_probe(&back, in_folder(i == 0 ? "p.npz" : "p.safetensors"), "'coef'");
        ck_assert_mem_eq(back.items[0].weight, weight, sizeof weight);
        ck_assert_float_eq(back.items[0].bias, 0.5f);
        il_directions_clear(&back);
    }
}
END_TEST

START_TEST(control_vectors_are_read_layer_by_layer)
{
    il_directions d = {.count = 0};
    il_text said = {0};
    il_error err = {0};

    ck_assert_msg(il_direction_read_gguf(&d, fixture("vectors.gguf"), &said, &err) ==
                      IL_OK,
                  "%s: %s", err.where, err.message);
    ck_assert_ptr_nonnull(strstr(
        said.data, "control vector for llama: 4 layers, 1 to 4, of 64 channels"));
    ck_assert(d.steers);
    ck_assert_str_eq(d.model, "llama");
    for (int64_t i = 0; i < 4; i++) {
        char name[32];
        float *want;

        (void)snprintf(name, sizeof name, "direction.%lld", (long long)i + 1);
        want = numbers(fixture("vectors.safetensors"), name, NULL);
        ck_assert_int_eq(d.items[i].layer, i + 1);
        ck_assert_mem_eq(d.items[i].weight, want, 64 * sizeof *want);
        ck_assert_float_eq(d.items[i].bias, 0);
        free(want);
    }
    il_directions_clear(&d);
    il_text_free(&said);
}
END_TEST

START_TEST(a_control_vector_is_written_and_read_back)
{
    float weight[3] = {1, 2, -3};
    il_direction both[] = {{4, 3, weight, 0.5f}, {2, 3, weight, 0}};
    il_directions back = {.count = 0};
    il_text said = {0};
    il_error err = {0};

    ck_assert_int_eq(il_direction_write_gguf(both, 2, "gpt", in_folder("v.gguf"), &err),
                     IL_OK);
    ck_assert_int_eq(il_direction_read_gguf(&back, in_folder("v.gguf"), &said, &err),
                     IL_OK);
    ck_assert_str_eq(back.model, "gpt");
    ck_assert_uint_eq(back.count, 2);
    ck_assert_int_eq(back.items[0].layer, 2);
    ck_assert_int_eq(back.items[1].layer, 4);
    ck_assert_mem_eq(back.items[1].weight, weight, sizeof weight);
    il_directions_clear(&back);
    il_text_free(&said);
    both[1].layer = 4;
    ck_assert_int_eq(il_direction_write_gguf(both, 2, "gpt", in_folder("w.gguf"), &err),
                     IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.message, "'direction.4' is there twice"));
    both[1].layer = 0;
    ck_assert_int_eq(il_direction_write_gguf(both, 2, "gpt", in_folder("w.gguf"), NULL),
                     IL_ERR_INPUT);
    ck_assert(!il_file_exists(in_folder("w.gguf")));
}
END_TEST

static void vector_refused(const char *kind, const il_gguf_vector *vectors,
                           size_t count, const char *word)
{
    const il_gguf_pair pair = {"general.architecture", kind, 0};
    il_directions d = {.count = 0};
    il_text said = {0};
    il_error err = {0};

    ck_assert_int_eq(il_gguf_write(in_folder("v.gguf"), &pair, 1, vectors, count, NULL),
                     IL_OK);
    ck_assert_int_eq(il_direction_read_gguf(&d, in_folder("v.gguf"), &said, &err),
                     IL_ERR_INPUT);
    ck_assert_msg(strstr(err.message, word) != NULL, "'%s' lacks '%s'", err.message,
                  word);
    ck_assert_ptr_null(d.items);
    il_text_free(&said);
}

START_TEST(files_that_are_no_control_vector_are_refused)
{
    static const float nan[3] = {1, NAN, 1};
    il_gguf_vector v[] = {{"direction.1", 3, ones}, {"direction.2", 4, ones}};

    vector_refused("llama", v, 1, "expected controlvector, got 'llama'");
    vector_refused("controlvector", v, 0, "it holds no direction");
    vector_refused("controlvector", v, 2,
                   "'direction.2': expected one row of 3 channels");
    v[1].name = "direction.x";
    vector_refused("controlvector", v, 2, "direction.N alone, got 'direction.x'");
    v[0].data = nan;
    vector_refused("controlvector", v, 1, "element [1]: expected a finite number");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("direction");
    TCase *t = tcase_create("direction");
    SRunner *sr = srunner_create(s);
    int failed;

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_scaled_probe_of_scikit_learn_scores_as_it_does);
    tcase_add_test(t, probes_of_pytorch_score_as_they_do);
    tcase_add_test(t, probes_that_do_not_fit_are_refused);
    tcase_add_test(t, a_probe_is_written_and_read_back);
    tcase_add_test(t, control_vectors_are_read_layer_by_layer);
    tcase_add_test(t, a_control_vector_is_written_and_read_back);
    tcase_add_test(t, files_that_are_no_control_vector_are_refused);
    suite_add_tcase(s, t);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? 0 : 1;
}
