/* The agent on the engine: against what PyTorch computed (tests/fixtures/torch), what
 * each box gets from which loss, acting step by step, and what it refuses. */
#include "plugins/torch.h"

enum { B = 3, L = 7, W = 7, A = 4, H = 6, ROWS = B * L };

static host agent;
static trial run;
static part model;
static host_batch batch;

static il_status agent_make(int64_t classes)
{
    static const char *const values[][2] = {{"hidden", "6"},
                                            {"prediction_hidden", "5"},
                                            {"policy_hidden", "4"},
                                            {"value_hidden", "3"}};
    const il_model_api *api;

    host_open(&agent, "belief_desire", IL_KIND_MODEL);
    for (size_t i = 0; i < 4; i++) {
        host_set(&agent, values[i][0], values[i][1]);
    }
    il_setup_publish(&agent.setup, "observation", W);
    il_setup_publish(&agent.setup, "actions", A);
    if (classes >= 0) {
        il_setup_publish(&agent.setup, "observation_classes", classes);
    }
    api = agent.component->api;
    return api->create(&agent.setup, &agent.self, &agent.err);
}

static void agent_open(int64_t classes)
{
    ck_assert_msg(agent_make(classes) == IL_OK, "%s", agent.err.message);
    trial_open(&run);
    part_open(&model, &run, &agent, "model", true);
}

/* A field of the batch, from the fixture. */
static void batch_take(host_batch *b, const char *name, il_type type, int32_t ndim,
                       const int64_t *shape)
{
    const il_safetensor *t = stored("", name);

    memcpy(il_batch_add(&b->batch, name, type, ndim, shape), t->data, t->bytes);
}

static void setup(void)
{
    fixture_open("belief_desire");
    agent_open(5);
    fixture_fill(&model);
    host_batch_open(&batch, B);
    batch_take(&batch, "obs", IL_F32, IL_SHAPE(B, L, W));
    batch_take(&batch, "action", IL_I32, IL_SHAPE(B, L));
    batch_take(&batch, "moves", IL_F32, IL_SHAPE(B, L));
}

static void teardown(void)
{
    host_batch_close(&batch);
    part_close(&model);
    il_pass_destroy(run.pass);
    free(agent.memory);
    il_safetensors_close(fixture);
}

static void read_site(const char *name)
{
    ck_assert_int_ge(host_find_site(&agent, name), 0);
    ck_assert_int_eq(
        il_pass_site_flag(run.pass, host_find_site(&agent, name), IL_SITE_READ, NULL),
        IL_OK);
}

static il_tensor *site(const char *name)
{
    return il_pass_site(run.pass, host_find_site(&agent, name));
}

static void agent_forward(const host_batch *b)
{
    const il_model_api *api = agent.component->api;

    il_pass_begin(run.pass);
    il_pass_enter(run.pass, &model.scope);
    api->forward(agent.self, run.pass, &b->batch);
    il_pass_leave(run.pass);
}

/* ---- against PyTorch ------------------------------------------------------------ */

/* moves / sum of moves: what a mean over acted rows weighs each with. */
static void row_weights(float out[ROWS])
{
    float *moves = stored_floats("", "moves", ROWS);
    double sum = 0.0;

    for (int i = 0; i < ROWS; i++) {
        sum += (double)moves[i];
    }
    for (int i = 0; i < ROWS; i++) {
        out[i] = (float)((double)moves[i] / sum);
    }
    free(moves);
}

/* A stored row field times the weights and `scale`. */
static void row_seeds(float out[ROWS], const float weights[ROWS], const char *name,
                      float scale)
{
    float *x = stored_floats("", name, ROWS);

    for (int i = 0; i < ROWS; i++) {
        out[i] = weights[i] * x[i] * scale;
    }
    free(x);
}

static double dot(const il_tensor *rows, const float *seeds)
{
    double sum = 0.0;

    for (int64_t i = 0; i < il_count(rows); i++) {
        sum += (double)il_f32(rows)[i] * (double)seeds[i];
    }
    return sum;
}

/* Roots and seeds of losses that are to be summed. */
typedef struct sum {
    size_t count;
    il_tensor *roots[8];
    const float *seeds[8];
    float rows[8][ROWS];
} sum;

static float *sum_add(sum *s, il_tensor *root)
{
    s->roots[s->count] = root;
    s->seeds[s->count] = s->rows[s->count];
    return s->rows[s->count++];
}

/* The policy's loss: log-probabilities by advantage, half the squared error of the
 * value, entropy. */
static void sum_reinforce(sum *s, const float weights[ROWS])
{
    il_pass *p = run.pass;
    float *target = stored_floats("", "target", ROWS);
    il_tensor *wanted = il_constant(p, IL_SHAPE(B, L, 1), target);
    il_tensor *policy = il_pass_output(p, "policy");
    il_tensor *value = il_pass_output(p, "value");
    const il_tensor *action = il_batch_find(&batch.batch, "action");
    float *seeds;

    row_seeds(sum_add(s, il_cross_entropy(p, policy, action)), weights, "advantage", 1);
    seeds = sum_add(s, il_activate(p, il_sub(p, value, wanted), IL_ACT_SQUARE));
    for (int i = 0; i < ROWS; i++) {
        seeds[i] = 0.5f * weights[i];
    }
    seeds = sum_add(s, il_entropy_rows(p, policy));
    for (int i = 0; i < ROWS; i++) {
        seeds[i] = -0.1f * weights[i];
    }
    free(target);
}

static void sum_penalty(sum *s)
{
    il_pass *p = run.pass;
    il_tensor *w = il_constant(p, IL_SHAPE(1, H), stored("probe.", "weight")->data);
    il_tensor *b = il_constant(p, IL_SHAPE(1), stored("probe.", "bias")->data);
    il_tensor *logits = il_linear(p, site("belief.hook_state"), w, b);

    *sum_add(s, il_mean(p, il_softplus(p, logits))) = 1.0f;
}

static double worst_gradient(sum *s, const char *prefix)
{
    part *parts[1] = {&model};
    double worst = 0.0;

    trial_check(&run);
    trial_backward(&run, parts, 1, s->count, s->roots, s->seeds);
    for (size_t i = 0; i < model.store->count; i++) {
        const il_stored *item = &model.store->items[i];
        double off = apart(model.grads[i], prefix, item->name, item->count);

        ck_assert_msg(off <= 1e-5, "%s%s: %g", prefix, item->name, off);
        worst = fmax(worst, off);
    }
    return worst;
}

START_TEST(beliefs_outputs_losses_and_every_gradient_are_pytorchs)
{
    sum s = {0};
    float weights[ROWS];
    float loss;
    double worst;

    read_site("belief.hook_state");
    agent_forward(&batch);
    row_weights(weights);
    memcpy(sum_add(&s, il_pass_loss(run.pass, "prediction")), weights, sizeof weights);
    trial_check(&run);
    loss = (float)dot(s.roots[0], weights);
    worst = apart(&loss, "", "prediction", 1);
    worst =
        fmax(worst, apart(il_f32(site("belief.hook_state")), "", "state", ROWS * H));
    worst = fmax(worst, apart(il_f32(il_pass_output(run.pass, "policy")), "", "policy",
                              ROWS * A));
    worst = fmax(worst,
                 apart(il_f32(il_pass_output(run.pass, "value")), "", "value", ROWS));
    sum_reinforce(&s, weights);
    loss = (float)(dot(s.roots[1], s.seeds[1]) + dot(s.roots[2], s.seeds[2]) +
                   dot(s.roots[3], s.seeds[3]));
    worst = fmax(worst, apart(&loss, "", "reinforce", 1));
    sum_penalty(&s);
    worst = fmax(worst, apart(il_f32(s.roots[4]), "", "penalty", 1));
    ck_assert_double_le(worst, 1e-5);
    worst = fmax(worst, worst_gradient(&s, "grad."));
    printf("largest relative difference from PyTorch: %.2g\n", worst);
}
END_TEST

START_TEST(a_detectors_softplus_trains_what_pytorch_says_and_nothing_else)
{
    sum s = {0};
    part *parts[1] = {&model};
    double worst = 0.0;

    read_site("belief.hook_state");
    agent_forward(&batch);
    sum_penalty(&s);
    trial_check(&run);
    trial_backward(&run, parts, 1, s.count, s.roots, s.seeds);
    for (size_t i = 0; i < model.store->count; i++) {
        const il_stored *item = &model.store->items[i];

        if (strcmp(item->group, "belief") == 0) {
            worst = fmax(
                worst, apart(model.grads[i], "grad_penalty.", item->name, item->count));
        }
        for (int64_t k = 0; strcmp(item->group, "belief") != 0 && k < item->count;
             k++) {
            ck_assert_msg(model.grads[i][k] == 0.0f, "%s", item->name);
        }
    }
    printf("of the detector's term alone: %.2g\n", worst);
    ck_assert_double_le(worst, 1e-5);
}
END_TEST

/* The score of the samples is part of the loss: advantage |sampled - mean|^2 / (2
 * std^2), the mean over all positions. */
START_TEST(with_sampled_beliefs_every_gradient_is_pytorchs)
{
    const float std = 0.1f;
    sum s = {0};
    float weights[ROWS];
    float ones[ROWS];
    float loss;
    double worst;
    il_tensor *away;

    batch_take(&batch, "sampled", IL_F32, IL_SHAPE(B, L, H));
    read_site("belief.hook_state");
    read_site("belief.hook_mean");
    agent_forward(&batch);
    trial_check(&run);
    ck_assert_mem_eq(il_f32(site("belief.hook_state")), stored("", "sampled")->data,
                     ROWS * H * sizeof(float));
    worst = apart(il_f32(site("belief.hook_mean")), "", "mean", ROWS * H);
    row_weights(weights);
    memcpy(sum_add(&s, il_pass_loss(run.pass, "prediction")), weights, sizeof weights);
    loss = (float)dot(s.roots[0], weights);
    worst = fmax(worst, apart(&loss, "", "sampled_prediction", 1));
    sum_reinforce(&s, weights);
    away = il_sub(run.pass, site("belief.hook_mean"), site("belief.hook_state"));
    for (int i = 0; i < ROWS; i++) {
        ones[i] = 1.0f;
    }
    row_seeds(
        sum_add(&s, il_row_sum(run.pass, il_activate(run.pass, away, IL_ACT_SQUARE))),
        ones, "score_advantage", 1.0f / (2.0f * std * std) / ROWS);
    ck_assert_double_le(worst, 1e-5);
    worst = fmax(worst, worst_gradient(&s, "grad_sampled."));
    printf("with sampled beliefs: %.2g\n", worst);
}
END_TEST

/* ---- boxes ---------------------------------------------------------------------- */

/* Bits of the groups' parameters. */
static il_word group_bits(const char *name)
{
    il_word bits = 0;

    for (size_t i = 0; i < model.store->count; i++) {
        if (strcmp(model.store->items[i].group, name) == 0) {
            bits |= (il_word)1 << i;
        }
    }
    return bits;
}

START_TEST(nothing_is_detached_but_a_sample_and_its_value_still_descends)
{
    const il_word belief = group_bits("belief");
    const il_word desire = group_bits("desire");
    const il_word prediction = group_bits("prediction");

    read_site("belief.hook_state");
    read_site("belief.hook_mean");
    read_site("input.obs");
    read_site("input.action");
    agent_forward(&batch);
    ck_assert_uint_eq(*il_tensor_g(site("input.obs")), 0);
    ck_assert_uint_eq(*il_tensor_v(site("input.action")), 0);
    ck_assert_uint_eq(*il_tensor_g(site("belief.hook_state")), belief);
    ck_assert_uint_eq(*il_tensor_g(il_pass_loss(run.pass, "prediction")),
                      belief | prediction);
    ck_assert_uint_eq(*il_tensor_g(il_pass_output(run.pass, "policy")) |
                          *il_tensor_g(il_pass_output(run.pass, "value")),
                      belief | desire);
    batch_take(&batch, "sampled", IL_F32, IL_SHAPE(B, L, H));
    agent_forward(&batch);
    ck_assert_uint_eq(*il_tensor_g(site("belief.hook_mean")), belief);
    ck_assert_uint_eq(*il_tensor_g(site("belief.hook_state")), 0);
    ck_assert_uint_eq(*il_tensor_v(site("belief.hook_state")), belief);
    ck_assert_uint_eq(*il_tensor_g(il_pass_output(run.pass, "policy")) & ~desire, 0);
    ck_assert_uint_eq(*il_tensor_v(il_pass_output(run.pass, "policy")) & belief,
                      belief);
    ck_assert_uint_eq(*il_tensor_g(il_pass_loss(run.pass, "prediction")),
                      belief | prediction);
}
END_TEST

START_TEST(sites_groups_and_outputs_are_declared_in_order)
{
    static const char *const sites[] = {"input.obs", "input.action", "belief.hook_mean",
                                        "belief.hook_state"};
    static const int64_t widths[] = {W, A, H, H};

    ck_assert_int_eq(agent.site_count, 4);
    for (int i = 0; i < 4; i++) {
        ck_assert_str_eq(agent.sites[i].name, sites[i]);
        ck_assert_int_eq(agent.sites[i].width, widths[i]);
    }
    ck_assert_int_eq(agent.param_count, 16);
    ck_assert_str_eq(agent.params[0].group, "belief");
    ck_assert_str_eq(agent.params[4].group, "prediction");
    ck_assert_str_eq(agent.params[8].group, "desire");
    ck_assert_str_eq(agent.params[15].group, "desire");
    ck_assert_int_eq(agent.output_count, 2);
    ck_assert_str_eq(agent.outputs[0].name, "policy");
    ck_assert_int_eq(agent.outputs[0].width, A);
    ck_assert_str_eq(agent.outputs[1].name, "value");
    ck_assert_int_eq(agent.outputs[1].width, 1);
    ck_assert_str_eq(agent.loss, "prediction");
    ck_assert_str_eq(agent.loss_weights, "moves");
}
END_TEST

START_TEST(weights_start_within_their_ranges_and_biases_at_zero)
{
    const double ranges[16] = {
        1 / sqrt(6),  0, 1 / sqrt(6),   0,  /* the trunk: 1/sqrt(H) */
        1 / sqrt(10), 0, 1 / sqrt(5),   0,  /* prediction: of H+A, of 5 */
        1 / sqrt(6),  0, 0.1 / sqrt(4), 0,  /* policy: of H, of 4 */
        1 / sqrt(6),  0, 0.1 / sqrt(3), 0}; /* value: of H, of 3 */

    for (int i = 0; i < agent.param_count; i++) {
        const host_param *p = &agent.params[i];

        ck_assert_int_eq(p->init.kind,
                         ranges[i] > 0 ? IL_INIT_RANGE : IL_INIT_CONSTANT);
        ck_assert_msg(fabs((double)p->init.a - ranges[i]) < 1e-6, "%s", p->name);
    }
}
END_TEST

/* ---- acting --------------------------------------------------------------------- */

/* One position of the fixture's episodes, as an actor meets it. */
static void position_take(host_batch *one, const host_batch *all, int t, bool noisy)
{
    const il_tensor *obs = il_batch_find(&all->batch, "obs");
    const il_tensor *action = il_batch_find(&all->batch, "action");
    const float *noise = noisy ? stored("", "noise")->data : NULL;
    float *obs_out;
    int32_t *previous;
    float *noise_out = NULL;

    host_batch_open(one, B);
    obs_out = il_batch_add(&one->batch, "obs", IL_F32, IL_SHAPE(B, 1, W));
    previous = il_batch_add(&one->batch, "previous", IL_I32, IL_SHAPE(B, 1));
    if (noisy) {
        noise_out = il_batch_add(&one->batch, "noise", IL_F32, IL_SHAPE(B, 1, H));
    }
    for (int b = 0; b < B; b++) {
        memcpy(obs_out + b * W, il_f32(obs) + (b * L + t) * W, W * sizeof(float));
        previous[b] = t > 0 ? il_i32(action)[b * L + t - 1] : -1;
        if (noisy) {
            memcpy(noise_out + b * H, noise + (b * L + t) * H, H * sizeof(float));
        }
    }
}

static void agent_step(const host_batch *one, int t, float *carry)
{
    const il_model_api *api = agent.component->api;

    il_pass_begin(run.pass);
    il_pass_enter(run.pass, &model.scope);
    api->step(agent.self, run.pass, &one->batch, t, L, carry);
    il_pass_leave(run.pass);
    trial_check(&run);
}

/* The largest difference between a step's tensor (B,1,w) and position t of (B,L,w). */
static float off(const il_tensor *one, const float *all, int t, int w)
{
    float worst = 0.0f;

    ck_assert_int_eq(il_count(one), B * w);
    for (int i = 0; i < B * w; i++) {
        worst =
            fmaxf(worst, fabsf(il_f32(one)[i] - all[((i / w) * L + t) * w + i % w]));
    }
    return worst;
}

START_TEST(stepping_gives_what_forward_gives_up_to_rounding)
{
    const bool noisy = _i == 1;
    float state[ROWS * H];
    float mean[ROWS * H];
    float policy[ROWS * A];
    float value[ROWS];
    float carry[B * H] = {0};
    float worst = 0.0f;
    const il_model_api *api = agent.component->api;

    ck_assert_int_eq(api->carry_width(agent.self, L), H);
    read_site("belief.hook_state");
    read_site("belief.hook_mean");
    if (noisy) {
        batch_take(&batch, "sampled", IL_F32, IL_SHAPE(B, L, H));
    }
    agent_forward(&batch);
    memcpy(state, il_f32(site("belief.hook_state")), sizeof state);
    memcpy(mean, il_f32(site("belief.hook_mean")), sizeof mean);
    memcpy(policy, il_f32(il_pass_output(run.pass, "policy")), sizeof policy);
    memcpy(value, il_f32(il_pass_output(run.pass, "value")), sizeof value);
    for (int t = 0; t < L; t++) {
        host_batch one;

        position_take(&one, &batch, t, noisy);
        agent_step(&one, t, carry);
        worst = fmaxf(worst, off(site("belief.hook_mean"), mean, t, H));
        worst = fmaxf(worst, off(site("belief.hook_state"), state, t, H));
        worst = fmaxf(worst, off(il_pass_output(run.pass, "policy"), policy, t, A));
        worst = fmaxf(worst, off(il_pass_output(run.pass, "value"), value, t, 1));
        ck_assert_mem_eq(carry, il_f32(site("belief.hook_state")), sizeof carry);
        host_batch_close(&one);
    }
    ck_assert_msg(worst <= 1e-6f, "%g", (double)worst);
}
END_TEST

START_TEST(several_positions_at_once_carry_what_one_by_one_do)
{
    float carry[B * H] = {0};
    float want[B * H] = {0};
    host_batch many;
    int32_t *previous;

    host_batch_open(&many, B);
    batch_take(&many, "obs", IL_F32, IL_SHAPE(B, L, W));
    previous = il_batch_add(&many.batch, "previous", IL_I32, IL_SHAPE(B, L));
    for (int i = 0; i < ROWS; i++) {
        previous[i] =
            i % L == 0 ? -1 : il_i32(il_batch_find(&batch.batch, "action"))[i - 1];
    }
    agent_step(&many, 0, carry);
    host_batch_close(&many);
    for (int t = 0; t < L; t++) {
        host_batch one;

        position_take(&one, &batch, t, false);
        agent_step(&one, t, want);
        host_batch_close(&one);
    }
    for (int i = 0; i < B * H; i++) {
        ck_assert(fabsf(carry[i] - want[i]) <= 1e-6f);
    }
}
END_TEST

/* ---- other observations, and what is refused ------------------------------------ */

static const float row_seed[ROWS] = {1, 2, 1, 1, 3, 1, 0, 1, 1, 1, 1,
                                     1, 2, 0, 1, 1, 2, 1, 1, 1, 0};

/* The prediction's rows, and of the desires what leaves no parameter without slope. */
static void weighed_roots(il_tensor *roots[3])
{
    agent_forward(&batch);
    roots[0] = il_pass_loss(run.pass, "prediction");
    roots[1] = il_entropy_rows(run.pass, il_pass_output(run.pass, "policy"));
    roots[2] = il_row_sum(run.pass, il_pass_output(run.pass, "value"));
    trial_check(&run);
}

static double weighed_loss(void *context)
{
    il_tensor *roots[3];

    (void)context;
    weighed_roots(roots);
    return dot(roots[0], row_seed) + dot(roots[1], row_seed) + dot(roots[2], row_seed);
}

START_TEST(predictions_of_classes_alone_and_of_binaries_alone_have_their_slopes)
{
    const float *seeds[3] = {row_seed, row_seed, row_seed};
    part *parts[1] = {&model};
    il_tensor *roots[3];
    double worst;

    part_close(&model);
    il_pass_destroy(run.pass);
    free(agent.memory);
    agent_open(_i == 0 ? W : _i == 1 ? 0 : -1);
    for (size_t i = 0; i < model.store->count; i++) {
        noise(model.values[i], (size_t)model.store->items[i].count, i, 0.8f);
    }
    weighed_roots(roots);
    trial_backward(&run, parts, 1, 3, roots, seeds);
    worst = differences(&model, weighed_loss, NULL, 2e-3f);
    ck_assert_msg(worst < 5e-3, "%g", worst);
}
END_TEST

static void refused(const char *words)
{
    il_error err = {.code = IL_OK};

    agent_forward(&batch);
    ck_assert_int_ne(il_pass_status(run.pass, &err), IL_OK);
    ck_assert_msg(strstr(err.message, words) != NULL, "%s", err.message);
}

START_TEST(an_action_out_of_range_is_refused_with_its_number)
{
    il_i32(il_batch_find(&batch.batch, "action"))[3] = A;
    refused("action 4, expected below 4");
}
END_TEST

START_TEST(fields_of_another_shape_are_refused_by_name)
{
    (void)il_batch_add(&batch.batch, "sampled", IL_F32, IL_SHAPE(B, L, H + 1));
    refused("sampled, f32 of shape (B,L,6)");
}
END_TEST

START_TEST(an_environment_that_says_too_little_is_refused)
{
    const il_model_api *api;

    host_open(&agent, "belief_desire", IL_KIND_MODEL);
    il_setup_publish(&agent.setup, "observation", W);
    api = agent.component->api;
    ck_assert_int_eq(api->create(&agent.setup, &agent.self, &agent.err), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(agent.err.message, "observation and actions"));
    free(agent.memory);
    ck_assert_int_eq(agent_make(W + 1), IL_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(agent.err.message, "observation_classes 8"));
    free(agent.memory);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("belief_desire");
    TCase *torch = tcase_create("torch");
    TCase *alone = tcase_create("alone");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, torch);
    suite_add_tcase(suite, alone);
    tcase_add_checked_fixture(torch, setup, teardown);
    tcase_add_test(torch, beliefs_outputs_losses_and_every_gradient_are_pytorchs);
    tcase_add_test(torch,
                   a_detectors_softplus_trains_what_pytorch_says_and_nothing_else);
    tcase_add_test(torch, with_sampled_beliefs_every_gradient_is_pytorchs);
    tcase_add_test(torch,
                   nothing_is_detached_but_a_sample_and_its_value_still_descends);
    tcase_add_test(torch, sites_groups_and_outputs_are_declared_in_order);
    tcase_add_test(torch, weights_start_within_their_ranges_and_biases_at_zero);
    tcase_add_loop_test(torch, stepping_gives_what_forward_gives_up_to_rounding, 0, 2);
    tcase_add_test(torch, several_positions_at_once_carry_what_one_by_one_do);
    tcase_add_loop_test(
        torch, predictions_of_classes_alone_and_of_binaries_alone_have_their_slopes, 0,
        3);
    tcase_add_test(torch, an_action_out_of_range_is_refused_with_its_number);
    tcase_add_test(torch, fields_of_another_shape_are_refused_by_name);
    tcase_add_test(alone, an_environment_that_says_too_little_is_refused);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
