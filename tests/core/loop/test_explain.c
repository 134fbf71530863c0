#include "loop/explain.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {"embed", "unembed"};
static const il_word read = 1, written = 2, both = 3;
static const il_matrix_group groups[] = {{"embed", &read}, {"unembed", &written}};
static const uint8_t entered[] = {IL_ENTERS_CONSTANT};
static const il_flow_signal signals[] = {
    {.name = "language", .g = &both, .v = &both, .updates = &both},
    {.name = "honesty", .g = &both, .v = &both, .updates = &written, .enters = entered},
};
static const il_flow_source source = {.name = "probe", .presses = true};
static const il_flow_reader reader = {.name = "probe", .reads = &read};
static const il_flow flow = {.bits = 2,
                             .names = names,
                             .signals = signals,
                             .signal_count = 2,
                             .sources = &source,
                             .source_count = 1,
                             .readers = &reader,
                             .reader_count = 1};
static const il_matrix_row rows[] = {{"language", "loss", &both},
                                     {"honesty", "loss", &written}};

static il_explain_stage leaky(const il_verdict *verdict)
{
    return (il_explain_stage){
        .stage = "loop",
        .variant = "leaky",
        .from = "fitted",
        .does = "200 steps",
        .rows = rows,
        .row_count = 2,
        .groups = groups,
        .group_count = 2,
        .bits = 2,
        .verdict = verdict,
        .demand = IL_DEMAND_DIRECT | IL_DEMAND_CREDIT,
        .lowered = true,
    };
}

START_TEST(the_page_goes_from_components_to_channels)
{
    const il_explain_component components[] = {
        {"model", "interloop.gpt", "1.0.0", "0123456789abcdef0123"},
        {"probe", "interloop.linear_probe", "1.2.0", "fedcba98765432100123"}};
    const il_explain_site sites[] = {{"blocks.0.hook_resid_post", "(B,T,64)", "probe"}};
    il_arena *arena = il_arena_create(1024);
    const il_verdict *verdict = il_firewall_judge(arena, &flow);
    const il_explain_stage stages[] = {
        {.stage = "fitted", .variant = "", .from = "pretrain", .does = "fits probe"},
        leaky(verdict)};
    const il_explain page = {"liar", "native", components, 2, sites, 1, stages, 2};
    il_text text = {0};

    ck_assert_ptr_nonnull(verdict);
    il_explain_text(&text, &page);
    ck_assert(!text.failed);
    ck_assert_str_eq(
        text.data,
        "pipeline liar, numerics native\n"
        "\n"
        "components\n"
        "  model  interloop.gpt           1.0.0  sha256 0123456789ab\n"
        "  probe  interloop.linear_probe  1.2.0  sha256 fedcba987654\n"
        "\n"
        "sites that are read\n"
        "  blocks.0.hook_resid_post  (B,T,64)  by probe\n"
        "\n"
        "stage fitted, from pretrain: fits probe\n"
        "\n"
        "stage loop, variant leaky, from fitted: 200 steps\n"
        "\n"
        "signal    channel  embed  unembed\n"
        "language  loss     ●      ●\n"
        "honesty   loss     ·      ●\n"
        "\n"
        "must be closed: direct, credit (lowered by name)\n"
        "\n"
        "source → reader  direct  credit  relay  state  data  input  reader  "
        "selection\n"
        "probe → probe    ·       ·       ●      ·      –     ·      ·       ·\n"
        "\n"
        "probe → probe\n"
        "  relay      language → unembed [changed by probe] → embed, read by probe\n"
        "\n"
        "● open   · closed   – not applicable. Where pressure can go, and not whether "
        "a reader still tells the truth.\n");
    il_text_free(&text);
    il_arena_destroy(arena);
}
END_TEST

START_TEST(a_plan_that_would_be_refused_says_so)
{
    il_arena *arena = il_arena_create(1024);
    il_explain_stage stage = leaky(il_firewall_judge(arena, &flow));
    il_text text = {0};

    stage.demand = IL_DEMAND_SEALED;
    stage.lowered = false;
    il_explain_stage_text(&text, &stage);
    ck_assert_ptr_nonnull(
        strstr(text.data, "must be closed: direct, credit, relay, state\n"));
    ck_assert_ptr_nonnull(
        strstr(text.data, "would be refused: relay is open from probe to probe"));
    il_text_free(&text);
    il_arena_destroy(arena);
}
END_TEST

START_TEST(a_stage_without_pressure_asks_for_nothing)
{
    il_arena *arena = il_arena_create(1024);
    il_flow quiet = flow;
    il_explain_stage stage;
    il_text text = {0};

    quiet.source_count = 0;
    quiet.signal_count = 1;
    stage = leaky(il_firewall_judge(arena, &quiet));
    il_explain_stage_text(&text, &stage);
    ck_assert_ptr_nonnull(
        strstr(text.data, "no detector presses on what is trained\n"));
    ck_assert_ptr_null(strstr(text.data, "must be closed"));
    il_text_free(&text);
    il_arena_destroy(arena);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("explain");
    TCase *tests = tcase_create("explain");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_test(tests, the_page_goes_from_components_to_channels);
    tcase_add_test(tests, a_plan_that_would_be_refused_says_so);
    tcase_add_test(tests, a_stage_without_pressure_asks_for_nothing);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
