/* The GPT on the engine: against what PyTorch computed (tests/fixtures/torch), with
 * and without readers, and its gradients against differences in the forms that the
 * fixture has not. */
#include "plugins/torch.h"

static const char *const tap = "blocks.0.hook_resid_post";

static host gpt;
static trial run;
static part model;

static void gpt_make(const char *const (*values)[2], size_t count, int64_t vocabulary)
{
    host_open(&gpt, "gpt", IL_KIND_MODEL);
    for (size_t i = 0; i < count; i++) {
        host_set(&gpt, values[i][0], values[i][1]);
    }
    gpt.facts[0].name = "vocabulary";
    gpt.facts[0].value = vocabulary;
}

static il_status gpt_create(void)
{
    const il_model_api *api = gpt.component->api;

    return api->create(&gpt.setup, &gpt.self, &gpt.err);
}

static void gpt_open(const char *const (*values)[2], size_t count, int64_t vocabulary)
{
    gpt_make(values, count, vocabulary);
    ck_assert_msg(gpt_create() == IL_OK, "%s", gpt.err.message);
    trial_open(&run);
    part_open(&model, &run, &gpt, "model", true);
}

static void gpt_close(void)
{
    part_close(&model);
    il_pass_destroy(run.pass);
    free(gpt.memory);
}

static void gpt_forward(const host_batch *b)
{
    const il_model_api *api = gpt.component->api;

    il_pass_begin(run.pass);
    il_pass_enter(run.pass, &model.scope);
    api->forward(gpt.self, run.pass, &b->batch);
    il_pass_leave(run.pass);
}

/* ---- against PyTorch ------------------------------------------------------------ */

static host_batch batch;

static void setup(void)
{
    static const char *const values[][2] = {
        {"layers", "2"}, {"width", "16"}, {"heads", "2"}, {"context", "8"}};

    fixture_open("gpt");
    gpt_open(values, 4, 23);
    fixture_fill(&model);
    host_batch_open(&batch, 3);
    memcpy(il_batch_add(&batch.batch, "tokens", IL_I32, IL_SHAPE(3, 8)),
           stored("", "tokens")->data, 24 * sizeof(int32_t));
    memcpy(il_batch_add(&batch.batch, "next", IL_I32, IL_SHAPE(3, 8)),
           stored("", "next")->data, 24 * sizeof(int32_t));
}

static void teardown(void)
{
    host_batch_close(&batch);
    gpt_close();
    il_safetensors_close(fixture);
}

/* What a batch's loss weighs each row with: weight over the sum of weights. */
static void row_weights(float out[24])
{
    float *weights = stored_floats("", "weights", 24);
    double sum = 0.0;

    for (int i = 0; i < 24; i++) {
        sum += (double)weights[i];
    }
    for (int i = 0; i < 24; i++) {
        out[i] = (float)((double)weights[i] / sum);
    }
    free(weights);
}

/* Runs the model and, when `scored` says so, a linear probe's mean softplus on the
 * tap beside its loss. Gives the largest relative difference from PyTorch over loss,
 * logits and every gradient. */
static double compare(bool probed)
{
    host probe;
    part detector;
    il_tensor *roots[2];
    float weights[24];
    const float one = 1.0f;
    const float *seeds[2] = {weights, &one};
    part *parts[1] = {&model};
    double loss = 0.0;
    double worst;
    float value;

    gpt_forward(&batch);
    row_weights(weights);
    roots[0] = il_pass_loss(run.pass, "next_token");
    trial_check(&run);
    for (int i = 0; i < 24; i++) {
        loss += (double)weights[i] * (double)il_f32(roots[0])[i];
    }
    value = (float)loss;
    worst = apart(&value, "", "loss", 1);
    if (probed) {
        const uint8_t *scored = stored("", "scored")->data;
        const il_detector_api *api;
        il_reading reading = {.struct_size = sizeof reading, .sites = 1};
        il_tensor *rows;
        int32_t at[24];
        int64_t n = 0;

        host_open(&probe, "linear_probe", IL_KIND_DETECTOR);
        probe.read_widths[0] = 16;
        api = probe.component->api;
        ck_assert_int_eq(api->create(&probe.setup, &probe.self, &probe.err), IL_OK);
        part_open(&detector, &run, &probe, "detector probe", false);
        memcpy(detector.values[0], stored("probe.", "weight")->data, 16 * sizeof one);
        memcpy(detector.values[1], stored("probe.", "bias")->data, sizeof one);
        for (int32_t i = 0; i < 24; i++) {
            if (scored[i]) {
                at[n++] = i;
            }
        }
        rows = il_gather_rows(run.pass,
                              il_pass_site(run.pass, host_find_site(&gpt, tap)), n, at);
        reading.acts = &rows;
        il_pass_enter(run.pass, &detector.scope);
        roots[1] =
            il_mean(run.pass,
                    il_softplus(run.pass, api->score(probe.self, run.pass, &reading)));
        il_pass_leave(run.pass);
        trial_check(&run);
        worst = fmax(worst, apart(il_f32(roots[1]), "", "penalty", 1));
        worst =
            fmax(worst, apart(il_f32(il_pass_site(run.pass, host_find_site(&gpt, tap))),
                              "", "tap", 24 * 16));
    }
    trial_backward(&run, parts, 1, probed ? 2 : 1, roots, seeds);
    for (size_t i = 0; i < model.store->count; i++) {
        worst =
            fmax(worst, apart(model.grads[i], probed ? "grad_tap." : "grad.",
                              model.store->items[i].name, model.store->items[i].count));
    }
    worst = fmax(worst, apart(il_f32(il_pass_output(run.pass, "logits")), "", "logits",
                              24 * 23));
    if (probed) {
        part_close(&detector);
        free(probe.memory);
    }
    return worst;
}

START_TEST(loss_logits_and_every_gradient_are_pytorchs)
{
    double worst = compare(false);

    printf("largest relative difference from PyTorch: %.2g\n", worst);
    ck_assert_double_le(worst, 1e-4);
}
END_TEST

START_TEST(with_a_probes_loss_on_a_tap_they_are_pytorchs_too)
{
    double worst;

    ck_assert_int_eq(
        il_pass_site_flag(run.pass, host_find_site(&gpt, tap), IL_SITE_READ, NULL),
        IL_OK);
    worst = compare(true);
    printf("with a probe's loss on a tap: %.2g\n", worst);
    ck_assert_double_le(worst, 1e-4);
}
END_TEST

/* ---- sites ---------------------------------------------------------------------- */

START_TEST(reading_every_site_changes_no_bit)
{
    float weights[24];
    const float *seeds[1] = {weights};
    part *parts[1] = {&model};
    il_tensor *roots[1];
    float *before[64];
    float logits[24 * 23];

    row_weights(weights);
    gpt_forward(&batch);
    roots[0] = il_pass_loss(run.pass, "next_token");
    trial_backward(&run, parts, 1, 1, roots, seeds);
    memcpy(logits, il_f32(il_pass_output(run.pass, "logits")), sizeof logits);
    for (size_t i = 0; i < model.store->count; i++) {
        size_t size = (size_t)model.store->items[i].count * sizeof(float);

        before[i] = malloc(size);
        memcpy(before[i], model.grads[i], size);
    }
    for (int32_t i = 0; i < gpt.site_count; i++) {
        ck_assert_int_eq(il_pass_site_flag(run.pass, i, IL_SITE_READ, NULL), IL_OK);
    }
    gpt_forward(&batch);
    roots[0] = il_pass_loss(run.pass, "next_token");
    trial_backward(&run, parts, 1, 1, roots, seeds);
    for (int32_t i = 0; i < gpt.site_count; i++) {
        const il_tensor *x = il_pass_site(run.pass, i);

        ck_assert_ptr_nonnull(x);
        ck_assert_int_eq(x->shape[0], 3);
        if (strstr(gpt.sites[i].name, "hook_pattern") == NULL) {
            ck_assert_int_eq(x->ndim, 3);
            ck_assert_int_eq(x->shape[1], 8);
            ck_assert_int_eq(il_width(x), gpt.sites[i].width);
        } else {
            ck_assert_int_eq(x->ndim, 4);
            ck_assert_int_eq(x->shape[1] * x->shape[3], gpt.sites[i].width);
        }
    }
    ck_assert_mem_eq(logits, il_f32(il_pass_output(run.pass, "logits")), sizeof logits);
    for (size_t i = 0; i < model.store->count; i++) {
        ck_assert_msg(memcmp(before[i], model.grads[i],
                             (size_t)model.store->items[i].count * sizeof(float)) == 0,
                      "%s", model.store->items[i].name);
        free(before[i]);
    }
}
END_TEST

START_TEST(names_and_groups_are_those_of_transformerlens)
{
    static const char *const sites[] = {"hook_embed",
                                        "hook_pos_embed",
                                        "blocks.1.hook_resid_pre",
                                        "blocks.1.attn.hook_q",
                                        "blocks.1.attn.hook_z",
                                        "blocks.1.hook_attn_out",
                                        "blocks.1.hook_resid_mid",
                                        "blocks.1.mlp.hook_post",
                                        "blocks.1.hook_mlp_out",
                                        "blocks.1.hook_resid_post",
                                        "ln_final.hook_normalized"};
    static const char *const groups[][2] = {{"embed.W_E", "embed"},
                                            {"pos_embed.W_pos", "embed"},
                                            {"blocks.1.attn.W_QKV", "blocks.1"},
                                            {"blocks.0.mlp.b_out", "blocks.0"},
                                            {"ln_final.w", "unembed"},
                                            {"unembed.W_U", "unembed"}};

    ck_assert_int_eq(gpt.site_count, 2 + 2 * 14 + 1);
    ck_assert_int_eq(gpt.param_count, 2 + 2 * 12 + 3);
    ck_assert_int_eq(gpt.output_count, 1);
    ck_assert_str_eq(gpt.outputs[0].name, "logits");
    ck_assert_int_eq(gpt.outputs[0].width, 23);
    ck_assert_str_eq(gpt.loss, "next_token");
    ck_assert_str_eq(gpt.loss_weights, "weights");
    for (size_t i = 0; i < sizeof sites / sizeof sites[0]; i++) {
        ck_assert_msg(host_find_site(&gpt, sites[i]) >= 0, "%s", sites[i]);
    }
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        int64_t at = il_store_find(model.store, groups[i][0]);

        ck_assert_int_ge(at, 0);
        ck_assert_str_eq(model.store->items[at].group, groups[i][1]);
    }
}
END_TEST

/* Tokens 0, 3, 6, ... over a vocabulary of 7, each to be followed by the next. */
static void tokens_make(host_batch *b, int64_t rows, int64_t length, bool targets)
{
    int32_t *tokens;
    int32_t *next = NULL;

    host_batch_open(b, rows);
    tokens = il_batch_add(&b->batch, "tokens", IL_I32, IL_SHAPE(rows, length));
    if (targets) {
        next = il_batch_add(&b->batch, "next", IL_I32, IL_SHAPE(rows, length));
    }
    for (int64_t i = 0; i < rows * length; i++) {
        tokens[i] = (int32_t)(i * 3 % 7);
        if (targets) {
            next[i] = (i + 1) % length == 0 ? -1 : (int32_t)((i + 1) * 3 % 7);
        }
    }
}

/* ---- step by step ---------------------------------------------------------------- */

enum { LONG = 24, ACTORS = 5, WORDS = 7 };

/* Positions [at,at+length) of the tokens, and what the model makes of them. */
static void gpt_step(const host_batch *all, int64_t at, int64_t length, float *carry)
{
    const il_model_api *api = gpt.component->api;
    host_batch some;
    int32_t *tokens;

    host_batch_open(&some, ACTORS);
    tokens = il_batch_add(&some.batch, "tokens", IL_I32, IL_SHAPE(ACTORS, length));
    for (int64_t i = 0; i < ACTORS * length; i++) {
        tokens[i] = il_i32(&all->fields[0])[i / length * LONG + at + i % length];
    }
    il_pass_begin(run.pass);
    il_pass_enter(run.pass, &model.scope);
    api->step(gpt.self, run.pass, &some.batch, at, LONG, carry);
    il_pass_leave(run.pass);
    trial_check(&run);
    host_batch_close(&some);
}

/* The largest difference between a step's (B,length,w) and positions from `at` of
 * (B,LONG,w), in units of the latter's largest number. */
static double step_apart(const il_tensor *x, const float *all, int64_t at, int64_t w)
{
    const int64_t length = x->shape[1];
    double difference = 0.0;
    double largest = 0.0;

    for (int64_t i = 0; i < ACTORS * LONG * w; i++) {
        largest = fmax(largest, fabs((double)all[i]));
    }
    for (int64_t i = 0; i < ACTORS * length * w; i++) {
        int64_t position = i / w;
        int64_t from = position / length * LONG + at + position % length;

        difference = fmax(difference,
                          fabs((double)il_f32(x)[i] - (double)all[from * w + i % w]));
    }
    return difference / largest;
}

START_TEST(stepping_with_a_cache_gives_what_a_whole_pass_gives)
{
    static const char *const values[][2] = {
        {"layers", "3"}, {"width", "40"}, {"heads", "2"}, {"context", "30"}};
    static const int64_t prompts[] = {0, 1, 2, 7, 17, LONG - 1, LONG};
    const il_model_api *api;
    const int64_t prompt = prompts[_i];
    host_batch b;
    float *logits;
    float *state;
    float *carry;
    int32_t at;
    double worst = 0.0;

    gpt_open(values, 4, WORDS);
    api = gpt.component->api;
    for (size_t i = 0; i < model.store->count; i++) {
        noise(model.values[i], (size_t)model.store->items[i].count, i, 0.3f);
    }
    tokens_make(&b, ACTORS, LONG, false);
    at = host_find_site(&gpt, "blocks.2.hook_resid_post");
    ck_assert_int_eq(il_pass_site_flag(run.pass, at, IL_SITE_READ, NULL), IL_OK);
    gpt_forward(&b);
    trial_check(&run);
    logits = malloc(ACTORS * LONG * WORDS * sizeof *logits);
    state = malloc(ACTORS * LONG * 40 * sizeof *state);
    memcpy(logits, il_f32(il_pass_output(run.pass, "logits")),
           ACTORS * LONG * WORDS * sizeof *logits);
    memcpy(state, il_f32(il_pass_site(run.pass, at)),
           ACTORS * LONG * 40 * sizeof *state);
    ck_assert_int_eq(api->carry_width(gpt.self, LONG), 3 * 2 * 40 * LONG);
    carry = calloc(ACTORS * 3 * 2 * 40 * LONG, sizeof *carry);
    for (int64_t t = 0; t < LONG;) {
        const int64_t length = t == 0 && prompt > 0 ? prompt : 1;

        gpt_step(&b, t, length, carry);
        worst = fmax(worst,
                     step_apart(il_pass_output(run.pass, "logits"), logits, t, WORDS));
        worst = fmax(worst, step_apart(il_pass_site(run.pass, at), state, t, 40));
        t += length;
    }
    ck_assert_msg(worst <= 1e-5, "%g", worst);
    free(logits);
    free(state);
    free(carry);
    host_batch_close(&b);
    gpt_close();
}
END_TEST

START_TEST(a_step_past_the_context_or_the_cache_is_refused)
{
    static const char *const values[][2] = {
        {"layers", "1"}, {"width", "8"}, {"heads", "2"}, {"context", "6"}};
    const int64_t lengths[] = {8, 5};
    const char *const words[] = {"params.context is 6", "a cache of 5"};
    const il_model_api *api;
    il_error err = {.code = IL_OK};
    float carry[2 * 2 * 8 * 8] = {0};
    host_batch b;

    gpt_open(values, 4, 7);
    api = gpt.component->api;
    tokens_make(&b, 2, 2, false);
    il_pass_begin(run.pass);
    il_pass_enter(run.pass, &model.scope);
    api->step(gpt.self, run.pass, &b.batch, 5 - _i, lengths[_i], carry);
    il_pass_leave(run.pass);
    ck_assert_int_eq(il_pass_status(run.pass, &err), IL_ERR_SHAPE);
    ck_assert_msg(strstr(err.message, words[_i]) != NULL, "%s", err.message);
    host_batch_close(&b);
    gpt_close();
}
END_TEST

/* ---- other forms ---------------------------------------------------------------- */

static const float seed_rows[10] = {1, 1, 2, 1, 1, 1, 3, 1, 1, 1};

static double weighed_loss(void *context)
{
    double sum = 0.0;
    const il_tensor *rows;

    gpt_forward(context);
    rows = il_pass_loss(run.pass, "next_token");
    trial_check(&run);
    for (int i = 0; i < 10; i++) {
        sum += (double)seed_rows[i] * (double)il_f32(rows)[i];
    }
    return sum;
}

START_TEST(gradients_are_slopes_for_each_activation_tied_and_untied)
{
    static const char *const forms[][2] = {
        {"gelu", "false"}, {"gelu", "true"}, {"gelu_tanh", "true"}};
    const char *values[][2] = {{"layers", "1"},       {"width", "8"},
                               {"heads", "2"},        {"context", "6"},
                               {"mlp", "12"},         {"activation", forms[_i][0]},
                               {"tied", forms[_i][1]}};
    const float *seeds[1] = {seed_rows};
    part *parts[1] = {&model};
    il_tensor *roots[1];
    host_batch b;
    double worst;

    gpt_open((const char *const(*)[2])values, 7, 7);
    ck_assert_int_eq(il_store_find(model.store, "unembed.W_U") < 0,
                     strcmp(forms[_i][1], "true") == 0);
    for (size_t i = 0; i < model.store->count; i++) {
        noise(model.values[i], (size_t)model.store->items[i].count, i, 0.6f);
    }
    tokens_make(&b, 2, 5, true); /* shorter than the context */
    (void)weighed_loss(&b);
    roots[0] = il_pass_loss(run.pass, "next_token");
    trial_backward(&run, parts, 1, 1, roots, seeds);
    worst = differences(&model, weighed_loss, &b, 2e-3f);
    ck_assert_msg(worst < 5e-3, "%g", worst);
    host_batch_close(&b);
    gpt_close();
}
END_TEST

START_TEST(without_targets_there_are_logits_and_no_loss)
{
    static const char *const values[][2] = {
        {"layers", "1"}, {"width", "8"}, {"heads", "2"}, {"context", "6"}};
    host_batch b;

    gpt_open(values, 4, 7);
    tokens_make(&b, 2, 6, false);
    gpt_forward(&b);
    trial_check(&run);
    ck_assert_ptr_null(il_pass_loss(run.pass, "next_token"));
    ck_assert_int_eq(il_count(il_pass_output(run.pass, "logits")), 2 * 6 * 7);
    host_batch_close(&b);
    gpt_close();
}
END_TEST

START_TEST(a_longer_sequence_is_refused_with_both_lengths)
{
    static const char *const values[][2] = {
        {"layers", "1"}, {"width", "8"}, {"heads", "2"}, {"context", "6"}};
    il_error err = {.code = IL_OK};
    host_batch b;

    gpt_open(values, 4, 7);
    tokens_make(&b, 2, 9, true);
    gpt_forward(&b);
    ck_assert_int_eq(il_pass_status(run.pass, &err), IL_ERR_SHAPE);
    ck_assert_ptr_nonnull(strstr(err.message, "9 tokens"));
    ck_assert_ptr_nonnull(strstr(err.message, "context is 6"));
    host_batch_close(&b);
    gpt_close();
}
END_TEST

START_TEST(wrong_sizes_are_refused_with_their_numbers)
{
    static const char *const odd[][2] = {{"width", "10"}, {"heads", "4"}};

    gpt_make(odd, 2, 7);
    ck_assert_int_eq(gpt_create(), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(gpt.err.message, "4 heads and width 10"));
    free(gpt.memory);
    gpt_make(NULL, 0, 7); /* context is to come from the data, which says none */
    ck_assert_int_eq(gpt_create(), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(gpt.err.message, "context"));
    free(gpt.memory);
    gpt_make(NULL, 0, 0);
    ck_assert_int_eq(gpt_create(), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(gpt.err.message, "vocabulary"));
    free(gpt.memory);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gpt");
    TCase *torch = tcase_create("torch");
    TCase *forms = tcase_create("forms");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, torch);
    suite_add_tcase(suite, forms);
    tcase_add_checked_fixture(torch, setup, teardown);
    tcase_add_test(torch, loss_logits_and_every_gradient_are_pytorchs);
    tcase_add_test(torch, with_a_probes_loss_on_a_tap_they_are_pytorchs_too);
    tcase_add_test(torch, reading_every_site_changes_no_bit);
    tcase_add_test(torch, names_and_groups_are_those_of_transformerlens);
    tcase_add_loop_test(forms, gradients_are_slopes_for_each_activation_tied_and_untied,
                        0, 3);
    tcase_add_loop_test(forms, stepping_with_a_cache_gives_what_a_whole_pass_gives, 0,
                        7);
    tcase_add_loop_test(forms, a_step_past_the_context_or_the_cache_is_refused, 0, 2);
    tcase_add_test(forms, without_targets_there_are_logits_and_no_loss);
    tcase_add_test(forms, a_longer_sequence_is_refused_with_both_lengths);
    tcase_add_test(forms, wrong_sizes_are_refused_with_their_numbers);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
