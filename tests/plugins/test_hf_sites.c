/* What is read at a folder's sites, against what the sites before them say: sums of the
 * residual stream, attention and hidden layers made anew from their own numbers. And an
 * edit at each of them reaches the logits. */
#include "plugins/hf_copy.h"
#include "plugins/hf_model.h"
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A site of a block, or of none at -1; NULL where the model has no such site. */
static const float *site(int64_t block, const char *name, int64_t *width)
{
    char full[96];
    int64_t at;
    il_tensor *x;

    if (block >= 0) {
        (void)snprintf(full, sizeof full, "blocks.%lld.%s", (long long)block, name);
    } else {
        (void)snprintf(full, sizeof full, "%s", name);
    }
    at = il_instance_site(model, full);
    if (at < 0) {
        return NULL;
    }
    x = il_pass_site(pass, (int32_t)at);
    ck_assert_msg(x != NULL, "nobody was at %s", full);
    if (width != NULL) {
        *width = model->sites[at].width;
    }
    return il_f32(x);
}

/* a + b as floats add, or a where there is no b. */
static void is_sum(const char *what, const float *sum, const float *a, const float *b,
                   int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const float want = b != NULL ? a[i] + b[i] : a[i];

        ck_assert_msg(memcmp(&sum[i], &want, sizeof want) == 0, "%s: number %lld", what,
                      (long long)i);
    }
}

/* Softmax of scaled products over what came before, within `window` where there is one;
 * then the mean of values under it. */
static void is_attention(int64_t block, int64_t window)
{
    int64_t queries;
    int64_t keys;
    const bool turned = site(block, "attn.hook_rot_q", NULL) != NULL;
    const float *q = site(block, turned ? "attn.hook_rot_q" : "attn.hook_q", &queries);
    const float *k = site(block, turned ? "attn.hook_rot_k" : "attn.hook_k", &keys);
    const float *v = site(block, "attn.hook_v", NULL);
    const float *z = site(block, "attn.hook_z", NULL);
    const float *pattern = site(block, "attn.hook_pattern", NULL);
    char full[96];
    int64_t heads;
    int64_t d;
    int64_t share;

    (void)snprintf(full, sizeof full, "blocks.%lld.attn.hook_pattern",
                   (long long)block);
    heads = model->sites[il_instance_site(model, full)].heads;
    d = queries / heads;
    share = heads / (keys / d); /* heads to a group */
    for (int64_t b = 0; b < BATCH; b++) {
        for (int64_t h = 0; h < heads; h++) {
            for (int64_t t = 0; t < T; t++) {
                const float *row = pattern + ((b * heads + h) * T + t) * T;
                double p[T] = {0};
                double sum = 0.0;

                for (int64_t s = 0; s <= t; s++) {
                    double dot = 0.0;

                    if (window > 0 && s <= t - window) {
                        continue;
                    }
                    for (int64_t i = 0; i < d; i++) {
                        dot += (double)q[(b * T + t) * queries + h * d + i] *
                               (double)k[(b * T + s) * keys + h / share * d + i];
                    }
                    p[s] = exp(dot / sqrt((double)d));
                    sum += p[s];
                }
                for (int64_t s = 0; s < T; s++) {
                    ck_assert_double_eq_tol(row[s], p[s] / sum, 1e-5);
                }
                for (int64_t i = 0; i < d; i++) {
                    double mean = 0.0;

                    for (int64_t s = 0; s <= t; s++) {
                        mean += p[s] / sum *
                                (double)v[(b * T + s) * keys + h / share * d + i];
                    }
                    ck_assert_double_eq_tol(z[(b * T + t) * queries + h * d + i], mean,
                                            1e-4);
                }
            }
        }
    }
}

static double act_of(const char *name, double x)
{
    const double tau = 6.28318530717958647692;

    if (strcmp(name, "gpt2") == 0 || strcmp(name, "neox_serial") == 0) {
        return 0.5 * x * (1.0 + tanh(sqrt(4.0 / tau) * (x + 0.044715 * x * x * x)));
    }
    return strcmp(name, "neox") == 0 || strcmp(name, "gpt2_untied") == 0
               ? 0.5 * x * (1.0 + erf(x / sqrt(2.0)))
               : x / (1.0 + exp(-x));
}

START_TEST(sites_hold_what_their_names_say)
{
    const char *name = cases[_i];
    il_safetensors *file = open_expected(name);
    int64_t width;
    const float *stream;
    const bool gpt2 = strncmp(name, "gpt2", 4) == 0;

    open_model(name, "");
    for (size_t i = 0; i < model->site_count; i++) {
        ck_assert_int_eq(il_pass_site_flag(pass, (int32_t)i, IL_SITE_READ, &err),
                         IL_OK);
    }
    forward(file);
    stream = site(-1, "hook_embed", &width);
    is_sum("the first block's stream", site(0, "hook_resid_pre", NULL), stream,
           site(-1, "hook_pos_embed", NULL), BATCH * T * width);
    for (int64_t n = 0; site(n, "hook_resid_pre", NULL) != NULL; n++) {
        const float *mid = site(n, "hook_resid_mid", NULL);
        const float *post = site(n, "mlp.hook_post", NULL);
        const float *linear = site(n, "mlp.hook_pre_linear", NULL);
        float *sum = malloc(sizeof(float) * (size_t)(BATCH * T * width));
        int64_t hidden;
        const float *pre = site(n, "mlp.hook_pre", &hidden);

        for (int64_t i = 0; i < BATCH * T * width; i++) {
            sum[i] =
                site(n, "hook_resid_pre", NULL)[i] + site(n, "hook_attn_out", NULL)[i];
        }
        ck_assert((mid == NULL) == (strcmp(name, "neox") == 0));
        if (mid != NULL) {
            is_sum("between", mid, sum, NULL, BATCH * T * width);
        }
        is_sum("behind", site(n, "hook_resid_post", NULL), sum,
               site(n, "hook_mlp_out", NULL), BATCH * T * width);
        if (site(n + 1, "hook_resid_pre", NULL) != NULL) {
            is_sum("before the next", site(n + 1, "hook_resid_pre", NULL),
                   site(n, "hook_resid_post", NULL), NULL, BATCH * T * width);
        }
        ck_assert((linear != NULL) == (!gpt2 && strncmp(name, "neox", 4) != 0));
        for (int64_t i = 0; i < BATCH * T * hidden; i++) {
            ck_assert_double_eq_tol(
                post[i], act_of(name, pre[i]) * (linear != NULL ? linear[i] : 1.0),
                1e-4);
        }
        is_attention(n, strcmp(name, "mistral") == 0           ? 5
                        : strcmp(name, "qwen2") == 0 && n == 1 ? 4
                                                               : 0);
        free(sum);
    }
    il_safetensors_close(file);
}
END_TEST

/* Llama 3's positions: wavelengths up to a quarter of the old context stay, those
 * beyond all of it are eight times as long, and between the two goes a ramp. */
static double llama3_rate(int64_t pair, int64_t pairs, double old)
{
    const double rate = pow(500.0, -(double)pair / (double)pairs);
    const double turns = old * rate / 6.28318530717958647692; /* in the old context */

    if (turns > 4.0) {
        return rate;
    }
    return turns < 1.0 ? rate / 8.0
                       : rate * ((turns - 1.0) / 3.0 + (4.0 - turns) / 3.0 / 8.0);
}

START_TEST(positions_turn_queries_as_far_as_llama_3_says)
{
    static const char *const olds[] = {"16", "48", "4096"};
    char with[64];
    il_safetensors *file = open_expected("llama3");
    int64_t queries;
    int64_t d;
    const float *q;
    const float *turned;
    int64_t at;

    copy_case("llama3");
    (void)snprintf(with, sizeof with, "\"original_max_position_embeddings\": %s",
                   olds[_i]);
    change("config.json", "\"original_max_position_embeddings\": 16", with);
    open_folder(copy, "");
    for (size_t i = 0; i < model->site_count; i++) {
        ck_assert_int_eq(il_pass_site_flag(pass, (int32_t)i, IL_SITE_READ, &err),
                         IL_OK);
    }
    forward(file);
    q = site(1, "attn.hook_q", &queries);
    turned = site(1, "attn.hook_rot_q", NULL);
    at = il_instance_site(model, "blocks.1.attn.hook_pattern");
    d = queries / model->sites[at].heads;
    for (int64_t row = 0; row < BATCH * T; row++) {
        for (int64_t i = 0; i < queries; i++) {
            const int64_t in = i % d;
            const int64_t pair = in % (d / 2);
            const double angle =
                (double)(row % T) * llama3_rate(pair, d / 2, atof(olds[_i]));
            const double other = in < d / 2 ? -q[row * queries + i + d / 2]
                                            : q[row * queries + i - d / 2];

            ck_assert_double_eq_tol(
                turned[row * queries + i],
                q[row * queries + i] * cos(angle) + other * sin(angle), 1e-4);
        }
    }
    il_safetensors_close(file);
    ck_assert_int_eq(il_folder_remove(copy, &err), IL_OK);
}
END_TEST

static il_tensor *half(const void *user, il_pass *p, il_tensor *x, const il_edit_at *at)
{
    (void)user;
    (void)at;
    return il_affine(p, x, 0.5f, 0.25f);
}

START_TEST(an_edit_at_any_site_reaches_the_logits)
{
    const char *name = cases[_i];
    const size_t bytes = sizeof(float[BATCH * T * VOCABULARY]);
    il_safetensors *file = open_expected(name);
    float *plain = malloc(bytes);
    il_site_edit edit = {.tokens = "all", .marker = -1, .apply = half};
    const il_edit_at at = {.strength = 1.0f};

    open_model(name, "");
    forward(file);
    memcpy(plain, il_f32(il_pass_output(pass, "logits")), bytes);
    for (size_t i = 0; i < model->site_count; i++) {
        if (model->sites[i].heads > 0) {
            continue; /* patterns are read alone */
        }
        edit.site = (int32_t)i;
        il_pass_sites_clear(pass);
        ck_assert_int_eq(il_pass_edit(pass, &edit, &at, &err), IL_OK);
        forward(file);
        ck_assert_msg(apart(plain, il_f32(il_pass_output(pass, "logits")),
                            BATCH * T * VOCABULARY) >
                          1e-6 * largest(plain, BATCH * T * VOCABULARY),
                      "%s: an edit at %s changes nothing", name, model->sites[i].name);
    }
    free(plain);
    il_safetensors_close(file);
}
END_TEST

/* Turning keeps lengths, and YaRN makes them longer by its factor. */
START_TEST(yarn_turns_and_grows_queries_as_its_settings_say)
{
    static const struct {
        const char *more;
        double growth;
        bool turns_alike; /* as the stored case does */
    } settings[] = {
        {"", 1.13862943611, true}, /* 0.1 ln 4 + 1 */
        {", \"attention_factor\": 0.5", 0.5, true},
        {", \"mscale\": 2.0, \"mscale_all_dim\": 1.0", 1.27725887222 / 1.13862943611,
         true},
        {", \"beta_fast\": 0.1, \"beta_slow\": 0.01", 1.13862943611, false}};
    il_safetensors *file = open_expected("llama_yarn");
    float *before = NULL;
    char with[128];

    for (size_t k = 0; k < sizeof settings / sizeof settings[0]; k++) {
        int64_t queries;
        int64_t d;
        const float *q;
        const float *turned;
        double worst = 0.0;

        copy_case("llama_yarn");
        (void)snprintf(with, sizeof with, "\"factor\": 4.0%s", settings[k].more);
        change("config.json", "\"factor\": 4.0", with);
        open_folder(copy, "");
        for (size_t i = 0; i < model->site_count; i++) {
            ck_assert_int_eq(il_pass_site_flag(pass, (int32_t)i, IL_SITE_READ, &err),
                             IL_OK);
        }
        forward(file);
        q = site(0, "attn.hook_q", &queries);
        turned = site(0, "attn.hook_rot_q", NULL);
        d = queries /
            model->sites[il_instance_site(model, "blocks.0.attn.hook_pattern")].heads;
        before = before != NULL ? before
                                : malloc(sizeof(float) * (size_t)(BATCH * T * queries));
        for (int64_t i = 0; i < BATCH * T * queries; i++) {
            if (i % d < d / 2) {
                ck_assert_double_eq_tol(hypot(turned[i], turned[i + d / 2]),
                                        settings[k].growth * hypot(q[i], q[i + d / 2]),
                                        1e-4);
            }
            if (k == 0) {
                before[i] = turned[i];
            }
            worst = fmax(worst, fabs(turned[i] / settings[k].growth -
                                     before[i] / settings[0].growth));
        }
        ck_assert_msg((worst < 1e-4) == settings[k].turns_alike, "%s: %g apart",
                      settings[k].more, worst);
        model_close();
        hf_open();
        ck_assert_int_eq(il_folder_remove(copy, &err), IL_OK);
    }
    free(before);
    il_safetensors_close(file);
}
END_TEST

START_TEST(more_tokens_than_the_context_are_an_error)
{
    il_scope own = {.label = "model", .first_bit = -1};
    il_batch *b = NULL;

    open_model(cases[_i], ", context: 7");
    own.store = model->store;
    own.values = (const float *const *)values;
    for (int64_t length = 7; length <= 8; length++) {
        ck_assert_int_eq(il_batch_create(&b, &err), IL_OK);
        il_batch_reset(b, 1);
        memset(il_batch_add(b, "tokens", IL_I32, IL_SHAPE(1, length)), 0,
               (size_t)length * sizeof(int32_t));
        il_pass_begin(pass);
        il_pass_enter(pass, &own);
        il_instance_model(model)->forward(model->self, pass, b);
        il_pass_leave(pass);
        err = (il_error){0};
        ck_assert_int_eq(il_pass_status(pass, &err),
                         length == 7 ? IL_OK : IL_ERR_SHAPE);
        il_batch_destroy(b);
    }
    ck_assert_ptr_nonnull(
        strstr(err.message, "sequences of 8 tokens, but the model's context is 7"));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("hf_sites");
    TCase *t = tcase_create("sites");

    tcase_add_checked_fixture(t, hf_open, model_close);
    tcase_add_loop_test(t, sites_hold_what_their_names_say, 0,
                        sizeof cases / sizeof cases[0]);
    tcase_add_loop_test(t, positions_turn_queries_as_far_as_llama_3_says, 0, 3);
    tcase_add_test(t, yarn_turns_and_grows_queries_as_its_settings_say);
    tcase_add_loop_test(t, more_tokens_than_the_context_are_an_error, 0,
                        sizeof cases / sizeof cases[0]);
    tcase_add_loop_test(t, an_edit_at_any_site_reaches_the_logits, 0,
                        sizeof cases / sizeof cases[0]);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *sr = srunner_create(suite());
    int failed;

    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? 0 : 1;
}
