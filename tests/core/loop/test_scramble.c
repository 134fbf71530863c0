/* What placebos keep of the pressure that they stand for, and what they take out. */
#include "loop/scramble.h"
#include "trial.h"
#include <math.h>

/* Liar with the probe's penalty alone and plain steps of rate 1, so that what a step
 * changes is the gradient. */
static void open_liar(trial *t, const char *variant, const char *scramble, int workers)
{
    static char setting[96];
    trial_of of = {.path = "configs/liar/demo.yaml",
                   .stage = "loop",
                   .variant = variant,
                   .workers = workers,
                   .sets = {"model.params.width=16", "model.params.heads=2",
                            "model.params.mlp=32", "stages.loop.train.batch=8",
                            "stages.loop.train.lanes=4", "stages.loop.train.clip=[]",
                            "stages.loop.train.optimizer={use: sgd, lr: 1.0}",
                            "stages.loop.signals.language.channel=monitor"},
                   .set_count = 8};

    if (scramble != NULL) {
        (void)snprintf(setting, sizeof setting, "%s", scramble);
        of.sets[of.set_count++] = setting;
    }
    trial_open(t, &of);
}

static size_t number_of(const trial *t, const char *name)
{
    for (size_t i = 0; i < count_of(t); i++) {
        if (strcmp(t->world->model->store->items[i].name, name) == 0) {
            return i;
        }
    }
    ck_abort_msg("no parameter %s", name);
    return 0;
}

/* The site's bias: its gradient is the sum of the site's gradients over all rows. */
#define BIAS "blocks.2.mlp.b_out"

/* What a step took from a parameter. */
static void change_of(const trial *t, const char *name, float *out)
{
    const il_stored *s = &t->world->model->store->items[number_of(t, name)];

    for (int64_t k = 0; k < s->count; k++) {
        out[k] = t->start[s->offset + k] - weights(t)[s->offset + k];
    }
}

static int by_size(const void *a, const void *b)
{
    float x = fabsf(*(const float *)a);
    float y = fabsf(*(const float *)b);

    return (x > y) - (x < y);
}

static const float *direction_of(const trial *t)
{
    return t->world->detectors[0]->instance->store->values;
}

/* A term's loss, as the step has it. */
static double loss_of(const trial *t, const char *signal)
{
    for (size_t i = 0; i < t->trainer->terms->count; i++) {
        if (strcmp(t->trainer->terms->items[i].spec->name, signal) == 0) {
            return t->trainer->values[i];
        }
    }
    ck_abort_msg("no term %s", signal);
    return 0;
}

START_TEST(noise_turns_a_penalty_and_keeps_its_strength)
{
    float one[16];
    float two[16];
    bool turned = false;
    float share;
    trial real;
    trial fake;

    open_liar(&real, "naive", NULL, 1);
    open_liar(&fake, "naive", "stages.loop.signals.pressure.scramble=noise", 1);
    steps(&real, 1, false);
    steps(&fake, 1, false);
    change_of(&real, BIAS, one);
    change_of(&fake, BIAS, two);
    ck_assert_float_gt(fabsf(one[0]), 0.0f);
    for (int k = 0; k < 16; k++) {
        turned = turned || fabsf(one[k] - two[k]) > 1e-3f * fabsf(one[k]);
    }
    ck_assert(turned);
    /* one direction and the other, channel for channel, but for how strong it is */
    qsort(one, 16, sizeof *one, by_size);
    qsort(two, 16, sizeof *two, by_size);
    share = fabsf(two[15]) / fabsf(one[15]);
    ck_assert_float_gt(share, 0.5f);
    ck_assert_float_lt(share, 2.0f);
    for (int k = 0; k < 16; k++) {
        ck_assert_float_eq_tol(fabsf(two[k]), share * fabsf(one[k]),
                               1e-3f * fabsf(one[k]) + 1e-6f);
    }
    close_trial(&real);
    close_trial(&fake);
}
END_TEST

START_TEST(noise_yields_as_it_is_obeyed)
{
    double first;
    trial t;

    open_liar(&t, "naive", "stages.loop.signals.pressure.scramble=noise", 1);
    steps(&t, 1, false);
    first = loss_of(&t, "pressure");
    steps(&t, 7, false);
    ck_assert_double_lt(loss_of(&t, "pressure"), 0.5 * first);
    close_trial(&t);
}
END_TEST

START_TEST(a_level_goes_with_a_checkpoint)
{
    il_error err = {0};
    json_t *levels;
    trial t;
    trial again;

    open_liar(&t, "naive", "stages.loop.signals.pressure.scramble=noise", 1);
    open_liar(&again, "naive", "stages.loop.signals.pressure.scramble=noise", 1);
    ck_assert_ptr_null(il_scramble_json(t.trainer->terms));
    steps(&t, 1, false);
    levels = il_scramble_json(t.trainer->terms);
    ck_assert_ptr_nonnull(levels);
    ok(il_scramble_read(again.trainer->terms, levels, &err), &err);
    for (size_t i = 0; i < t.trainer->terms->count; i++) {
        const il_term *a = &t.trainer->terms->items[i];
        const il_term *b = &again.trainer->terms->items[i];

        ck_assert_int_eq(a->leveled, b->leveled);
        ck_assert(a->level == b->level);
    }
    (void)json_array_append_new(levels, json_null());
    ck_assert_int_eq(il_scramble_read(again.trainer->terms, levels, &err),
                     IL_ERR_INPUT);
    json_decref(levels);
    close_trial(&t);
    close_trial(&again);
}
END_TEST

START_TEST(dealt_rows_keep_the_sum_of_a_penalty_and_not_whose_it_is)
{
    float one[16];
    float two[16];
    trial real;
    trial fake;
    size_t w;

    open_liar(&real, "naive", NULL, 1);
    open_liar(&fake, "naive", "stages.loop.signals.pressure.scramble=rows", 1);
    steps(&real, 1, false);
    steps(&fake, 1, false);
    change_of(&real, BIAS, one);
    change_of(&fake, BIAS, two);
    for (int k = 0; k < 16; k++) {
        ck_assert_float_eq_tol(one[k], two[k], 1e-4f * fabsf(one[k]));
    }
    w = number_of(&real, "blocks.2.mlp.W_out");
    ck_assert(!same_tensor(&real, w, weights(&real), weights(&fake)));
    close_trial(&real);
    close_trial(&fake);
}
END_TEST

START_TEST(a_constant_presses_all_rows_by_half)
{
    float change[16];
    trial t;

    open_liar(&t, "naive", "stages.loop.signals.pressure.scramble=constant", 1);
    steps(&t, 1, false);
    change_of(&t, BIAS, change);
    for (int k = 0; k < 16; k++) {
        float half = 0.5f * direction_of(&t)[k];

        ck_assert_float_eq_tol(change[k], half, 1e-4f * fabsf(half) + 1e-6f);
    }
    close_trial(&t);
}
END_TEST

START_TEST(a_gate_of_noise_knows_nothing_of_the_probe)
{
    static const char gate[] =
        "stages.loop.signals.honesty.gate={detector: probe, scramble: noise}";
    trial one;
    trial two;
    trial real;

    open_liar(&one, "gated_credit", gate, 1);
    open_liar(&two, "gated_credit", gate, 1);
    open_liar(&real, "gated_credit", NULL, 1);
    for (int k = 0; k < 16; k++) { /* another probe, the same gate */
        two.world->detectors[0]->instance->store->values[k] *= -3.0f;
    }
    steps(&one, 3, false);
    steps(&two, 3, false);
    steps(&real, 3, false);
    for (size_t i = 0; i < count_of(&one); i++) {
        ck_assert(same_tensor(&one, i, weights(&one), weights(&two)));
    }
    ck_assert(!same_tensor(&one, number_of(&one, BIAS), weights(&one), weights(&real)));
    close_trial(&one);
    close_trial(&two);
    close_trial(&real);
}
END_TEST

static const char *const pressures[] = {
    "stages.loop.signals.pressure.scramble=rows",
    "stages.loop.signals.pressure.scramble=constant",
    "stages.loop.signals.pressure.scramble=noise"};

START_TEST(a_placebo_has_the_same_bits_for_any_number_of_workers)
{
    trial one;
    trial two;

    open_liar(&one, "naive", pressures[_i], 1);
    open_liar(&two, "naive", pressures[_i], 2);
    steps(&one, 4, false);
    steps(&two, 4, true);
    for (size_t i = 0; i < count_of(&one); i++) {
        ck_assert_msg(same_tensor(&one, i, weights(&one), weights(&two)), "%s differs",
                      one.world->model->store->items[i].name);
    }
    close_trial(&one);
    close_trial(&two);
}
END_TEST

/* ---- rewards -------------------------------------------------------------------- */

/* Far Lever with a reading in the reward. */
static void open_lever(trial *t, const char *variant, const char *signal,
                       const char *scramble, int workers)
{
    char setting[96];
    trial_of of = {.path = "configs/far_lever/off.yaml",
                   .stage = "mode",
                   .variant = variant,
                   .workers = workers,
                   .sets = {"stages.mode.train.rollouts.own.episodes=8",
                            "stages.mode.train.lanes=2"},
                   .set_count = 2};

    if (scramble != NULL) {
        (void)snprintf(setting, sizeof setting, "stages.mode.signals.%s.scramble=%s",
                       signal, scramble);
        of.sets[of.set_count++] = setting;
    }
    trial_open(t, &of);
}

/* A reward term's source summed over the batch, and how many rows it has. */
static double read_of(const trial *t, const char *signal, int64_t *rows)
{
    const il_trainer *trainer = t->trainer;
    double sum = 0;

    *rows = 0;
    for (size_t i = 0; i < trainer->terms->count; i++) {
        if (strcmp(trainer->terms->items[i].spec->name, signal) != 0) {
            continue;
        }
        for (size_t m = 0; m < trainer->micro_count; m++) {
            sum += trainer->micros[m].play.returns[i];
            *rows += trainer->micros[m].play.count;
        }
    }
    return sum;
}

START_TEST(a_constant_reward_is_a_half_wherever_something_is_read)
{
    int64_t rows;
    trial t;

    open_lever(&t, "brain", "compassion", "constant", 1);
    steps(&t, 1, false);
    ck_assert_double_eq_tol(read_of(&t, "compassion", &rows) / (double)rows, 0.5,
                            1.0 / 32);
    close_trial(&t);
}
END_TEST

START_TEST(dealt_rewards_are_the_batchs_own_in_another_order)
{
    size_t differs = 0;
    int64_t rows;
    double sum;
    trial real;
    trial fake;

    open_lever(&real, "brain", "compassion", NULL, 1);
    open_lever(&fake, "brain", "compassion", "rows", 1);
    steps(&real, 1, false);
    steps(&fake, 1, false);
    sum = read_of(&real, "compassion", &rows);
    ck_assert_double_gt(sum, 0.0);
    /* but for the first state of an episode, which no action has led to */
    ck_assert_double_eq_tol(sum / (double)rows,
                            read_of(&fake, "compassion", &rows) / (double)rows, 0.1);
    for (size_t i = 0; i < count_of(&real); i++) {
        differs += !same_tensor(&real, i, weights(&real), weights(&fake));
    }
    ck_assert_uint_gt(differs, 0);
    close_trial(&real);
    close_trial(&fake);
}
END_TEST

static const char *const lever_kinds[] = {"rows", "constant", "noise"};

START_TEST(a_scrambled_reward_has_the_same_bits_for_any_number_of_workers)
{
    bool sampled = _i >= 3; /* what credits a sampled site */
    const char *variant = sampled ? "e2e_s" : "brain";
    const char *signal = sampled ? "credit" : "compassion";
    trial one;
    trial two;
    trial real;
    size_t differs = 0;

    open_lever(&one, variant, signal, lever_kinds[_i % 3], 1);
    open_lever(&two, variant, signal, lever_kinds[_i % 3], 2);
    open_lever(&real, variant, signal, NULL, 1);
    steps(&one, 2, false);
    steps(&two, 2, false);
    steps(&real, 2, false);
    for (size_t i = 0; i < count_of(&one); i++) {
        ck_assert(same_tensor(&one, i, weights(&one), weights(&two)));
        differs += !same_tensor(&one, i, weights(&one), weights(&real));
    }
    ck_assert_uint_gt(differs, 0);
    close_trial(&one);
    close_trial(&two);
    close_trial(&real);
}
END_TEST

/* ---- edits ---------------------------------------------------------------------- */

static void open_edit(trial *t, const char *extra)
{
    trial_of of = {.path = "configs/liar/edit.yaml",
                   .stage = "edited",
                   .variant = "prevented",
                   .workers = 1,
                   .sets = {"model.params.width=16", "model.params.heads=2",
                            "model.params.mlp=32", "stages.edited.train.batch=8",
                            "stages.edited.signals.concept.edit={steer: -4.0}"},
                   .set_count = 5};

    if (extra != NULL) {
        of.sets[of.set_count++] = extra;
    }
    trial_open(t, &of);
}

/* What the edits of a stage make of rows of zeros, (2,16). */
static void edited_zeros(trial *t, float *out)
{
    static const float zeros[32];
    const int64_t shape[] = {2, 16};
    il_site_edits edits;
    il_arena *arena = il_arena_create(1 << 12);
    il_pass *pass = NULL;
    il_error err = {0};
    il_tensor *y;

    ok(il_terms_edits(t->trainer->terms, IL_PASS_FIRST, 0, 0, arena, &edits, &err),
       &err);
    ck_assert_uint_eq(edits.count, 1);
    ok(il_pass_create(&pass, t->session.blas, t->trainer->terms->bits, &err), &err);
    il_pass_begin(pass);
    y = edits.items[0].apply(edits.items[0].user, pass,
                             il_pass_leaf(pass, 2, shape, zeros, NULL),
                             &(il_edit_at){.strength = 1.0f});
    ok(il_pass_status(pass, &err), &err);
    memcpy(out, y->data, sizeof zeros);
    il_pass_destroy(pass);
    il_arena_destroy(arena);
}

START_TEST(noise_turns_an_edit_and_keeps_how_far_it_moves)
{
    float one[32];
    float two[32];
    trial real;
    trial fake;

    open_edit(&real, NULL);
    open_edit(&fake, "stages.edited.signals.concept.scramble=noise");
    edited_zeros(&real, one);
    edited_zeros(&fake, two);
    ck_assert_int_ne(memcmp(one, two, sizeof one), 0);
    ck_assert_int_eq(memcmp(two, two + 16, 16 * sizeof *two), 0);
    qsort(one, 16, sizeof *one, by_size);
    qsort(two, 16, sizeof *two, by_size);
    for (int k = 0; k < 16; k++) {
        ck_assert_float_eq(fabsf(one[k]), fabsf(two[k]));
    }
    steps(&real, 2, false);
    steps(&fake, 2, false);
    ck_assert(!same_tensor(&real, 0, weights(&real), weights(&fake)));
    close_trial(&real);
    close_trial(&fake);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("scramble");
    Suite *suite = suite_create("loop");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, noise_turns_a_penalty_and_keeps_its_strength);
    tcase_add_test(tc, noise_yields_as_it_is_obeyed);
    tcase_add_test(tc, a_level_goes_with_a_checkpoint);
    tcase_add_test(tc, dealt_rows_keep_the_sum_of_a_penalty_and_not_whose_it_is);
    tcase_add_test(tc, a_constant_presses_all_rows_by_half);
    tcase_add_test(tc, a_gate_of_noise_knows_nothing_of_the_probe);
    tcase_add_loop_test(tc, a_placebo_has_the_same_bits_for_any_number_of_workers, 0,
                        3);
    tcase_add_test(tc, a_constant_reward_is_a_half_wherever_something_is_read);
    tcase_add_test(tc, dealt_rewards_are_the_batchs_own_in_another_order);
    tcase_add_loop_test(
        tc, a_scrambled_reward_has_the_same_bits_for_any_number_of_workers, 0, 6);
    tcase_add_test(tc, noise_turns_an_edit_and_keeps_how_far_it_moves);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
