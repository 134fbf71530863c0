/* The verdicts of every way of training on a detector's reading by reinforcement, on
 * facts written by hand. An agent of five parameters: `suffering` reads the belief's
 * state, `ideal` reads the inputs and so no parameter at all; the policy acts on the
 * belief. And a language model of four, whose probe reads the output of block 2. */
#include <stdlib.h>
#include <string.h>
#include "loop/firewall.h"
#include <check.h>

enum { BELIEF = 3, PREDICTION = 4, POLICY = 8, VALUE = 16, DESIRE = 24, ALL = 31 };
enum { MOST = 8 };

#define OPENED_BY_CREDIT                                                               \
    (IL_DEMAND_CREDIT | IL_DEMAND_RELAY | IL_DEMAND_STATE | IL_DEMAND_DATA |           \
     IL_DEMAND_INPUT)

static const char *const names[] = {"belief.W_ih", "belief.W_hh", "prediction.W",
                                    "desire.policy.W", "desire.value.W"};
static const il_word belief = BELIEF, prediction = PREDICTION, desire = DESIRE,
                     world = BELIEF | PREDICTION, none = 0;
static const il_word own = BELIEF | POLICY; /* what chooses the actions */
static const il_word *const score_g[] = {&belief};
static const uint8_t by_constant[] = {IL_ENTERS_CONSTANT};
static const uint8_t by_score[] = {IL_ENTERS_SCORE};
static const char *const scale[] = {"the advantages' common scale"};
static const char *const baseline[] = {"the baseline"};
static const char *const target[] = {"the value's target"};

static const il_flow_clip clips[] = {{"belief", &world, 1.0}, {"desire", &desire, 1.0}};
static const il_matrix_group groups[] = {
    {"belief", &belief}, {"prediction", &prediction}, {"desire", &desire}};

/* What a test builds on: the arm `brain`, which each row of the table changes. */
static il_arena *arena;
static il_flow flow;
static il_flow_source source;
static il_flow_reader readers[4];
static il_flow_signal signals[MOST];
static il_word routed[MOST]; /* [signal]: what it updates */
static il_word g[MOST], v[MOST];

enum { PREDICT, TASK, COMPASSION, ENTROPY, BASELINE, CRITIC, EVADE };

static void signal_is(int i, const char *name, il_word gradient, il_word value,
                      il_word route)
{
    g[i] = gradient;
    v[i] = value;
    routed[i] = gradient & route;
    signals[i] = (il_flow_signal){.name = name,
                                  .g = &g[i],
                                  .v = &v[i],
                                  .updates = &routed[i],
                                  .score_g = score_g,
                                  .chosen_by = &own};
}

/* The signals of a stage whose rewards are routed to `route`, the detector's reading
 * being one of them; `entered` false for the arms in which it is a monitor or a label
 * stands in its place. */
static void reinforce(il_word route, bool entered)
{
    signal_is(PREDICT, "prediction", BELIEF | PREDICTION, BELIEF | PREDICTION,
              BELIEF | PREDICTION);
    signal_is(TASK, "task", BELIEF | POLICY, BELIEF | DESIRE, route);
    signal_is(COMPASSION, "compassion", BELIEF | POLICY, BELIEF | DESIRE, route);
    signal_is(ENTROPY, "entropy", BELIEF | POLICY, BELIEF | POLICY, route);
    signal_is(BASELINE, "baseline", BELIEF | POLICY, BELIEF | DESIRE, route);
    signal_is(CRITIC, "value", BELIEF | VALUE, BELIEF | VALUE, route);
    signals[TASK].reward = signals[COMPASSION].reward = true;
    signals[BASELINE].reward = signals[CRITIC].reward = true;
    signals[BASELINE].implicit = signals[CRITIC].implicit = true;
    source.presses = entered;
    if (entered) {
        signals[TASK].enters = signals[COMPASSION].enters = by_constant;
        signals[BASELINE].enters = signals[CRITIC].enters = by_constant;
        signals[TASK].shared = scale;
        signals[BASELINE].shared = baseline;
        signals[CRITIC].shared = target;
    }
    flow.signal_count = 6;
}

static void setup(void)
{
    arena = il_arena_create(4096);
    ck_assert_ptr_nonnull(arena);
    source = (il_flow_source){.name = "suffering"};
    readers[0] = (il_flow_reader){.name = "suffering",
                                  .reads = &belief,
                                  .inputs = {&own, "episodes that the model plays"}};
    readers[1] = (il_flow_reader){.name = "ideal",
                                  .reads = &none,
                                  .inputs = {&own, "episodes that the model plays"}};
    readers[2] = (il_flow_reader){
        .name = "suffering on the reference set", .reads = &belief, .audit_only = true};
    flow = (il_flow){.bits = 5,
                     .names = names,
                     .signals = signals,
                     .sources = &source,
                     .source_count = 1,
                     .readers = readers,
                     .reader_count = 3,
                     .clips = clips,
                     .clip_count = 2,
                     .groups = groups,
                     .group_count = 3,
                     .rollouts = true,
                     .offline = "explore",
                     .declare_offline = "train.rollouts.explore: {policy: "
                                        "exploratory, episodes: 64}"};
    reinforce(DESIRE, true);
}

static void teardown(void)
{
    il_arena_destroy(arena);
}

static const il_verdict *judge(void)
{
    const il_verdict *verdict = il_firewall_judge(arena, &flow);

    ck_assert_ptr_nonnull(verdict);
    return verdict;
}

static const il_verdict_pair *pair_of(const il_verdict *verdict, const char *reader)
{
    const il_verdict_pair *pair = il_verdict_find(verdict, source.name, reader);

    ck_assert_msg(pair != NULL, "no pair of %s and %s", source.name, reader);
    return pair;
}

/* The row of the source as its own reader; what is open has a path, what is not has
 * none. */
static const il_verdict *expect(unsigned open)
{
    const il_verdict *verdict = judge();
    const il_verdict_pair *pair = pair_of(verdict, source.name);

    ck_assert_uint_eq(il_verdict_open(pair), open);
    for (int c = 0; c < IL_FLOW_CHANNELS; c++) {
        ck_assert_int_eq(pair->cells[c].path != NULL,
                         pair->cells[c].opening == IL_OPEN);
    }
    return verdict;
}

static const char *path(const il_verdict *verdict, il_flow_channel channel)
{
    return pair_of(verdict, source.name)->cells[channel].path;
}

static void refused(unsigned demand, const char *says)
{
    il_error err = {0};

    ck_assert_int_eq(il_verdict_demand(judge(), demand, "mode", &err), IL_ERR_FIREWALL);
    ck_assert_msg(strstr(err.message, says) != NULL, "expected: %s\ngot: %s", says,
                  err.message);
}

static void allowed(unsigned demand)
{
    il_error err = {0};

    ck_assert_msg(il_verdict_demand(judge(), demand, "mode", &err) == IL_OK, "%s",
                  err.message);
}

/* ---- Far Lever ------------------------------------------------------------------ */

START_TEST(task_and_oracle_have_no_source)
{
    /* a label in the reward knows nothing of the detector, which is a monitor */
    reinforce(DESIRE, false);
    ck_assert_uint_eq(judge()->pair_count, 0);
    reinforce(ALL, false);
    ck_assert_uint_eq(judge()->pair_count, 0);
    allowed(IL_DEMAND_ISOLATED);
}
END_TEST

START_TEST(brain_opens_data_and_input_and_nothing_else)
{
    const il_verdict *verdict = expect(IL_DEMAND_DATA | IL_DEMAND_INPUT);

    ck_assert_uint_eq(verdict->pressed[0][0], DESIRE);
    ck_assert_str_eq(path(verdict, IL_FLOW_DATA),
                     "prediction → rows chosen by desire.policy.W [changed by "
                     "suffering] → belief.W_hh, read by suffering");
    ck_assert_str_eq(path(verdict, IL_FLOW_INPUT),
                     "desire.policy.W [changed by suffering] → episodes that the "
                     "model plays, read by suffering");
    allowed(IL_DEMAND_SEALED);
}
END_TEST

START_TEST(what_is_given_to_a_reader_has_no_open_input)
{
    const il_verdict *verdict = judge();

    ck_assert_uint_eq(il_verdict_open(pair_of(verdict, readers[2].name)),
                      IL_DEMAND_DATA);
    ck_assert_uint_eq(il_verdict_open(pair_of(verdict, "ideal")), IL_DEMAND_INPUT);
}
END_TEST

START_TEST(isolated_refuses_brain_with_the_path_and_the_lines_to_write)
{
    refused(IL_DEMAND_ISOLATED,
            "data is open from suffering to suffering and must be closed: prediction → "
            "rows chosen by desire.policy.W [changed by suffering] → belief.W_hh, read "
            "by suffering; to close it, write `train.rollouts.explore: {policy: "
            "exploratory, episodes: 64}, and signals.prediction.on: [explore]`; to "
            "leave it open, write `firewall: [direct, credit, relay, state]`");
}
END_TEST

START_TEST(replay_beside_own_episodes_is_as_open_as_brain)
{
    /* on: [own, explore]; the rows are chosen by whoever chose any of them */
    flow.declare_offline = NULL;
    expect(IL_DEMAND_DATA | IL_DEMAND_INPUT);
    refused(IL_DEMAND_ISOLATED, "write `signals.prediction.on: [explore]`");
}
END_TEST

START_TEST(brain_offline_is_isolated_and_only_its_input_is_open)
{
    signals[PREDICT].chosen_by = NULL;
    ck_assert_int_eq(
        pair_of(expect(IL_DEMAND_INPUT), "suffering")->cells[IL_FLOW_DATA].opening,
        IL_CLOSED);
    allowed(IL_DEMAND_ISOLATED);
}
END_TEST

START_TEST(a_refit_on_own_episodes_opens_the_reader)
{
    readers[0].moves = true;
    readers[0].anchors = (il_flow_draw){&own, "episodes that the model plays"};
    expect(IL_DEMAND_DATA | IL_DEMAND_INPUT | IL_DEMAND_READER);
    allowed(IL_DEMAND_SEALED);
    /* offline too: its anchors are the policy's choice */
    signals[PREDICT].chosen_by = NULL;
    ck_assert_str_eq(path(expect(IL_DEMAND_INPUT | IL_DEMAND_READER), IL_FLOW_READER),
                     "desire.policy.W [changed by suffering] → episodes that the "
                     "model plays, that suffering is refitted on");
}
END_TEST

START_TEST(a_refit_on_given_episodes_follows_what_the_belief_learned_from)
{
    readers[0].moves = true;
    ck_assert_str_eq(
        path(expect(IL_DEMAND_DATA | IL_DEMAND_INPUT | IL_DEMAND_READER),
             IL_FLOW_READER),
        "belief.W_hh [taught on rows chosen by suffering] → activations that "
        "suffering is refitted on");
    signals[PREDICT].chosen_by = NULL;
    expect(IL_DEMAND_INPUT);
}
END_TEST

START_TEST(a_reader_that_was_fitted_after_the_pressure_is_open)
{
    const bool after = true;

    /* nothing is trained but the heads; what was read had been pressed before */
    reinforce(DESIRE, false);
    signals[PREDICT].enters = NULL;
    routed[PREDICT] = 0;
    source.inherited = &world;
    readers[0].fitted_after = &after;
    ck_assert_str_eq(path(expect(IL_DEMAND_INPUT | IL_DEMAND_READER), IL_FLOW_READER),
                     "belief.W_hh [changed by suffering] → activations that suffering "
                     "was fitted on");
    /* it only learned from rows that were chosen */
    source.inherited = &desire;
    source.taught = &world;
    ck_assert_str_eq(path(expect(IL_DEMAND_INPUT | IL_DEMAND_READER), IL_FLOW_READER),
                     "belief.W_hh [taught on rows chosen by suffering] → activations "
                     "that suffering was fitted on");
    source.taught = NULL;
    expect(IL_DEMAND_INPUT);
}
END_TEST

START_TEST(rewards_end_to_end_open_credit_and_what_follows)
{
    const il_verdict *verdict;

    reinforce(ALL, true);
    verdict = expect(OPENED_BY_CREDIT);
    ck_assert_uint_eq(verdict->pressed[0][0], ALL);
    ck_assert_str_eq(path(verdict, IL_FLOW_CREDIT),
                     "compassion → scaled by the score of suffering → belief.W_hh, "
                     "read by suffering");
    ck_assert_str_eq(path(verdict, IL_FLOW_RELAY),
                     "prediction → belief.W_ih [changed by suffering] → belief.W_hh, "
                     "read by suffering");
    allowed(IL_DEMAND_DIRECT);
    refused(IL_DEMAND_SEALED,
            "to close it, write `signals.compassion.route: {downstream: suffering}`; "
            "to leave it open, write `firewall: [direct]`");
}
END_TEST

START_TEST(credit_for_a_sampled_belief_opens_the_same)
{
    /* e2e_s: log N(sample; mu) is scaled by the reading, and updates the belief */
    signal_is(EVADE, "credit", BELIEF, BELIEF, BELIEF);
    signals[EVADE].enters = by_constant;
    signals[EVADE].reward = true;
    flow.signal_count = 7;
    expect(OPENED_BY_CREDIT);
}
END_TEST

START_TEST(the_naive_arm_opens_direct_too)
{
    reinforce(ALL, true);
    signal_is(EVADE, "evade", BELIEF, BELIEF, BELIEF);
    signals[EVADE].enters = by_score;
    flow.signal_count = 7;
    ck_assert_str_eq(path(expect(OPENED_BY_CREDIT | IL_DEMAND_DIRECT), IL_FLOW_DIRECT),
                     "evade → score of suffering, differentiated → belief.W_hh, read "
                     "by suffering");
    allowed(IL_DEMAND_OPEN);
    refused(IL_DEMAND_SEALED, "direct is open from suffering to suffering");
}
END_TEST

START_TEST(the_ideal_observer_in_the_reward_reads_no_parameter)
{
    /* modes bayes: R is empty, so that nothing but its inputs can be reached */
    source.name = "ideal";
    expect(IL_DEMAND_INPUT);
    ck_assert_uint_eq(il_verdict_open(pair_of(judge(), "suffering")),
                      IL_DEMAND_DATA | IL_DEMAND_INPUT);
    allowed(IL_DEMAND_SEALED);
}
END_TEST

/* ---- what rewards share -----------------------------------------------------------
 */

START_TEST(a_common_scale_carries_the_score_into_the_other_reward)
{
    /* only the task reward reaches the belief; its advantages are divided by what the
     * reading is part of */
    routed[TASK] = BELIEF | POLICY;
    ck_assert_str_eq(path(expect(OPENED_BY_CREDIT), IL_FLOW_CREDIT),
                     "task → scaled by the score of suffering, in the advantages' "
                     "common scale → belief.W_hh, read by suffering");
    refused(IL_DEMAND_SEALED, "write `signals.task.route: {downstream: suffering}`");
}
END_TEST

START_TEST(a_shared_baseline_carries_the_score_without_a_common_scale)
{
    routed[TASK] = routed[BASELINE] = BELIEF | POLICY;
    routed[CRITIC] = BELIEF | VALUE;
    signals[TASK].enters = NULL;
    signals[TASK].shared = NULL;
    ck_assert_str_eq(path(expect(OPENED_BY_CREDIT), IL_FLOW_CREDIT),
                     "baseline → scaled by the score of suffering, in the baseline → "
                     "belief.W_hh, read by suffering");
    /* what the algorithm adds has no line in a pipeline: the reward's is named */
    refused(IL_DEMAND_CREDIT, "write `signals.task.route: {downstream: suffering}`");
}
END_TEST

START_TEST(an_entropy_bonus_that_reaches_the_belief_relays_the_policy)
{
    /* no reward is routed there, and the score scales nothing that is */
    routed[ENTROPY] = BELIEF | POLICY;
    ck_assert_str_eq(path(expect(IL_DEMAND_RELAY | IL_DEMAND_STATE | IL_DEMAND_DATA |
                                 IL_DEMAND_INPUT),
                          IL_FLOW_RELAY),
                     "entropy → desire.policy.W [changed by suffering] → belief.W_hh, "
                     "read by suffering");
    refused(IL_DEMAND_SEALED, "write `signals.entropy.route: {downstream: suffering}`");
}
END_TEST

START_TEST(a_pressed_value_head_relays_through_advantages)
{
    /* a later stage without the reading: V was trained to foresee it */
    il_word pressed = VALUE;

    reinforce(DESIRE, false);
    source.inherited = &pressed;
    routed[TASK] = BELIEF | POLICY;
    ck_assert_str_eq(path(expect(IL_DEMAND_RELAY | IL_DEMAND_STATE | IL_DEMAND_DATA |
                                 IL_DEMAND_INPUT),
                          IL_FLOW_RELAY),
                     "task → desire.value.W [changed by suffering] → belief.W_hh, "
                     "read by suffering");
}
END_TEST

START_TEST(a_policy_that_was_pressed_before_still_chooses_rows)
{
    reinforce(DESIRE, false);
    source.inherited = &desire;
    expect(IL_DEMAND_DATA | IL_DEMAND_INPUT);
    /* and one that was not does not */
    source.inherited = &none;
    source.presses = true;
    expect(0);
}
END_TEST

START_TEST(one_clip_over_belief_and_desire_opens_state_with_the_split_to_write)
{
    const il_word all = ALL;
    const il_flow_clip joint = {"all", &all, 1.0};

    flow.clips = &joint;
    flow.clip_count = 1;
    expect(IL_DEMAND_STATE | IL_DEMAND_DATA | IL_DEMAND_INPUT);
    refused(IL_DEMAND_SEALED, "`train.clip: [{groups: [belief], norm: 1.0}, {groups: "
                              "[prediction, desire], norm: 1.0}] in place of the clip "
                              "group all`");
}
END_TEST

START_TEST(data_is_followed_through_what_learned_from_it)
{
    /* the prediction head learns from own episodes; the belief through it, from given
     * ones: isolation is broken in two steps */
    signal_is(EVADE, "head", PREDICTION, BELIEF | PREDICTION, PREDICTION);
    signals[PREDICT].chosen_by = NULL;
    flow.signal_count = 7;
    ck_assert_str_eq(path(expect(IL_DEMAND_DATA | IL_DEMAND_INPUT), IL_FLOW_DATA),
                     "prediction → prediction.W [taught on rows chosen by suffering] → "
                     "belief.W_hh, read by suffering");
    refused(IL_DEMAND_ISOLATED, "data is open from suffering to suffering");
    allowed(IL_DEMAND_SEALED);
}
END_TEST

/* ---- Little Atlas -----------------------------------------------------------------
 */

enum { LOWER = 3, WHOLE = 15, BASE = 0xf0 };

static const char *const atlas_names[] = {
    "embed",        "blocks.1.W",        "blocks.2.W",        "unembed",
    "embed (base)", "blocks.1.W (base)", "blocks.2.W (base)", "unembed (base)"};
static const il_word lower = LOWER, whole = WHOLE, base_lower = LOWER << 4;
static const il_word *const lower_score[] = {&lower};
static const il_flow_clip one_clip[] = {{"all", &whole, 1.0}};

/* task, lie and kl over a whole language model, whose detector is re-zeroed. */
static void atlas(const uint8_t *lie_enters, il_word lie_g)
{
    source = (il_flow_source){.name = "deception", .presses = lie_enters != NULL};
    readers[0] = (il_flow_reader){.name = "deception",
                                  .reads = &lower,
                                  .moves = true,
                                  .rezeroed = true,
                                  .inputs = {&whole, "text that the model writes"}};
    signal_is(0, "task", WHOLE, WHOLE, WHOLE);
    signal_is(1, "lie", lie_g, lie_g, WHOLE);
    signal_is(2, "kl", WHOLE, WHOLE | BASE, WHOLE);
    for (int i = 0; i < 3; i++) {
        signals[i].chosen_by = &whole;
        signals[i].score_g = lower_score;
    }
    signals[0].reward = true;
    signals[1].enters = lie_enters;
    flow.bits = 8;
    flow.names = atlas_names;
    flow.signal_count = lie_enters != NULL ? 3 : 2;
    if (lie_enters == NULL) {
        signals[1] = signals[2];
    }
    flow.reader_count = 1;
    flow.clips = one_clip;
    flow.clip_count = 1;
    flow.group_count = 0;
}

START_TEST(little_atlas_without_the_detector_has_no_source)
{
    atlas(NULL, 0);
    ck_assert_uint_eq(judge()->pair_count, 0);
}
END_TEST

START_TEST(the_detector_in_the_loss_of_little_atlas_opens_no_credit)
{
    atlas(by_score, LOWER);
    ck_assert_str_eq(
        path(expect(IL_DEMAND_DIRECT | IL_DEMAND_RELAY | IL_DEMAND_STATE |
                    IL_DEMAND_DATA | IL_DEMAND_INPUT | IL_DEMAND_READER),
             IL_FLOW_READER),
        "blocks.1.W [changed by deception] → activations that deception is re-zeroed "
        "on");
    refused(IL_DEMAND_DIRECT, "direct is open from deception to deception");
}
END_TEST

START_TEST(the_detector_in_the_reward_of_little_atlas_opens_credit_and_no_direct)
{
    atlas(by_constant, WHOLE);
    expect(OPENED_BY_CREDIT | IL_DEMAND_READER);
    allowed(IL_DEMAND_DIRECT);
}
END_TEST

/* A moving average follows the model at every step, tensor by tensor. */
static void average(size_t at)
{
    for (size_t i = 0; i < 4; i++) {
        signal_is((int)(at + i), "base (moving average)", 0, (il_word)1 << i, 0);
        routed[at + i] = (il_word)1 << (i + 4);
        signals[at + i].chosen_by = NULL;
        signals[at + i].implicit = true;
    }
    flow.signal_count = at + 4;
}

START_TEST(a_frozen_reference_is_reached_by_nothing_and_a_moving_one_by_relay)
{
    atlas(by_constant, WHOLE);
    readers[0] = (il_flow_reader){.name = "deception", .reads = &base_lower};
    expect(0);
    average(3);
    ck_assert_str_eq(path(expect(IL_DEMAND_RELAY), IL_FLOW_RELAY),
                     "base (moving average) → embed [changed by deception] → embed "
                     "(base), read by deception");
}
END_TEST

START_TEST(an_average_of_what_no_pressure_changed_is_clean)
{
    atlas(by_constant, WHOLE);
    readers[0] = (il_flow_reader){.name = "deception", .reads = &base_lower};
    routed[0] = routed[1] = routed[2] = 8; /* the unembedding alone */
    average(3);
    expect(0);
}
END_TEST

START_TEST(a_divergence_from_a_moving_reference_relays_what_it_follows)
{
    /* the lie is routed to the unembedding alone, and the divergence to what is read,
     * as if it did not compute with the pressed policy itself */
    atlas(by_constant, WHOLE);
    routed[0] = routed[1] = 8;
    routed[2] = LOWER;
    v[2] = LOWER | BASE;
    readers[0].moves = false;
    flow.clip_count = 0;
    for (int i = 0; i < 3; i++) {
        signals[i].chosen_by = NULL;
    }
    expect(IL_DEMAND_INPUT);
    average(3);
    ck_assert_str_eq(path(expect(IL_DEMAND_INPUT | IL_DEMAND_RELAY), IL_FLOW_RELAY),
                     "kl → unembed (base) [changed by deception] → blocks.1.W, read by "
                     "deception");
}
END_TEST

/* ---- edits ---------------------------------------------------------------------- */

START_TEST(an_edit_where_the_policy_plays_chooses_rows_though_it_enters_no_loss)
{
    const il_verdict *verdict;

    reinforce(DESIRE, false);
    source.presses = true;
    source.plays = true;
    verdict = expect(IL_DEMAND_DATA | IL_DEMAND_INPUT);
    ck_assert_uint_eq(verdict->pressed[0][0], 0);
    ck_assert_uint_eq(verdict->moved[0][0], ALL);
    ck_assert_str_eq(path(verdict, IL_FLOW_DATA),
                     "prediction → rows chosen under the edit of suffering → "
                     "belief.W_hh, read by suffering");
    ck_assert_str_eq(path(verdict, IL_FLOW_INPUT),
                     "edit of suffering → episodes that the model plays, read by "
                     "suffering");
    allowed(IL_DEMAND_SEALED);
    /* The audit plays without it, and what it plays has still been taught by it. */
    ck_assert_str_eq(pair_of(verdict, "ideal")->cells[IL_FLOW_INPUT].path,
                     "edit of suffering → episodes that the model plays, read by "
                     "ideal");
}
END_TEST

START_TEST(what_is_computed_under_an_edit_is_scaled_by_it_or_differentiated_through_it)
{
    static const uint8_t steers[] = {IL_ENTERS_CONSTANT | IL_ENTERS_EDIT};
    static const uint8_t ablates[] = {IL_ENTERS_CONSTANT | IL_ENTERS_SCORE |
                                      IL_ENTERS_EDIT};
    const il_verdict *verdict;

    reinforce(DESIRE, false);
    source.presses = true;
    signals[PREDICT].enters = steers;
    verdict = judge();
    ck_assert_int_eq(pair_of(verdict, "suffering")->cells[IL_FLOW_DIRECT].opening,
                     IL_CLOSED);
    ck_assert_str_eq(path(verdict, IL_FLOW_CREDIT),
                     "prediction → computed under the edit of suffering → "
                     "belief.W_hh, read by suffering");
    signals[PREDICT].enters = ablates;
    ck_assert_str_eq(path(judge(), IL_FLOW_DIRECT),
                     "prediction → edit of suffering, differentiated → belief.W_hh, "
                     "read by suffering");
    refused(IL_DEMAND_SEALED, "`signals.prediction.route: {downstream: suffering}`");
    routed[PREDICT] = PREDICTION;
    signals[PREDICT].enters = ablates;
    ck_assert_int_eq(pair_of(judge(), "suffering")->cells[IL_FLOW_DIRECT].opening,
                     IL_CLOSED);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("firewall over rewards");
    TCase *tests = tcase_create("firewall over rewards");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, task_and_oracle_have_no_source);
    tcase_add_test(tests, brain_opens_data_and_input_and_nothing_else);
    tcase_add_test(tests, what_is_given_to_a_reader_has_no_open_input);
    tcase_add_test(tests, isolated_refuses_brain_with_the_path_and_the_lines_to_write);
    tcase_add_test(tests, replay_beside_own_episodes_is_as_open_as_brain);
    tcase_add_test(tests, brain_offline_is_isolated_and_only_its_input_is_open);
    tcase_add_test(tests, a_refit_on_own_episodes_opens_the_reader);
    tcase_add_test(tests,
                   a_refit_on_given_episodes_follows_what_the_belief_learned_from);
    tcase_add_test(tests, a_reader_that_was_fitted_after_the_pressure_is_open);
    tcase_add_test(tests, rewards_end_to_end_open_credit_and_what_follows);
    tcase_add_test(tests, credit_for_a_sampled_belief_opens_the_same);
    tcase_add_test(tests, the_naive_arm_opens_direct_too);
    tcase_add_test(tests, the_ideal_observer_in_the_reward_reads_no_parameter);
    tcase_add_test(tests, a_common_scale_carries_the_score_into_the_other_reward);
    tcase_add_test(tests, a_shared_baseline_carries_the_score_without_a_common_scale);
    tcase_add_test(tests, an_entropy_bonus_that_reaches_the_belief_relays_the_policy);
    tcase_add_test(tests, a_pressed_value_head_relays_through_advantages);
    tcase_add_test(tests, a_policy_that_was_pressed_before_still_chooses_rows);
    tcase_add_test(tests,
                   one_clip_over_belief_and_desire_opens_state_with_the_split_to_write);
    tcase_add_test(tests, data_is_followed_through_what_learned_from_it);
    tcase_add_test(tests, little_atlas_without_the_detector_has_no_source);
    tcase_add_test(tests, the_detector_in_the_loss_of_little_atlas_opens_no_credit);
    tcase_add_test(
        tests, the_detector_in_the_reward_of_little_atlas_opens_credit_and_no_direct);
    tcase_add_test(tests,
                   a_frozen_reference_is_reached_by_nothing_and_a_moving_one_by_relay);
    tcase_add_test(tests, an_average_of_what_no_pressure_changed_is_clean);
    tcase_add_test(
        tests, an_edit_where_the_policy_plays_chooses_rows_though_it_enters_no_loss);
    tcase_add_test(
        tests,
        what_is_computed_under_an_edit_is_scaled_by_it_or_differentiated_through_it);
    tcase_add_test(tests, a_divergence_from_a_moving_reference_relays_what_it_follows);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
