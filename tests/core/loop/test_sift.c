/* What is left of a batch that a detector sifts: who is kept, what that does to
 * gradients and normalizers, and that no other bit moves. On a small GPT over the real
 * data, and on episodes. */
#include <math.h>
#include "trial.h"

enum { STEPS = 3, BATCH = 8 };

static const char *const small[] = {
    "model.params.width=16",     "model.params.heads=2",      "model.params.mlp=32",
    "stages.loop.train.batch=8", "stages.loop.train.lanes=4",
};

/* Liar's twin with a signal that sifts; NULL: without. */
static void open_liar(trial *t, const char *sieve, int workers, const char *optimizer)
{
    trial_of of = {.path = "configs/liar/demo.yaml",
                   .stage = "loop",
                   .variant = "monitor",
                   .workers = workers};
    static char set[256];

    for (size_t i = 0; i < sizeof small / sizeof *small; i++) {
        of.sets[of.set_count++] = small[i];
    }
    if (sieve != NULL) {
        (void)snprintf(set, sizeof set,
                       "stages.loop.signals.sieve={source: probe, channel: data, %s}",
                       sieve);
        of.sets[of.set_count++] = set;
    }
    if (optimizer != NULL) {
        of.sets[of.set_count++] = optimizer;
    }
    trial_open(t, &of);
}

static void open_lever(trial *t, const char *sieve, int workers)
{
    trial_of of = {.path = "tests/fixtures/pipelines/small_lever.yaml",
                   .stage = "mode",
                   .variant = "brain",
                   .workers = workers};
    static char set[256];

    if (sieve != NULL) {
        (void)snprintf(
            set, sizeof set,
            "stages.mode.signals.sieve={source: suffering, channel: data, %s}", sieve);
        of.sets[of.set_count++] = set;
    }
    trial_open(t, &of);
}

static void all_same(const trial *a, const trial *b)
{
    for (size_t i = 0; i < count_of(a); i++) {
        ck_assert_msg(same_tensor(a, i, weights(a), weights(b)), "%s differs",
                      a->world->model->store->items[i].name);
        ck_assert(same_tensor(a, i, a->trainer->m, b->trainer->m));
        ck_assert(same_tensor(a, i, a->trainer->v, b->trainer->v));
    }
}

static double score_of(const trial *t, int64_t example, float *share)
{
    for (size_t m = 0; m < t->trainer->micro_count; m++) {
        const il_micro *micro = &t->trainer->micros[m];

        if (example < micro->count) {
            *share = micro->share[example];
            return micro->scores[example];
        }
        example -= micro->count;
    }
    ck_abort_msg("no such example");
    return 0;
}

static const char *const every[] = {"keep: {above: 0.5}", "keep: {highest: 0.25}",
                                    "reweight: complement",
                                    "reweight: {exponential: 0.3}"};

START_TEST(two_workers_give_the_bits_of_one)
{
    trial one;
    trial two;

    open_liar(&one, every[_i], 1, NULL);
    open_liar(&two, every[_i], 2, NULL);
    steps(&one, STEPS, false);
    steps(&two, STEPS, false);
    all_same(&one, &two);
    close_trial(&one);
    close_trial(&two);
    open_lever(&one, every[_i], 1);
    open_lever(&two, every[_i], 2);
    steps(&one, STEPS, false);
    steps(&two, STEPS, false);
    all_same(&one, &two);
    ck_assert_int_gt(one.trainer->terms->sifts[0].scored, 0);
    close_trial(&one);
    close_trial(&two);
}
END_TEST

START_TEST(who_keeps_all_changes_no_bit)
{
    trial plain;
    trial sifted;

    open_liar(&plain, NULL, 1, NULL);
    open_liar(&sifted, "keep: {lowest: 1}", 1, NULL);
    steps(&plain, STEPS, false);
    steps(&sifted, STEPS, false);
    all_same(&plain, &sifted);
    close_trial(&plain);
    close_trial(&sifted);
    open_lever(&plain, NULL, 1);
    open_lever(&sifted, "keep: {lowest: 1}", 1);
    steps(&plain, STEPS, false);
    steps(&sifted, STEPS, false);
    all_same(&plain, &sifted);
    close_trial(&plain);
    close_trial(&sifted);
}
END_TEST

START_TEST(an_example_that_is_dropped_gives_no_gradient_at_all)
{
    trial t;

    for (int lever = 0; lever < 2; lever++) {
        if (lever) {
            open_lever(&t, "keep: {below: 0}", 1);
        } else {
            open_liar(&t, "keep: {below: 0}", 1,
                      "stages.loop.train.optimizer={use: adam, lr: 1e-2}");
        }
        steps(&t, 1, false);
        for (size_t i = 0; i < count_of(&t); i++) {
            const il_stored *s = &t.world->model->store->items[i];

            ck_assert(same_tensor(&t, i, weights(&t), t.start));
            for (int64_t k = 0; k < s->count; k++) {
                ck_assert(t.trainer->m[s->offset + k] == 0.0f);
            }
        }
        ck_assert(t.trainer->norm == 0.0);
        close_trial(&t);
    }
}
END_TEST

START_TEST(the_lowest_share_of_a_batch_is_kept_to_the_example)
{
    double highest_kept = -1;
    double lowest_dropped = 2;
    int kept = 0;
    trial t;

    open_liar(&t, "keep: {lowest: 0.375}", 2, NULL);
    steps(&t, 1, false);
    for (int64_t e = 0; e < BATCH; e++) {
        float share = 0;
        double p = score_of(&t, e, &share);

        ck_assert(p >= 0 && p <= 1);
        ck_assert(share == 0.0f || share == 1.0f);
        kept += share == 1.0f;
        highest_kept = share == 1.0f && p > highest_kept ? p : highest_kept;
        lowest_dropped = share == 0.0f && p < lowest_dropped ? p : lowest_dropped;
    }
    ck_assert_int_eq(kept, 3);
    ck_assert(highest_kept <= lowest_dropped);
    ck_assert(t.trainer->terms->sifts[0].kept == 3.0);
    ck_assert_int_eq(t.trainer->terms->sifts[0].scored, BATCH);
    close_trial(&t);
}
END_TEST

START_TEST(weights_are_those_of_their_formula)
{
    for (int i = 2; i < 4; i++) {
        trial t;

        open_liar(&t, every[i], 1, NULL);
        steps(&t, 1, false);
        for (int64_t e = 0; e < BATCH; e++) {
            float share = 0;
            double p = score_of(&t, e, &share);

            ck_assert(share == (float)(i == 2 ? 1.0 - p : exp(-p / 0.3)));
        }
        close_trial(&t);
    }
}
END_TEST

/* The mean is over what the examples weigh, so that what is kept is a smaller batch:
 * where every example weighs the same, nothing but the last bits can differ. */
START_TEST(normalizers_are_sums_of_weights)
{
    trial t;
    double sum = 0;

    open_liar(&t, every[3], 1, NULL);
    steps(&t, 1, false);
    for (size_t m = 0; m < t.trainer->micro_count; m++) {
        sum += t.trainer->micros[m].weights[0];
    }
    ck_assert(t.trainer->terms->items[0].normalizer == sum);
    /* a watched signal sees the whole batch */
    ck_assert(!t.trainer->terms->items[1].trains);
    for (size_t m = 0; m < t.trainer->micro_count; m++) {
        ck_assert(t.trainer->micros[m].weights[1] ==
                  (double)t.trainer->micros[m].rows[1]);
    }
    close_trial(&t);
}
END_TEST

/* The loss of a batch at other weights of a parameter that no score depends on. */
static double loss_at(const char *sieve, int64_t at, float moved)
{
    trial t;
    double loss;

    open_liar(&t, sieve, 1, "stages.loop.train.optimizer={use: sgd, lr: 1}");
    t.world->model->store->values[at] += moved;
    steps(&t, 1, false);
    loss = t.trainer->values[0];
    close_trial(&t);
    return loss;
}

START_TEST(gradients_are_the_differences_of_the_weighed_loss)
{
    const il_stored *head = NULL;
    float largest = 0;
    int64_t at = 0;
    double slope;
    trial t;

    open_liar(&t, every[_i], 1, "stages.loop.train.optimizer={use: sgd, lr: 1}");
    steps(&t, 1, false);
    for (size_t i = 0; i < count_of(&t); i++) {
        if (strcmp(t.world->model->store->items[i].group, "unembed") == 0) {
            head = &t.world->model->store->items[i];
        }
    }
    ck_assert_ptr_nonnull(head);
    for (int64_t i = head->offset; i < head->offset + head->count; i++) {
        float g = fabsf(t.start[i] - weights(&t)[i]);

        if (g > largest) {
            largest = g;
            at = i;
        }
    }
    /* one step of SGD at rate 1 is the gradient, up to the clip */
    ck_assert_float_gt(largest, 0);
    slope = (loss_at(every[_i], at, 0.05f) - loss_at(every[_i], at, -0.05f)) / 0.1;
    ck_assert_double_le(fabs((double)(t.start[at] - weights(&t)[at]) *
                                 (t.trainer->norm > 1.0 ? t.trainer->norm : 1.0) -
                             slope),
                        0.02 * fabs(slope));
    close_trial(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sift");
    TCase *c = tcase_create("sift");
    SRunner *sr;
    int failed;

    tcase_set_timeout(c, 240);
    tcase_add_loop_test(c, two_workers_give_the_bits_of_one, 0, 4);
    tcase_add_test(c, who_keeps_all_changes_no_bit);
    tcase_add_test(c, an_example_that_is_dropped_gives_no_gradient_at_all);
    tcase_add_test(c, the_lowest_share_of_a_batch_is_kept_to_the_example);
    tcase_add_test(c, weights_are_those_of_their_formula);
    tcase_add_test(c, normalizers_are_sums_of_weights);
    tcase_add_loop_test(c, gradients_are_the_differences_of_the_weighed_loss, 0, 4);
    suite_add_tcase(s, c);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
