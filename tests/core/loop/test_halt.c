/* Halts: the rule from readings to decisions, its words, and its record. */
#include "loop/halt.h"
#include <check.h>
#include <math.h>
#include <string.h>

static il_arena *arena;
static il_signal_spec signal_;
static il_stage_spec stage;
static il_halts halts;
static il_error err;

/* A stage of 8 steps with audits every 2 whose guard has this rule. */
static il_halt *guard(il_halt_spec rule)
{
    rule.given = true;
    rule.metric = rule.metric != NULL ? rule.metric : "probe.tpr";
    rule.patience = rule.patience > 0 ? rule.patience : 1;
    rule.until = rule.until != 0 ? rule.until : rule.bound;
    signal_ = (il_signal_spec){.name = "guard",
                               .source = {.kind = IL_SOURCE_DETECTOR, .name = "probe"},
                               .channel = IL_CHANNEL_HALT,
                               .halt = rule};
    stage = (il_stage_spec){.name = "loop", .signals = &signal_, .signal_count = 1};
    stage.train.steps = 8;
    stage.audit.every = 2;
    ck_assert_int_eq(il_halts_open(&halts, &stage, arena, &err), IL_OK);
    ck_assert_uint_eq(halts.count, 1);
    return &halts.items[0];
}

static void set_up(void)
{
    arena = il_arena_create(4096);
    ck_assert_ptr_nonnull(arena);
}

static void tear_down(void)
{
    il_arena_destroy(arena);
}

START_TEST(it_fires_at_the_first_reading_beyond_its_line_and_only_then)
{
    il_halt *h = guard((il_halt_spec){.below = true, .bound = 0.5});

    ck_assert_uint_eq(il_halt_judge(h, 0.6, 0), 0);
    ck_assert_uint_eq(il_halt_judge(h, 0.5, 2), 0);
    ck_assert_uint_eq(il_halt_judge(h, 0.4, 4), IL_HALT_FIRES);
    ck_assert_uint_eq(il_halt_judge(h, 0.3, 6), 0);
    ck_assert_int_eq(h->first, 4);
    ck_assert_int_eq(h->times, 1);
    ck_assert_int_eq(h->looks, 4);
}
END_TEST

START_TEST(above_is_ill_on_the_other_side)
{
    il_halt *h = guard((il_halt_spec){.bound = 0.5});

    ck_assert_uint_eq(il_halt_judge(h, 0.5, 0), 0);
    ck_assert_uint_eq(il_halt_judge(h, 0.6, 2), IL_HALT_FIRES);
}
END_TEST

START_TEST(patience_asks_for_audits_in_a_row)
{
    il_halt *h = guard((il_halt_spec){.below = true, .bound = 0.5, .patience = 2});

    ck_assert_uint_eq(il_halt_judge(h, 0.4, 0), 0);
    ck_assert_uint_eq(il_halt_judge(h, 0.6, 2), 0);
    ck_assert_uint_eq(il_halt_judge(h, 0.4, 4), 0);
    ck_assert_uint_eq(il_halt_judge(h, 0.4, 6), IL_HALT_FIRES);
}
END_TEST

START_TEST(who_is_ill_stays_so_until_the_reading_is_back_over_the_second_line)
{
    il_halt *h = guard((il_halt_spec){.below = true,
                                      .bound = 0.5,
                                      .until = 0.7,
                                      .patience = 2,
                                      .keep = IL_HALT_KEEP_BEFORE});

    ck_assert_uint_eq(il_halt_judge(h, 0.6, 0), IL_HALT_KEEP);
    ck_assert_uint_eq(il_halt_judge(h, 0.4, 2), 0);
    ck_assert_uint_eq(il_halt_judge(h, 0.6, 4), IL_HALT_FIRES);
    ck_assert_int_eq(h->kept, 0);
    ck_assert_uint_eq(il_halt_judge(h, 0.7, 6), IL_HALT_KEEP);
    ck_assert(!h->ill);
}
END_TEST

START_TEST(an_alarm_sounds_again_for_another_illness_and_a_freeze_is_for_good)
{
    const il_halt_action actions[] = {IL_HALT_ALARM, IL_HALT_FREEZE};

    for (int i = 0; i < 2; i++) {
        il_halt *h =
            guard((il_halt_spec){.below = true, .bound = 0.5, .action = actions[i]});

        ck_assert_uint_eq(il_halt_judge(h, 0.4, 0), IL_HALT_FIRES);
        ck_assert_uint_eq(il_halt_judge(h, 0.6, 2), 0);
        ck_assert_int_eq(h->raised, i == 1);
        ck_assert_uint_eq(il_halt_judge(h, 0.4, 4), i == 0 ? IL_HALT_FIRES : 0u);
        ck_assert_int_eq(h->first, 0);
    }
}
END_TEST

START_TEST(a_reading_that_is_none_changes_nothing)
{
    il_halt *h = guard((il_halt_spec){.below = true, .bound = 0.5, .patience = 2});

    ck_assert_uint_eq(il_halt_judge(h, 0.4, 0), 0);
    ck_assert_uint_eq(il_halt_judge(h, (double)NAN, 2), 0);
    ck_assert_int_eq(h->looks, 1);
    ck_assert_uint_eq(il_halt_judge(h, 0.4, 4), IL_HALT_FIRES);
}
END_TEST

START_TEST(the_best_reading_is_the_farthest_on_the_healthy_side)
{
    il_halt *h =
        guard((il_halt_spec){.below = true, .bound = 0.5, .keep = IL_HALT_KEEP_BEST});

    ck_assert_uint_eq(il_halt_judge(h, 0.6, 0), IL_HALT_KEEP);
    ck_assert_uint_eq(il_halt_judge(h, 0.8, 2), IL_HALT_KEEP);
    ck_assert_uint_eq(il_halt_judge(h, 0.8, 4), 0);
    ck_assert_int_eq(h->kept, 2);
    h = guard((il_halt_spec){.bound = 0.5, .keep = IL_HALT_KEEP_BEST});
    ck_assert_uint_eq(il_halt_judge(h, 0.4, 0), IL_HALT_KEEP);
    ck_assert_uint_eq(il_halt_judge(h, 0.45, 2), 0);
    ck_assert_uint_eq(il_halt_judge(h, 0.3, 4), IL_HALT_KEEP);
}
END_TEST

START_TEST(a_record_that_is_read_back_goes_on_as_the_halt_would_have)
{
    il_halt_spec rule = {
        .below = true, .bound = 0.5, .patience = 2, .keep = IL_HALT_KEEP_BEFORE};
    il_halt *h = guard(rule);
    json_t *json;

    (void)il_halt_judge(h, 0.1 + 0.5, 0);
    (void)il_halt_judge(h, 0.4, 2);
    json = il_halts_json(&halts);
    h = guard(rule);
    ck_assert_int_eq(il_halts_read(&halts, json, &err), IL_OK);
    ck_assert(h->best == 0.1 + 0.5);
    ck_assert_int_eq(h->kept, 0);
    ck_assert_uint_eq(il_halt_judge(h, 0.4, 4), IL_HALT_FIRES);
    json_array_clear(json);
    ck_assert_int_eq(il_halts_read(&halts, json, &err), IL_ERR_INPUT);
    json_decref(json);
}
END_TEST

/* Audits at 0, 2, 4 and 6 may end a stage of 8 steps early; that at 8 only by going
 * back; and it may run to its end. */
START_TEST(ends_are_the_audits_that_can_fire_and_one_more)
{
    const struct {
        il_halt_spec rule;
        int64_t ends;
    } cases[] = {
        {{.below = true, .bound = 0.5}, 5},
        {{.below = true, .bound = 0.5, .patience = 2}, 4},
        {{.below = true, .bound = 0.5, .keep = IL_HALT_KEEP_BEFORE}, 6},
        {{.metric = "fresh.linear.auroc", .minus = "probe.auroc", .bound = 0.1}, 4},
        {{.below = true, .bound = 0.5, .patience = 9}, 1},
        {{.below = true, .bound = 0.5, .action = IL_HALT_ALARM}, 1},
        {{.below = true, .bound = 0.5, .action = IL_HALT_FREEZE}, 5},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const il_halt *h = guard(cases[i].rule);

        ck_assert_int_eq(il_halt_ends(&stage, &h->spec->halt), cases[i].ends);
    }
}
END_TEST

START_TEST(its_words_say_what_is_read_and_what_is_done)
{
    const char *groups[] = {"desire", "value"};
    const il_halt *h = guard((il_halt_spec){.metric = "fresh.linear.auroc",
                                            .minus = "probe.auroc",
                                            .bound = 0.1,
                                            .patience = 2,
                                            .action = IL_HALT_FREEZE,
                                            .freeze = {.items = groups, .count = 2}});

    ck_assert_str_eq(il_halt_line(arena, &h->spec->halt),
                     "fresh.linear.auroc minus probe.auroc above 0.1 for 2 audits");
    ck_assert_str_eq(il_halt_deed(arena, &h->spec->halt), "freeze desire, value");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("halt");
    TCase *c = tcase_create("halt");
    SRunner *sr;
    int failed;

    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_test(c, it_fires_at_the_first_reading_beyond_its_line_and_only_then);
    tcase_add_test(c, above_is_ill_on_the_other_side);
    tcase_add_test(c, patience_asks_for_audits_in_a_row);
    tcase_add_test(c,
                   who_is_ill_stays_so_until_the_reading_is_back_over_the_second_line);
    tcase_add_test(c,
                   an_alarm_sounds_again_for_another_illness_and_a_freeze_is_for_good);
    tcase_add_test(c, a_reading_that_is_none_changes_nothing);
    tcase_add_test(c, the_best_reading_is_the_farthest_on_the_healthy_side);
    tcase_add_test(c, a_record_that_is_read_back_goes_on_as_the_halt_would_have);
    tcase_add_test(c, ends_are_the_audits_that_can_fire_and_one_more);
    tcase_add_test(c, its_words_say_what_is_read_and_what_is_done);
    suite_add_tcase(s, c);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_NORMAL);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
