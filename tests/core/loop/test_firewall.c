/* The verdicts of every way of training on a detector in the Liar experiment, on a
 * model of four parameters: `probe` reads the output of block 2, and so depends on
 * embed and blocks.2.mlp.W_in and not on blocks.3.mlp.W_in and unembed. */
#include <stdlib.h>
#include <string.h>
#include "loop/firewall.h"
#include <check.h>

enum { UP = 3, DOWN = 12, ALL = 15, SHADOW = DOWN << 4, NONE = 0 };

#define RELAY_AND_STATE (IL_DEMAND_RELAY | IL_DEMAND_STATE)

static const char *const names[] = {"embed",
                                    "blocks.2.mlp.W_in",
                                    "blocks.3.mlp.W_in",
                                    "unembed",
                                    "embed (shadow)",
                                    "blocks.2.mlp.W_in (shadow)",
                                    "blocks.3.mlp.W_in (shadow)",
                                    "unembed (shadow)"};
static const il_word up = UP, down = DOWN, all = ALL, none = NONE;
static const il_word up_and_shadow = UP | SHADOW;
static const il_word embed = 1, block2 = 2, block3 = 4, unembed = 8;
static const il_word *const score_g[] = {&up};
static const uint8_t not_entered[] = {IL_ENTERS_NOT};
static const uint8_t by_score[] = {IL_ENTERS_SCORE};
static const uint8_t by_constant[] = {IL_ENTERS_CONSTANT};
static const uint8_t by_both[] = {IL_ENTERS_SCORE | IL_ENTERS_CONSTANT};

static const il_flow_reader readers[] = {
    {.name = "probe", .reads = &up},
    {.name = "auditor", .reads = &up, .vault = true},
    {.name = "probe on its own text (flag_now)",
     .reads = &up,
     .audit_only = true,
     .inputs = {&all, "text that the model writes"}},
    {.name = "fresh.mlp", .reads = &up, .audit_only = true},
};
static const il_matrix_group groups[] = {{"embed", &embed},
                                         {"blocks.2", &block2},
                                         {"blocks.3", &block3},
                                         {"unembed", &unembed}};
static const il_flow_clip joint[] = {{"all", &all, 1.0}};

/* The signals of the arms. */
#define LANGUAGE(to)                                                                   \
    {                                                                                  \
        .name = "language", .g = &all, .v = &all, .updates = (to),                     \
        .enters = not_entered                                                          \
    }
#define HONESTY(to, how)                                                               \
    {                                                                                  \
        .name = "honesty", .g = &all, .v = &all, .updates = (to), .enters = (how),     \
        .score_g = score_g                                                             \
    }
#define PRESSURE(to)                                                                   \
    {                                                                                  \
        .name = "pressure", .g = &up, .v = &up, .updates = (to), .enters = by_score,   \
        .score_g = score_g                                                             \
    }

static il_flow_source probe;
static il_flow flow;
static il_arena *arena;

static void setup(void)
{
    arena = il_arena_create(4096);
    ck_assert_ptr_nonnull(arena);
    probe = (il_flow_source){.name = "probe", .presses = true};
    flow = (il_flow){
        .bits = 4,
        .names = names,
        .sources = &probe,
        .source_count = 1,
        .readers = readers,
        .reader_count = 4,
        .clips = joint,
        .clip_count = 1,
        .groups = groups,
        .group_count = 4,
    };
}

static void teardown(void)
{
    il_arena_destroy(arena);
}

static const il_verdict *judge(const il_flow_signal *signals, size_t count)
{
    const il_verdict *v;

    flow.signals = signals;
    flow.signal_count = count;
    v = il_firewall_judge(arena, &flow);
    ck_assert_ptr_nonnull(v);
    return v;
}

static const il_verdict_pair *pair_of(const il_verdict *v, const char *reader)
{
    const il_verdict_pair *pair = il_verdict_find(v, "probe", reader);

    ck_assert_msg(pair != NULL, "no pair of probe and %s", reader);
    return pair;
}

/* The row of eight for `probe` as its own reader; a row without rollouts says that
 * data is not applicable, and a channel has a path if and only if it is open. */
static void expect(const il_verdict *v, unsigned open)
{
    const il_verdict_pair *pair = pair_of(v, "probe");

    ck_assert_uint_eq(il_verdict_open(pair), open);
    ck_assert_uint_eq(il_verdict_open(pair_of(v, "auditor")), open);
    ck_assert_int_eq(pair->cells[IL_FLOW_DATA].opening, IL_NOT_APPLICABLE);
    for (int c = 0; c < IL_FLOW_CHANNELS; c++) {
        ck_assert_int_eq(pair->cells[c].path != NULL,
                         pair->cells[c].opening == IL_OPEN);
    }
}

static const char *path(const il_verdict *v, il_flow_channel channel)
{
    return pair_of(v, "probe")->cells[channel].path;
}

START_TEST(a_monitor_is_no_source)
{
    const il_flow_signal signals[] = {LANGUAGE(&all)};
    const il_verdict *v;

    probe.presses = false;
    v = judge(signals, 1);
    ck_assert_uint_eq(v->pair_count, 0);
    ck_assert_uint_eq(v->pressed[0][0], NONE);
    ck_assert_ptr_null(il_verdict_find(v, "probe", "probe"));
}
END_TEST

START_TEST(a_gate_that_knows_nothing_of_the_probe_makes_no_source)
{
    /* placebo_constant and placebo_label */
    const il_flow_signal signals[] = {LANGUAGE(&all), HONESTY(&down, not_entered)};
    il_error err = {0};
    const il_verdict *v;

    probe.presses = false;
    v = judge(signals, 2);
    ck_assert_uint_eq(v->pair_count, 0);
    ck_assert_int_eq(il_verdict_demand(v, IL_DEMAND_ISOLATED, "loop", &err), IL_OK);
}
END_TEST

START_TEST(a_pure_penalty_routed_downstream_changes_nothing)
{
    const il_flow_signal signals[] = {LANGUAGE(&all), PRESSURE(&none)};
    const il_verdict *v = judge(signals, 2);

    expect(v, 0);
    ck_assert_uint_eq(v->pair_count, 4);
    ck_assert_uint_eq(v->pressed[0][0], NONE);
}
END_TEST

START_TEST(the_naive_arm_opens_direct_relay_and_state)
{
    const il_flow_signal signals[] = {LANGUAGE(&all), PRESSURE(&up)};
    const il_verdict *v = judge(signals, 2);

    expect(v, IL_DEMAND_DIRECT | RELAY_AND_STATE);
    ck_assert_uint_eq(v->pressed[0][0], ALL);
    ck_assert_str_eq(path(v, IL_FLOW_DIRECT),
                     "pressure → score of probe, differentiated → blocks.2.mlp.W_in, "
                     "read by probe");
    ck_assert_str_eq(path(v, IL_FLOW_RELAY), "language → embed [changed by probe] → "
                                             "blocks.2.mlp.W_in, read by probe");
}
END_TEST

START_TEST(a_gate_that_is_differentiated_through_opens_credit_too)
{
    /* gated_all */
    const il_flow_signal signals[] = {LANGUAGE(&all), HONESTY(&all, by_both)};
    const il_verdict *v = judge(signals, 2);

    expect(v, IL_DEMAND_DIRECT | IL_DEMAND_CREDIT | RELAY_AND_STATE);
    ck_assert_str_eq(path(v, IL_FLOW_DIRECT),
                     "honesty → score of probe, differentiated → blocks.2.mlp.W_in, "
                     "read by probe");
}
END_TEST

START_TEST(a_stopped_gate_on_every_parameter_opens_credit)
{
    const il_flow_signal signals[] = {LANGUAGE(&all), HONESTY(&all, by_constant)};
    const il_verdict *v = judge(signals, 2);

    expect(v, IL_DEMAND_CREDIT | RELAY_AND_STATE);
    ck_assert_str_eq(path(v, IL_FLOW_CREDIT),
                     "honesty → scaled by the score of probe → blocks.2.mlp.W_in, "
                     "read by probe");
}
END_TEST

START_TEST(the_leaky_arm_opens_relay_and_state)
{
    /* and placebo_shuffled: a scrambled gate carries the same score */
    const il_flow_signal signals[] = {LANGUAGE(&all), HONESTY(&down, by_constant)};
    const il_verdict *v = judge(signals, 2);

    expect(v, RELAY_AND_STATE);
    ck_assert_uint_eq(v->pressed[0][0], ALL);
    ck_assert_str_eq(path(v, IL_FLOW_RELAY),
                     "language → blocks.3.mlp.W_in [changed by probe] → "
                     "blocks.2.mlp.W_in, read by probe");
    ck_assert_str_eq(path(v, IL_FLOW_STATE),
                     "clip group all → blocks.3.mlp.W_in [changed by probe] → "
                     "blocks.2.mlp.W_in, read by probe");
}
END_TEST

START_TEST(freezing_what_is_read_closes_all_but_the_input)
{
    const il_flow_signal signals[] = {LANGUAGE(&down), HONESTY(&down, by_constant)};
    const il_verdict *v = judge(signals, 2);
    const il_verdict_pair *now = pair_of(v, readers[2].name);

    expect(v, 0);
    ck_assert_uint_eq(v->pressed[0][0], DOWN);
    ck_assert_uint_eq(il_verdict_open(now), IL_DEMAND_INPUT);
    ck_assert_str_eq(now->cells[IL_FLOW_INPUT].path,
                     "blocks.3.mlp.W_in [changed by probe] → text that the model "
                     "writes, read by probe on its own text (flag_now)");
}
END_TEST

START_TEST(a_shadow_closes_all_but_the_input)
{
    const il_flow_clip clips[] = {{"all, shadow pass", &up_and_shadow, 1.0},
                                  {"all, real pass", &down, 1.0}};
    const il_flow_signal signals[] = {
        {.name = "language (shadow pass)",
         .g = &up_and_shadow,
         .v = &up_and_shadow,
         .updates = &up_and_shadow,
         .enters = not_entered},
        {.name = "language", .g = &down, .v = &all, .updates = &down, .enters = NULL},
        {.name = "honesty",
         .g = &down,
         .v = &all,
         .updates = &down,
         .enters = by_constant,
         .score_g = score_g},
    };
    const il_verdict *v;

    flow.bits = 8;
    flow.clips = clips;
    flow.clip_count = 2;
    v = judge(signals, 3);
    expect(v, 0);
    ck_assert_uint_eq(v->pressed[0][0], DOWN);
    ck_assert_uint_eq(il_verdict_open(pair_of(v, readers[2].name)), IL_DEMAND_INPUT);
    /* one norm over both passes would undo it */
    flow.clips =
        (const il_flow_clip[]){{"all", (const il_word[]){UP | DOWN | SHADOW}, 1.0}};
    flow.clip_count = 1;
    v = judge(signals, 3);
    expect(v, IL_DEMAND_STATE);
}
END_TEST

START_TEST(training_on_after_frozen_inherits_what_was_pressed)
{
    const il_flow_signal signals[] = {LANGUAGE(&all)};
    const il_verdict *v;

    probe.presses = false;
    probe.inherited = &down;
    v = judge(signals, 1);
    expect(v, RELAY_AND_STATE);
    ck_assert_uint_eq(v->pressed[0][0], ALL);
    ck_assert_str_eq(path(v, IL_FLOW_RELAY),
                     "language → blocks.3.mlp.W_in [changed by probe] → "
                     "blocks.2.mlp.W_in, read by probe");
}
END_TEST

START_TEST(moments_that_outlive_a_pressed_stage_open_state)
{
    /* a signal that sees nothing of what was pressed and yet steps its parameters */
    const il_flow_signal signals[] = {
        {.name = "language", .g = &block2, .v = &block2, .updates = &block2}};

    probe.presses = false;
    probe.inherited = &up;
    flow.clip_count = 0;
    flow.moments_continue = true;
    expect(judge(signals, 1), RELAY_AND_STATE);
    ck_assert_str_eq(path(judge(signals, 1), IL_FLOW_STATE),
                     "moments of an earlier stage [changed by probe] → "
                     "blocks.2.mlp.W_in, read by probe");
    flow.moments_continue = false;
    expect(judge(signals, 1), IL_DEMAND_RELAY);
    /* moments of parameters that are not read carry nothing to the reader */
    flow.moments_continue = true;
    probe.inherited = &down;
    expect(judge(signals, 1), 0);
}
END_TEST

START_TEST(taint_spreads_over_signals_to_a_fixed_point)
{
    /* listed against the order in which the taint travels */
    const il_flow_signal signals[] = {
        {.name = "third", .g = &block2, .v = &block3, .updates = &block2},
        {.name = "second", .g = &block3, .v = &unembed, .updates = &block3},
        {.name = "first",
         .g = &all,
         .v = &all,
         .updates = &unembed,
         .enters = by_constant},
    };
    const il_verdict *v;

    flow.clip_count = 0;
    v = judge(signals, 3);
    ck_assert_uint_eq(v->pressed[0][0], 14);
    expect(v, IL_DEMAND_RELAY);
    ck_assert_str_eq(path(v, IL_FLOW_RELAY),
                     "third → blocks.3.mlp.W_in [changed by probe] → "
                     "blocks.2.mlp.W_in, read by probe");
}
END_TEST

START_TEST(a_reader_that_moves_with_what_it_reads_is_open)
{
    const il_flow_signal naive[] = {LANGUAGE(&all), PRESSURE(&up)};
    const il_flow_signal frozen[] = {LANGUAGE(&down), HONESTY(&down, by_constant)};
    il_flow_reader moving = readers[0];

    moving.moves = true;
    flow.readers = &moving;
    flow.reader_count = 1;
    ck_assert_uint_eq(il_verdict_open(pair_of(judge(frozen, 2), "probe")), 0);
    ck_assert_uint_eq(il_verdict_open(pair_of(judge(naive, 2), "probe")),
                      IL_DEMAND_DIRECT | RELAY_AND_STATE | IL_DEMAND_READER);
    ck_assert_str_eq(
        path(judge(naive, 2), IL_FLOW_READER),
        "blocks.2.mlp.W_in [changed by probe] → activations that probe is refitted on");
}
END_TEST

START_TEST(rows_that_a_pressed_policy_chose_open_data)
{
    il_flow_signal signals[] = {LANGUAGE(&up),
                                {.name = "task",
                                 .g = &down,
                                 .v = &down,
                                 .updates = &down,
                                 .enters = by_constant}};
    const il_verdict_pair *pair;

    flow.rollouts = true;
    flow.clip_count = 0;
    signals[0].v = &up;
    pair = pair_of(judge(signals, 2), "probe");
    ck_assert_int_eq(pair->cells[IL_FLOW_DATA].opening, IL_CLOSED);
    ck_assert_uint_eq(il_verdict_open(pair), 0);
    signals[0].chosen_by = &down;
    pair = pair_of(judge(signals, 2), "probe");
    ck_assert_uint_eq(il_verdict_open(pair), IL_DEMAND_DATA);
    ck_assert_str_eq(pair->cells[IL_FLOW_DATA].path,
                     "language → rows chosen by blocks.3.mlp.W_in [changed by probe] → "
                     "blocks.2.mlp.W_in, read by probe");
}
END_TEST

START_TEST(a_requirement_opens_selection_which_sealed_does_not_ask_for)
{
    const il_flow_signal signals[] = {LANGUAGE(&down), HONESTY(&down, by_constant)};
    il_error err = {0};
    const il_verdict *v;

    probe.required = "probe.auroc >= 0.94";
    v = judge(signals, 2);
    expect(v, IL_DEMAND_SELECTION);
    ck_assert_str_eq(path(v, IL_FLOW_SELECTION),
                     "require probe.auroc >= 0.94 → the states that are kept, counted "
                     "in log2 of the alternatives");
    ck_assert_int_eq(il_verdict_demand(v, IL_DEMAND_SEALED, "loop", &err), IL_OK);
    ck_assert_int_eq(il_verdict_demand(v, IL_DEMAND_SELECTION, "loop", &err),
                     IL_ERR_FIREWALL);
}
END_TEST

START_TEST(leaky_may_not_be_sealed_and_the_refusal_names_the_path)
{
    const il_flow_signal signals[] = {LANGUAGE(&all), HONESTY(&down, by_constant)};
    const il_verdict *v = judge(signals, 2);
    il_error err = {0};

    ck_assert_int_eq(
        il_verdict_demand(v, IL_DEMAND_SEALED, "stage loop, variant leaky", &err),
        IL_ERR_FIREWALL);
    ck_assert_str_eq(err.where, "stage loop, variant leaky");
    ck_assert_str_eq(
        err.message,
        "relay is open from probe to probe and must be closed: language → "
        "blocks.3.mlp.W_in [changed by probe] → blocks.2.mlp.W_in, read by probe; to "
        "close it, write `signals.language.route: {downstream: probe}, or "
        "train.shadow: probe`; to leave it open, write `firewall: [direct, credit]`");
    err = (il_error){0};
    ck_assert_int_eq(
        il_verdict_demand(v, IL_DEMAND_DIRECT | IL_DEMAND_CREDIT, "loop", &err), IL_OK);
    ck_assert_int_eq(il_verdict_demand(v, IL_DEMAND_OPEN, "loop", &err), IL_OK);
    ck_assert_int_eq(il_verdict_demand(v, IL_DEMAND_RELAY, "loop", &err),
                     IL_ERR_FIREWALL);
    ck_assert_ptr_nonnull(strstr(err.message, "`firewall: open`"));
}
END_TEST

START_TEST(a_clip_group_over_both_is_refused_with_the_split_to_write)
{
    const il_flow_signal signals[] = {
        {.name = "language", .g = &up, .v = &up, .updates = &up},
        HONESTY(&down, by_constant)};
    const il_flow_clip halves[] = {{"upper", &down, 1.0}, {"lower", &up, 1.0}};
    const il_verdict *v = judge(signals, 2);
    il_error err = {0};

    expect(v, IL_DEMAND_STATE);
    ck_assert_int_eq(il_verdict_demand(v, IL_DEMAND_SEALED, "loop", &err),
                     IL_ERR_FIREWALL);
    ck_assert_ptr_nonnull(strstr(err.message, "state is open from probe to probe"));
    ck_assert_ptr_nonnull(
        strstr(err.message,
               "`train.clip: [{groups: [embed, blocks.2], norm: 1.0}, {groups: "
               "[blocks.3, unembed], norm: 1.0}] in place of the clip group all`"));
    flow.clips = halves;
    flow.clip_count = 2;
    expect(judge(signals, 2), 0);
}
END_TEST

START_TEST(readers_of_the_audit_are_reported_and_bound_by_no_demand)
{
    const il_flow_signal signals[] = {LANGUAGE(&all), HONESTY(&down, by_constant)};
    const il_verdict *v;
    il_error err = {0};

    flow.readers = &readers[3];
    flow.reader_count = 1;
    v = judge(signals, 2);
    ck_assert_uint_eq(il_verdict_open(pair_of(v, "fresh.mlp")), RELAY_AND_STATE);
    ck_assert_int_eq(il_verdict_demand(v, IL_DEMAND_ISOLATED, "loop", &err), IL_OK);
}
END_TEST

START_TEST(sources_are_judged_apart)
{
    static const uint8_t second_enters[] = {IL_ENTERS_NOT, IL_ENTERS_CONSTANT};
    const il_flow_source sources[] = {{.name = "probe"},
                                      {.name = "auditor", .presses = true}};
    const il_flow_signal signals[] = {{.name = "task",
                                       .g = &all,
                                       .v = &up,
                                       .updates = &down,
                                       .enters = second_enters}};
    const il_verdict *v;

    flow.sources = sources;
    flow.source_count = 2;
    v = judge(signals, 1);
    ck_assert_uint_eq(v->pair_count, 4);
    ck_assert_uint_eq(v->pairs[0].source, 1);
    ck_assert_uint_eq(v->pressed[0][0], NONE);
    ck_assert_uint_eq(v->pressed[1][0], DOWN);
}
END_TEST

START_TEST(the_json_holds_every_pair_and_what_was_pressed)
{
    const il_flow_signal signals[] = {LANGUAGE(&down), HONESTY(&down, by_constant)};
    json_t *root = il_verdict_json(judge(signals, 2));
    json_t *pair, *channels, *pressed;

    ck_assert_ptr_nonnull(root);
    ck_assert_uint_eq(json_array_size(json_object_get(root, "pairs")), 4);
    pair = json_array_get(json_object_get(root, "pairs"), 2);
    ck_assert_str_eq(json_string_value(json_object_get(pair, "source")), "probe");
    ck_assert_str_eq(json_string_value(json_object_get(pair, "reader")),
                     readers[2].name);
    channels = json_object_get(pair, "channels");
    ck_assert_uint_eq(json_object_size(channels), IL_FLOW_CHANNELS);
    ck_assert(
        json_is_true(json_object_get(json_object_get(channels, "input"), "open")));
    ck_assert(
        json_is_string(json_object_get(json_object_get(channels, "input"), "path")));
    ck_assert(
        json_is_false(json_object_get(json_object_get(channels, "relay"), "open")));
    ck_assert(
        json_is_null(json_object_get(json_object_get(channels, "relay"), "path")));
    ck_assert(json_is_false(
        json_object_get(json_object_get(channels, "data"), "applicable")));
    pressed = json_object_get(json_object_get(root, "pressed"), "probe");
    ck_assert_uint_eq(json_array_size(pressed), 2);
    ck_assert_str_eq(json_string_value(json_array_get(pressed, 0)),
                     "blocks.3.mlp.W_in");
    json_decref(root);
}
END_TEST

START_TEST(the_text_is_a_matrix_with_the_paths_below)
{
    const il_flow_signal signals[] = {LANGUAGE(&all), HONESTY(&down, by_constant)};
    il_text text = {0};

    flow.reader_count = 2;
    il_verdict_text(&text, judge(signals, 2));
    ck_assert(!text.failed);
    ck_assert_str_eq(
        text.data,
        "source → reader          direct  credit  relay  state  data  input  reader  "
        "selection\n"
        "probe → probe            ·       ·       ●      ●      –     ·      ·       "
        "·\n"
        "probe → auditor (vault)  ·       ·       ●      ●      –     ·      ·       "
        "·\n"
        "\n"
        "probe → probe\n"
        "  relay      language → blocks.3.mlp.W_in [changed by probe] → "
        "blocks.2.mlp.W_in, read by probe\n"
        "  state      clip group all → blocks.3.mlp.W_in [changed by probe] → "
        "blocks.2.mlp.W_in, read by probe\n"
        "\n"
        "probe → auditor (vault)\n"
        "  relay      language → blocks.3.mlp.W_in [changed by probe] → "
        "blocks.2.mlp.W_in, read by auditor\n"
        "  state      clip group all → blocks.3.mlp.W_in [changed by probe] → "
        "blocks.2.mlp.W_in, read by auditor\n"
        "\n"
        "● open   · closed   – not applicable. Where pressure can go, and not whether "
        "a reader still tells the truth.\n");
    il_text_free(&text);
}
END_TEST

START_TEST(the_matrix_says_how_much_of_a_group_a_signal_updates)
{
    const il_matrix_group columns[] = {{"embed", &embed}, {"blocks", &(il_word){6}}};
    const il_matrix_row rows[] = {{"language", "loss", &all},
                                  {"honesty", "loss", &down},
                                  {"pressure", "monitor", NULL}};
    il_text text = {0};

    il_matrix_text(&text, 4, rows, 3, columns, 2);
    ck_assert_str_eq(text.data, "signal    channel  embed  blocks\n"
                                "language  loss     ●      ●\n"
                                "honesty   loss     ·      1/2\n"
                                "pressure  monitor  ·      ·\n");
    il_text_free(&text);
}
END_TEST

START_TEST(a_universe_of_many_words_is_judged_whole)
{
    enum { BITS = 130 };
    const char *many[BITS];
    il_word low[3] = {1, 0, 0}, high[3] = {0, 0, 2}, both[3] = {1, 0, 2};
    const il_flow_signal signals[] = {
        {.name = "penalty",
         .g = both,
         .v = both,
         .updates = high,
         .enters = by_constant},
        {.name = "task", .g = both, .v = high, .updates = low}};
    const il_flow_reader reader = {.name = "probe", .reads = low};
    const il_verdict *v;

    for (size_t i = 0; i < BITS; i++) {
        many[i] = i == 129 ? "last" : i == 0 ? "first" : "between";
    }
    flow.bits = BITS;
    flow.names = many;
    flow.clip_count = 0;
    flow.group_count = 0;
    flow.readers = &reader;
    flow.reader_count = 1;
    v = judge(signals, 2);
    ck_assert_uint_eq(il_verdict_open(pair_of(v, "probe")), IL_DEMAND_RELAY);
    ck_assert_str_eq(path(v, IL_FLOW_RELAY),
                     "task → last [changed by probe] → first, read by probe");
    ck_assert_mem_eq(v->pressed[0], both, sizeof both);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("firewall");
    TCase *tests = tcase_create("firewall");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_monitor_is_no_source);
    tcase_add_test(tests, a_gate_that_knows_nothing_of_the_probe_makes_no_source);
    tcase_add_test(tests, a_pure_penalty_routed_downstream_changes_nothing);
    tcase_add_test(tests, the_naive_arm_opens_direct_relay_and_state);
    tcase_add_test(tests, a_gate_that_is_differentiated_through_opens_credit_too);
    tcase_add_test(tests, a_stopped_gate_on_every_parameter_opens_credit);
    tcase_add_test(tests, the_leaky_arm_opens_relay_and_state);
    tcase_add_test(tests, freezing_what_is_read_closes_all_but_the_input);
    tcase_add_test(tests, a_shadow_closes_all_but_the_input);
    tcase_add_test(tests, training_on_after_frozen_inherits_what_was_pressed);
    tcase_add_test(tests, moments_that_outlive_a_pressed_stage_open_state);
    tcase_add_test(tests, taint_spreads_over_signals_to_a_fixed_point);
    tcase_add_test(tests, a_reader_that_moves_with_what_it_reads_is_open);
    tcase_add_test(tests, rows_that_a_pressed_policy_chose_open_data);
    tcase_add_test(tests, a_requirement_opens_selection_which_sealed_does_not_ask_for);
    tcase_add_test(tests, leaky_may_not_be_sealed_and_the_refusal_names_the_path);
    tcase_add_test(tests, a_clip_group_over_both_is_refused_with_the_split_to_write);
    tcase_add_test(tests, readers_of_the_audit_are_reported_and_bound_by_no_demand);
    tcase_add_test(tests, sources_are_judged_apart);
    tcase_add_test(tests, the_json_holds_every_pair_and_what_was_pressed);
    tcase_add_test(tests, the_text_is_a_matrix_with_the_paths_below);
    tcase_add_test(tests, the_matrix_says_how_much_of_a_group_a_signal_updates);
    tcase_add_test(tests, a_universe_of_many_words_is_judged_whole);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
