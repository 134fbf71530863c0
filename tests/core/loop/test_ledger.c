/* What the ledger promises, on a small GPT over real data and on a small Far Lever: its
 * gradients add up to what the optimizer did, its work to what the loss lost, and
 * keeping it changes nothing. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "loop/ledger_file.h"
#include "folder.h"
#include "small_trial.h"
#include <check.h>

enum { STEPS = 3 };

/* ---- sums ----------------------------------------------------------------------- */

/* Whether all that a pass's parameters moved by in the last optimizer step is `rate`
 * times minus the sum of the ledger's gradients: a weight is rounded once a step, and
 * the gradients are sums of floats. */
static void check_moves(const trial *t, double rate)
{
    const il_ledger *l = t->kept.ledger;
    size_t moved = 0;

    for (int k = 0; k < IL_PASS_KINDS && l->before[k] != NULL; k++) {
        for (size_t p = 0; p < store(t)->count; p++) {
            const il_stored *item = &store(t)->items[p];
            double off = 0;
            double whole = 0;
            double rounding = 0;

            for (int64_t i = 0; t->trainer->stepped[k][p] && i < item->count; i++) {
                double before = l->before[k][item->offset + i];
                double move = (double)t->trainer->bound[k][p][i] - before;
                double says = rate * slope_of(l, k, item->offset + i);

                off += (move - says) * (move - says);
                whole += move * move;
                rounding += 6e-8 * 6e-8 * before * before;
            }
            moved += whole > 0;
            ck_assert_msg(sqrt(off) <= 2e-5 * sqrt(whole) + sqrt(rounding),
                          "%s, pass %d: off by %g of %g, rounding %g", item->name, k,
                          sqrt(off), sqrt(whole), sqrt(rounding));
        }
    }
    ck_assert_uint_gt(moved, 0);
}

START_TEST(plain_descent_moves_by_the_sum_of_the_signals)
{
    static const char *const variants[] = {"naive",  "leaky",       "placebo_shuffled",
                                           "shadow", "a2c",         "ppo",
                                           "group",  "gated_credit"};
    trial t;

    open_trial(&t, variants[_i], 2, 1, NULL);
    for (int i = 0; i < STEPS; i++) {
        step(&t);
        check_moves(&t, 0.01);
    }
    close_trial(&t);
}
END_TEST

/* Whatever a detector is: one made of others, a gate open to the gradient, an edit. */
START_TEST(every_way_in_is_taken_apart)
{
    static const struct {
        const char *variant;
        const char *sets[3];
        const char *entry;
        bool own;
    } ways[] = {
        {"naive",
         {"detectors.both={use: ensemble, of: [probe, other]}",
          "stages.loop.signals.pressure.source=both", NULL},
         "pressure",
         true},
        {"leaky",
         {"stages.loop.signals.honesty.gate={detector: probe, through: true}",
          "stages.loop.signals.honesty.route=all", NULL},
         "honesty",
         true},
        {"monitor",
         {"stages.loop.signals.concept={source: probe, channel: edit, edit: {steer: 1.0}}",
          "stages.loop.firewall=open", NULL},
         "language",
         false},
    };
    const char *sets[5] = {
        "stages.loop.firewall=open",
        "detectors.other={use: linear_probe, site: blocks.1.hook_resid_post, "
        "tokens: claims, fit: {split: probe_train, label: deceiver}}",
        ways[_i].sets[0], ways[_i].sets[1], NULL};
    const il_ledger_entry *e;
    trial t;

    open_trial(&t, ways[_i].variant, 2, 1, sets);
    step(&t);
    check_moves(&t, 0.01);
    e = entry_of(&t.kept, ways[_i].entry);
    ck_assert(e->own == ways[_i].own);
    ck_assert_double_gt(il_ledger_all(t.kept.ledger, e).norm, 0.0);
    close_trial(&t);
}
END_TEST

/* A clip group scales what all signals do to it by one factor, which the gradient's
 * norm tells. */
START_TEST(clipped_descent_moves_by_the_clip_s_share_of_the_sum)
{
    static const char *const sets[] = {
        "stages.loop.train.clip=[{groups: all, norm: 0.25}]", NULL};
    trial t;

    open_trial(&t, "naive", 1, 1, sets);
    step(&t);
    ck_assert_double_gt(t.trainer->norm, 0.25);
    check_moves(&t, 0.01 * 0.25 / (t.trainer->norm + 1e-6));
    close_trial(&t);
}
END_TEST

/* The sum of all signals' losses, with their weights, at the last step's start. */
static double loss_of(const trial *t)
{
    double sum = 0;

    for (size_t i = 0; i < t->trainer->terms->count; i++) {
        const il_term *term = &t->trainer->terms->items[i];

        if (term->trains) {
            sum += t->trainer->values[i] * il_term_weight(term->spec, 0, 1);
        }
    }
    return sum;
}

static double work_of(const trial *t)
{
    double sum = 0;

    for (size_t i = 0; i < t->kept.ledger->count; i++) {
        sum += il_ledger_all(t->kept.ledger, &t->kept.ledger->entries[i]).work;
    }
    return sum;
}

/* One step, and the same batch again from where it led: to first order the work is what
 * the loss lost, and with the gradients of both ends, which is exact where the loss is
 * quadratic, to third. */
START_TEST(work_is_what_the_loss_lost)
{
    static const char *const sets[] = {
        "stages.loop.train.optimizer={use: sgd, lr: 0.0002}", NULL};
    trial t;
    double before;
    double lost;
    double work;
    double ends = 0;
    float *gradient;
    float *move;
    const il_ledger *l;

    open_trial(&t, "naive", 1, 1, sets);
    l = t.kept.ledger;
    gradient = il_store_block(store(&t));
    move = il_store_block(store(&t));
    step(&t);
    before = loss_of(&t);
    work = work_of(&t);
    for (int64_t i = 0; i < store(&t)->total; i++) {
        move[i] = store(&t)->values[i] - l->before[0][i];
        gradient[i] = (float)-slope_of(l, 0, i);
    }
    t.trainer->step--;
    step(&t);
    lost = before - loss_of(&t);
    for (int64_t i = 0; i < store(&t)->total; i++) {
        ends -= 0.5 * (gradient[i] - slope_of(l, 0, i)) * move[i];
    }
    ck_assert_double_gt(lost, 1e-3);
    ck_assert_double_eq_tol(work, lost, 0.2 * lost);
    ck_assert_double_eq_tol(ends, lost, 0.005 * lost);
    free(gradient);
    free(move);
    close_trial(&t);
}
END_TEST

/* By hand, of one parameter. */
START_TEST(norm_cosine_and_work_are_what_they_say)
{
    trial t;
    const il_ledger_entry *e;
    const il_ledger_entry *rest;
    const il_stored *item;
    double squares = 0;
    double others = 0;
    double dots = 0;
    double work = 0;
    int64_t p;
    il_ledger_sum got;

    open_trial(&t, "naive", 1, 1, NULL);
    step(&t);
    e = entry_of(&t.kept, "pressure");
    rest = entry_of(&t.kept, IL_LEDGER_UNTAINTED);
    p = il_store_find(store(&t), "blocks.1.mlp.W_in");
    ck_assert_int_ge(p, 0);
    item = &store(&t)->items[p];
    for (int64_t i = item->offset; i < item->offset + item->count; i++) {
        double g = e->gradient[i];
        double o = rest->gradient[i];

        squares += g * g;
        others += o * o;
        dots += g * o;
        work += g * 0.01 * (g + o);
    }
    got = il_ledger_tensor(t.kept.ledger, e, (size_t)p);
    ck_assert_double_eq_tol(got.norm, sqrt(squares), 1e-9 * sqrt(squares));
    ck_assert_double_eq_tol(got.cosine, dots / sqrt(squares * others), 1e-9);
    ck_assert_double_eq_tol(got.work, work, 1e-4 * work);
    /* Nothing else is there to compare the other signals with. */
    ck_assert(isnan(il_ledger_tensor(t.kept.ledger, rest, (size_t)p).cosine));
    close_trial(&t);
}
END_TEST

/* What a reader reads, and the rest, make up the whole. */
START_TEST(the_split_by_readers_adds_up)
{
    trial t;

    open_trial(&t, "leaky", 1, 1, NULL);
    step(&t);
    for (size_t i = 0; i < t.kept.ledger->count; i++) {
        const il_ledger_entry *e = &t.kept.ledger->entries[i];
        il_ledger_sum all = il_ledger_all(t.kept.ledger, e);

        for (size_t r = 0; r < t.kept.ledger->reader_count; r++) {
            il_ledger_sum read = il_ledger_read(t.kept.ledger, e, r);
            il_ledger_sum rest = il_ledger_rest(t.kept.ledger, e, r);

            ck_assert_double_eq_tol(read.norm * read.norm + rest.norm * rest.norm,
                                    all.norm * all.norm, 1e-9 * all.norm * all.norm);
            ck_assert_double_eq_tol(read.work + rest.work, all.work,
                                    1e-9 * fabs(all.work) + 1e-15);
        }
    }
    /* Honesty is routed downstream of the probe, so it spends nothing on what that
     * reads. */
    ck_assert_double_eq(
        il_ledger_read(t.kept.ledger, entry_of(&t.kept, "honesty"), 0).norm, 0.0);
    close_trial(&t);
}
END_TEST

/* ---- observing ------------------------------------------------------------------ */

START_TEST(neither_the_ledger_nor_its_interval_changes_a_bit)
{
    static const struct {
        const char *variant;
        int workers;
        int64_t every;
    } kinds[] = {{"naive", 2, 1}, {"naive", 1, 2}, {"leaky", 2, 2}, {"shadow", 2, 1},
                 {"a2c", 2, 1},   {"group", 2, 1}, {"ppo", 2, 2}};
    trial plain;
    trial t;

    open_trial(&plain, kinds[_i].variant, 1, 0, NULL);
    ck_assert_ptr_null(plain.kept.ledger);
    open_trial(&t, kinds[_i].variant, kinds[_i].workers, kinds[_i].every, NULL);
    for (int i = 0; i < STEPS; i++) {
        step(&plain);
        step(&t);
        ck_assert(il_ledger_sampled(t.kept.ledger) == (i % kinds[_i].every == 0));
        ck_assert_mem_eq(store(&plain)->values, store(&t)->values,
                         (size_t)store(&t)->total * sizeof(float));
        ck_assert_mem_eq(plain.trainer->values, t.trainer->values,
                         t.trainer->terms->count * sizeof(double));
    }
    close_trial(&plain);
    close_trial(&t);
}
END_TEST

START_TEST(two_workers_write_the_line_of_one)
{
    static const char *const variants[] = {"leaky", "shadow", "a2c", "ppo"};
    il_text lines[2] = {{0}, {0}};

    for (int w = 0; w < 2; w++) {
        trial t;

        open_trial(&t, variants[_i], w + 1, 1, NULL);
        step(&t);
        step(&t);
        il_ledger_line(t.kept.ledger, &lines[w]);
        ck_assert(!lines[w].failed);
        close_trial(&t);
    }
    ck_assert_str_eq(lines[0].data, lines[1].data);
    il_text_free(&lines[0]);
    il_text_free(&lines[1]);
}
END_TEST

START_TEST(it_is_kept_by_default_where_a_detector_presses)
{
    trial t;

    open_trial(&t, "monitor", 1, -1, NULL);
    ck_assert_ptr_null(t.kept.ledger);
    close_trial(&t);
    open_trial(&t, "leaky", 1, -1, NULL);
    ck_assert_ptr_nonnull(t.kept.ledger);
    ck_assert(t.kept.ledger->chosen);
    ck_assert_int_eq(t.kept.ledger->every, 60); /* two entries */
    close_trial(&t);
    open_trial(&t, "leaky", 1, 0, NULL);
    ck_assert_ptr_null(t.kept.ledger);
    close_trial(&t);
    open_trial(&t, "monitor", 1, 3, NULL); /* asked for */
    ck_assert_ptr_nonnull(t.kept.ledger);
    ck_assert_uint_eq(t.kept.ledger->count, 1);
    close_trial(&t);
}
END_TEST

/* ---- totals --------------------------------------------------------------------- */

/* Samples at steps 1 and 4 of 6: work 2 and 6, so 2 + (10/3 + 14/3) + 6 + 2 * 6. */
START_TEST(totals_are_exact_on_samples_and_straight_between_them)
{
    static const char lines[] =
        "{\"step\": 1, \"signals\": {\"pressure\": {\"norm\": 3, \"cosine\": 0.5, "
        "\"work\": 2, \"tensors\": {\"embed.W_E\": [3, null, 2]}}, \"(untainted)\": "
        "{\"norm\": 1, \"cosine\": null, \"work\": 0}}}\n"
        "{\"step\": 4, \"signals\": {\"pressure\": {\"norm\": 4, \"cosine\": -0.1, "
        "\"work\": 6, \"tensors\": {\"embed.W_E\": [4, 0.25, 6]}}, \"(untainted)\": "
        "{\"norm\": 1, \"cosine\": null, \"work\": -1}}}\n";
    json_t *totals = NULL;
    const json_t *s;
    const json_t *tensor;
    il_error err = {0};
    trial t;

    open_trial(&t, "naive", 1, 1, NULL);
    put(in_folder("ledger.jsonl"), lines);
    ok(il_ledger_totals(t.kept.ledger, in_folder("ledger.jsonl"), 6, &totals, &err),
       &err);
    ck_assert_int_eq(json_integer_value(json_object_get(totals, "samples")), 2);
    s = json_object_get(json_object_get(totals, "signals"), "pressure");
    tensor = json_object_get(json_object_get(s, "tensors"), "embed.W_E");
    ck_assert_double_eq_tol(json_number_value(json_object_get(s, "work")), 28, 1e-12);
    ck_assert_double_eq(json_number_value(json_object_get(s, "sampled_work")), 8);
    ck_assert_double_eq_tol(json_number_value(json_object_get(s, "norm")), sqrt(12.5),
                            1e-12);
    ck_assert_double_eq_tol(json_number_value(json_object_get(s, "cosine")), 0.2,
                            1e-12);
    ck_assert_double_eq_tol(json_number_value(json_object_get(tensor, "work")), 28,
                            1e-12);
    ck_assert_double_eq(json_number_value(json_object_get(tensor, "cosine")), 0.25);
    s = json_object_get(json_object_get(totals, "signals"), IL_LEDGER_UNTAINTED);
    ck_assert(json_is_null(json_object_get(s, "cosine")));
    /* 0, then -1/3 and -2/3, -1, and two more of that */
    ck_assert_double_eq_tol(json_number_value(json_object_get(s, "work")), -4, 1e-12);
    json_decref(totals);
    close_trial(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ledger");
    TCase *tc = tcase_create("ledger");
    SRunner *sr;
    int failed;

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 240);
    tcase_add_loop_test(tc, plain_descent_moves_by_the_sum_of_the_signals, 0, 8);
    tcase_add_loop_test(tc, every_way_in_is_taken_apart, 0, 3);
    tcase_add_test(tc, clipped_descent_moves_by_the_clip_s_share_of_the_sum);
    tcase_add_test(tc, work_is_what_the_loss_lost);
    tcase_add_test(tc, norm_cosine_and_work_are_what_they_say);
    tcase_add_test(tc, the_split_by_readers_adds_up);
    tcase_add_loop_test(tc, neither_the_ledger_nor_its_interval_changes_a_bit, 0, 7);
    tcase_add_loop_test(tc, two_workers_write_the_line_of_one, 0, 4);
    tcase_add_test(tc, it_is_kept_by_default_where_a_detector_presses);
    tcase_add_test(tc, totals_are_exact_on_samples_and_straight_between_them);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? 0 : 1;
}
