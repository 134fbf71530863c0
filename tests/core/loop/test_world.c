/* Worlds: what is made of a pipeline with data, with an environment, with both and with
 * too little. */
#include "loop/world.h"
#include "loop/run.h"
#include "pipeline/fields.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[] = "/tmp/il_world_XXXXXX";
static il_session session;
static il_world *world;
static il_error err;

static const char far[] = "environment: {use: far_lever}\n"
                          "model: {use: belief_desire, params: {hidden: 8}}\n";
static const char atlas[] =
    "data: {use: little_atlas_transcripts}\n"
    "environment: {use: little_atlas}\n"
    "model: {use: gpt, params: {layers: 1, width: 8, heads: 2, context: 19}}\n";
static const char rows[] =
    "    train: {steps: 2, batch: 4, optimizer: {use: sgd, lr: 1}}\n";
static const char rollouts[] =
    "    train: {updates: 2, rollouts: {own: {policy: own, episodes: 4}}, "
    "optimizer: {use: sgd, lr: 1}}\n";

/* A world of these parts and one stage that trains so. */
static il_status make(const char *parts, const char *train, const char *loss)
{
    il_run_options options = {.path = path, .workers = 1};
    il_host host;
    FILE *f;
    il_status status;

    strcpy(path, "/tmp/il_world_XXXXXX");
    f = fdopen(mkstemp(path), "w");
    ck_assert_ptr_nonnull(f);
    fprintf(f,
            "interloop: 1\nname: some\nseed: 1\nplugins: {path: [%s/plugins]}\n%s"
            "stages:\n  only:\n%s"
            "    signals: {learn: {source: %s, channel: loss, route: all}}\n",
            getenv("IL_BUILD"), parts, train, loss);
    ck_assert_int_eq(fclose(f), 0);
    status = il_session_open(&session, &options, &err);
    if (status == IL_OK) {
        ck_assert_uint_eq(session.jobs.count, 1);
        host = il_session_host(&session);
        status = il_world_create(&world, &host, session.jobs.items[0].pipeline, 1,
                                 &session.problems, &err);
    }
    ck_assert_int_eq(unlink(path), 0);
    return status;
}

static void teardown(void)
{
    il_world_destroy(world);
    il_session_close(&session);
}

static const il_stage_spec *stage(void)
{
    return &session.jobs.items[0].pipeline->stages[0];
}

START_TEST(a_world_may_be_without_data)
{
    ck_assert_msg(make(far, rollouts, "prediction") == IL_OK, "%s", err.message);
    ck_assert_ptr_null(world->data);
    ck_assert_str_eq(world->environment->label, "environment");
    ck_assert_ptr_eq(il_world_rows(world, stage()), world->environment);
    ck_assert_ptr_eq(il_world_rows(world, NULL), world->environment);
    /* The model was told the environment's sizes. */
    ck_assert_uint_eq(world->facts.count, 3);
}
END_TEST

START_TEST(a_stage_names_the_fields_of_what_it_trains_on)
{
    ck_assert_msg(make(atlas, rows, "next_token") == IL_OK, "%s", err.message);
    ck_assert_ptr_eq(il_world_rows(world, stage()), world->data);
    il_world_destroy(world);
    world = NULL;
    il_session_close(&session);
    ck_assert_msg(make(atlas, rollouts, "next_token") == IL_OK, "%s", err.message);
    ck_assert_ptr_eq(il_world_rows(world, stage()), world->environment);
    ck_assert_ptr_eq(il_world_rows(world, NULL), world->data);
    ck_assert_str_eq(il_field_of_role(world->environment, IL_FIELD_INPUT), "tokens");
}
END_TEST

static void refused(const char *parts, const char *train, const char *said)
{
    il_text text = {0};

    ck_assert_int_eq(make(parts, train, "prediction"), IL_ERR_INPUT);
    ck_assert_ptr_null(world);
    il_problems_write(&session.problems, &text);
    il_text_add(&text, err.message);
    ck_assert_msg(strstr(text.data, said) != NULL, "%s", text.data);
    il_text_free(&text);
    il_session_close(&session);
    err = (il_error){0};
}

START_TEST(a_stage_that_has_nothing_to_train_on_is_named)
{
    refused(far, rows, ":9:12: error: it trains on rows, and there is no `data`");
    refused("data: {use: little_atlas_transcripts}\n"
            "model: {use: gpt, params: {layers: 1, width: 8, heads: 2, context: 19}}\n",
            rollouts,
            ":9:12: error: it trains on rollouts, and there is no `environment`");
    refused("model: {use: belief_desire, params: {hidden: 8}}\n", rollouts,
            "there is neither `data` nor an `environment`");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("world");
    TCase *tc = tcase_create("world");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, NULL, teardown);
    tcase_add_test(tc, a_world_may_be_without_data);
    tcase_add_test(tc, a_stage_names_the_fields_of_what_it_trains_on);
    tcase_add_test(tc, a_stage_that_has_nothing_to_train_on_is_named);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
