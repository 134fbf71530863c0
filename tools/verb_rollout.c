/* interloop rollout: plays episodes of a pipeline's environment, with the policy of a
 * stage's result or with one of the environment's own, and prints or saves them. */
#include "verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/files.h"
#include "detect/tally.h"
#include "episode/written.h"
#include "pipeline/batch.h"
#include "session.h"

/* Rows of a call: fixed, since a model's last bits depend on it. */
enum { ROWS = 16, EPISODES_MAX = 1000000, ARGUMENTS_MAX = 1024 };

static const char usage[] =
    "usage: interloop rollout PIPELINE --stage NAME --episodes N [OPTION]...\n"
    "\n"
    "  Plays episodes of the pipeline's environment with the policy that the stage has learned,\n"
    "  and prints each as text, then the environment's metrics over all of them.\n"
    "\n"
    "  --episodes N        how many\n"
    "  --policy NAME       a policy of the environment instead of the stage's own (own); then\n"
    "                      the stage need not have been run\n"
    "  --prompt KIND       of an environment of text: the kind of prompt (its first)\n"
    "  --save FILE         writes one line of JSON an episode instead; - for standard output\n"
    "\n";

/* What the command line asks besides what every verb knows. */
typedef struct asked {
    const char *policy, *prompt, *save;
    uint64_t episodes;
    char *rest[ARGUMENTS_MAX]; /* of the arguments */
    int rest_count;
} asked;

static int wrong(const char *what, const char *detail)
{
    fprintf(stderr, "interloop rollout: %s%s\n%s", what, detail, usage);
    return 2;
}

/* Takes `--NAME VALUE` or `--NAME=VALUE` at argv[*i] into *value; false when it is
 * something else. */
static bool takes(const char *name, int argc, char **argv, int *i, const char **value)
{
    size_t size = strlen(name);

    if (strncmp(argv[*i], name, size) != 0) {
        return false;
    }
    if (argv[*i][size] == '=') {
        *value = argv[*i] + size + 1;
        return true;
    }
    if (argv[*i][size] != '\0' || *i + 1 >= argc) {
        return false;
    }
    *value = argv[++*i];
    return true;
}

/* Splits the arguments; -1: go on, else the exit code. */
static int split(asked *a, int argc, char **argv)
{
    const char *episodes = NULL;

    if (argc >= ARGUMENTS_MAX) {
        return wrong("too many arguments", "");
    }
    memset(a, 0, sizeof *a);
    a->policy = "own";
    for (int i = 0; i < argc; i++) {
        if (!takes("--policy", argc, argv, &i, &a->policy) &&
            !takes("--prompt", argc, argv, &i, &a->prompt) &&
            !takes("--save", argc, argv, &i, &a->save) &&
            !takes("--episodes", argc, argv, &i, &episodes)) {
            a->rest[a->rest_count++] = argv[i];
        }
    }
    if (episodes != NULL && (!il_parse_uint(episodes, &a->episodes) ||
                             a->episodes < 1 || a->episodes > EPISODES_MAX)) {
        return wrong("--episodes: expected a number from 1 to 1000000, got ", episodes);
    }
    return -1;
}

/* ---- what is played ------------------------------------------------------------- */

/* The stage's result into the world. */
static il_status load(il_session *s, const il_cli *cli, il_world *w, const il_job *job,
                      il_error *err)
{
    il_stage_host host = {.host = il_session_host(s),
                          .runs = cli->run.runs,
                          .run_name = "rollout",
                          .numerics = s->numerics};
    int64_t last = (int64_t)job->chain_count - 1;
    char address[IL_HASH_HEX];
    char *folder;
    bool there;

    IL_TRY(il_stage_address(&host, w, job, (size_t)last, address, err));
    folder = il_state_folder(cli->run.runs, address);
    there = folder != NULL && il_state_exists(folder, IL_STATE_RESULT);
    free(folder);
    if (!there) {
        return il_error_set(
            err, IL_ERR_INPUT, job->stage,
            "%s%sseed %llu has no result in %s: run the pipeline first, or name another "
            "policy",
            job->variant, job->variant[0] != '\0' ? " " : "",
            (unsigned long long)job->seed, cli->run.runs);
    }
    return il_stage_load(&host, w, job, last, NULL, err);
}

/* An unknown name, with those that there are. */
static il_status unknown(const il_instance *e, const char *option, const char *what,
                         const char *name, const il_named *items, int32_t count,
                         il_error *err)
{
    il_text known = {0};

    for (int32_t i = 0; items != NULL && i < count; i++) {
        il_text_addf(&known, ", %s", items[i].name);
    }
    (void)il_error_set(err, IL_ERR_INPUT, option,
                       "the environment '%s' has no %s '%s'; it has %s", e->offer->id,
                       what, name, known.size > 2 ? known.data + 2 : "none");
    il_text_free(&known);
    return IL_ERR_INPUT;
}

static il_status no_policy(const il_instance *e, const char *name, il_error *err)
{
    const il_environment_api *api = il_instance_environment(e);
    il_named all[65] = {{"own", ""}};
    const il_named *items = NULL;
    int32_t count = 0;

    if (api->form == IL_ENVIRONMENT_STEPS && IL_HAS(api, policies)) {
        items = api->policies(e->self, &count);
        count = items == NULL ? 0 : count < 64 ? count : 64;
    }
    if (count > 0) {
        memcpy(all + 1, items, (size_t)count * sizeof *items);
    }
    return unknown(e, "--policy", "policy", name, all, count + 1, err);
}

static il_status no_prompt(const il_instance *e, const char *name, il_error *err)
{
    const il_environment_api *api = il_instance_environment(e);
    const il_named *items = NULL;
    int32_t count = 0;

    if (api->form == IL_ENVIRONMENT_TEXT) {
        items = api->prompts(e->self, &count);
    }
    return unknown(e, "--prompt", "kind of prompt", name, items, count, err);
}

/* The rollout that is asked for. */
static il_status prepare(il_session *s, const il_cli *cli, const asked *a,
                         const il_job *job, il_world *w, il_rollout *r, il_error *err)
{
    bool own = strcmp(a->policy, "own") == 0;

    if (w->environment == NULL) {
        return il_error_set(err, IL_ERR_INPUT, cli->run.path,
                            "the pipeline has no `environment` to play");
    }
    *r = (il_rollout){.environment = w->environment,
                      .model = w->model,
                      .values = w->values,
                      .policy = own ? -1 : il_rollout_policy(w->environment, a->policy),
                      .group = 1,
                      .sampled_site = -1,
                      .seed = job->seed,
                      .draw = IL_DRAW_SHOW};
    if (!own && r->policy < 0) {
        return no_policy(w->environment, a->policy, err);
    }
    if (a->prompt != NULL) {
        r->prompt = il_rollout_prompt(w->environment, a->prompt);
        if (r->prompt < 0) {
            return no_prompt(w->environment, a->prompt, err);
        }
    }
    return own ? load(s, cli, w, job, err) : IL_OK;
}

/* ---- playing -------------------------------------------------------------------- */

typedef struct show {
    const il_rollout *r;
    const asked *asked;
    il_pass *pass;
    il_batch *batch, *part; /* a call's rows; those that were asked for */
    il_arena *scratch;
    il_tally tally;
    il_text saved;
} show;

/* The first `rows` rows of a call. */
static il_status take(show *w, int64_t rows, il_error *err)
{
    il_batch_reset(w->part, rows);
    for (size_t i = 0; i < il_batch_fields(w->batch); i++) {
        const char *name;
        const il_tensor *t = il_batch_field(w->batch, i, &name);
        il_type type = t->dtype.code == IL_CODE_FLOAT ? IL_F32
                       : t->dtype.bits == 8           ? IL_U8
                       : t->dtype.bits == 64          ? IL_I64
                                                      : IL_I32;
        int64_t shape[IL_DIMS_MAX];
        void *to;

        memcpy(shape, t->shape, sizeof shape);
        shape[0] = rows;
        to = il_batch_add(w->part, name, type, t->ndim, shape);
        if (to != NULL) {
            memcpy(to, t->data,
                   (size_t)(il_count(t) / t->shape[0] * rows) * t->dtype.bits / 8);
        }
    }
    return il_batch_status(w->part, err);
}

static void tell(show *w, int64_t row, int64_t number)
{
    il_text text = {0};

    if (w->asked->save != NULL) {
        il_episode_json(&w->saved, w->r->environment, w->part, row, number);
        return;
    }
    il_episode_text(&text, w->r->environment, w->part, row);
    printf("episode %lld\n%s\n", (long long)number, text.data != NULL ? text.data : "");
    il_text_free(&text);
}

static il_status play(show *w, il_error *err)
{
    const il_instance *e = w->r->environment;
    const il_environment_api *api = il_instance_environment(e);
    int64_t episodes = (int64_t)w->asked->episodes;

    for (int64_t first = 0; first < episodes; first += ROWS) {
        IL_TRY(il_rollout_fill(w->r, first, ROWS, w->pass, w->scratch, w->batch, err));
        IL_TRY(take(w, episodes - first < ROWS ? episodes - first : ROWS, err));
        for (int64_t b = 0; b < il_batch_rows(w->part); b++) {
            tell(w, b, first + b);
        }
        if (IL_HAS(api, metrics)) {
            api->metrics(e->self, w->r->prompt, w->part, &w->tally.metrics);
        }
    }
    return IL_OK;
}

static il_status finish(show *w, il_error *err)
{
    const char *path = w->asked->save;

    if (w->saved.failed) {
        return il_error_set(err, IL_ERR_MEMORY, "rollout", "out of memory");
    }
    if (path != NULL && strcmp(path, "-") != 0) {
        return il_file_write(path, w->saved.data, w->saved.size, err);
    }
    if (path != NULL) {
        (void)fwrite(w->saved.data, 1, w->saved.size, stdout);
        return IL_OK;
    }
    for (size_t i = 0; i < w->tally.count; i++) {
        if (w->tally.items[i].weight == 0) {
            continue; /* of nothing that was played */
        }
        printf("%-16s %.4f\n", w->tally.items[i].name,
               il_tally_value(&w->tally, w->tally.items[i].name));
    }
    return IL_OK;
}

static il_status rollout(il_session *s, const il_cli *cli, const asked *a,
                         il_error *err)
{
    il_host shared = il_session_host(s);
    const il_job *job = NULL;
    il_world *world = NULL;
    il_rollout r;
    show w = {.r = &r, .asked = a, .scratch = il_arena_create(1 << 16)};
    il_status status = il_cli_job(s, cli, &job, err);

    il_tally_open(&w.tally);
    if (status == IL_OK && w.scratch == NULL) {
        status = il_error_set(err, IL_ERR_MEMORY, "rollout", "out of memory");
    }
    if (status == IL_OK) {
        status = il_world_create(&world, &shared, job->pipeline, job->seed,
                                 &s->problems, err);
    }
    if (status == IL_OK) {
        status = prepare(s, cli, a, job, world, &r, err);
    }
    if (status == IL_OK) {
        status = il_pass_create(&w.pass, s->blas, 1, err);
    }
    if (status == IL_OK) {
        status = il_batch_create(&w.batch, err);
    }
    if (status == IL_OK) {
        status = il_batch_create(&w.part, err);
    }
    if (status == IL_OK) {
        status = play(&w, err);
    }
    if (status == IL_OK) {
        status = finish(&w, err);
    }
    il_text_free(&w.saved);
    il_tally_close(&w.tally);
    il_batch_destroy(w.part);
    il_batch_destroy(w.batch);
    il_pass_destroy(w.pass);
    il_arena_destroy(w.scratch);
    il_world_destroy(world);
    return status;
}

int il_verb_rollout(int argc, char **argv)
{
    static il_cli cli;
    static asked a;
    il_session session = {0};
    il_error err = {0};
    il_status status;
    int code = split(&a, argc, argv);

    if (code < 0) {
        code = il_cli_parse(&cli, a.rest_count, a.rest, usage);
    }
    if (code >= 0) {
        return code;
    }
    if (cli.run.filter.stage_count != 1 || a.episodes == 0) {
        return wrong("expected --stage and --episodes, each once", "");
    }
    cli.run.log = il_cli_log();
    status = il_session_open(&session, &cli.run, &err);
    if (status == IL_OK) {
        status = rollout(&session, &cli, &a, &err);
    }
    code = status == IL_OK ? 0 : il_cli_fail(&session, status, &err);
    il_session_close(&session);
    il_log_destroy(cli.run.log);
    return code;
}
