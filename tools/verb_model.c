/* interloop model: the weights that a stage left, in other people's formats. */
#include "verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "base/compiler.h"
#include "exchange/folder.h"
#include "loop/stage.h"
#include "session.h"

enum { ARGUMENTS_MAX = 1024 };

static const char usage[] =
    "usage: interloop model export PIPELINE --to FOLDER [OPTION]...\n"
    "\n"
    "  Writes the model as a folder that transformers loads: with the weights that the stage of\n"
    "  --stage left, or without --stage as it starts.\n"
    "\n"
    "  --to FOLDER         a folder that is not there yet\n"
    "  --dtype NAME        f32 (without), f16 or bf16\n"
    "  --shard-size SIZE   in files of at most so much, such as 200MB or 2GB, and their index\n"
    "  --adapters          its adapters alone, as PEFT loads them\n"
    "  --merge             its adapters added to the matrices that they are beside\n"
    "\n";

typedef struct asked {
    const char *to;
    il_dtype dtype;
    il_folder_what what;
    size_t shard_bytes;
    char *rest[ARGUMENTS_MAX];
    int rest_count;
} asked;

static int wrong(const char *what, const char *detail)
{
    fprintf(stderr, "interloop model: %s%s\n%s", what, detail, usage);
    return 2;
}

static bool dtype_of(const char *name, il_dtype *out)
{
    static const struct {
        const char *name;
        il_dtype dtype;
    } known[] = {{"f32", {IL_CODE_FLOAT, 32, 1}},
                 {"f16", {IL_CODE_FLOAT, 16, 1}},
                 {"bf16", {IL_CODE_BFLOAT, 16, 1}}};

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(known[i].name, name) == 0) {
            *out = known[i].dtype;
            return true;
        }
    }
    return false;
}

/* A whole number above 0 with a unit, of tens as files are sold by. */
static bool size_of(const char *text, size_t *out)
{
    static const struct {
        const char *name;
        size_t bytes;
    } units[] = {{"B", 1}, {"", 1}, {"KB", 1000}, {"MB", 1000000}, {"GB", 1000000000}};
    const size_t digits = strspn(text, "0123456789");
    const unsigned long long n =
        digits > 0 && digits < 10 ? strtoull(text, NULL, 10) : 0;

    for (size_t i = 0; n > 0 && i < sizeof units / sizeof units[0]; i++) {
        if (strcasecmp(text + digits, units[i].name) == 0 &&
            il_mul_size((size_t)n, units[i].bytes, out)) {
            return true;
        }
    }
    return false;
}

/* Splits the arguments; -1: go on, else the exit code. */
static int split(asked *a, int argc, char **argv)
{
    if (argc >= ARGUMENTS_MAX) {
        return wrong("too many arguments", "");
    }
    memset(a, 0, sizeof *a);
    (void)dtype_of("f32", &a->dtype);
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--to") == 0 && i + 1 < argc) {
            a->to = argv[++i];
        } else if (strcmp(argv[i], "--dtype") == 0 && i + 1 < argc) {
            if (!dtype_of(argv[++i], &a->dtype)) {
                return wrong("--dtype: expected f32, f16 or bf16, got ", argv[i]);
            }
        } else if (strcmp(argv[i], "--shard-size") == 0 && i + 1 < argc) {
            if (!size_of(argv[++i], &a->shard_bytes)) {
                return wrong("--shard-size: expected a size like 200MB, got ", argv[i]);
            }
        } else if (strcmp(argv[i], "--adapters") == 0) {
            a->what = IL_FOLDER_ADAPTERS;
        } else if (strcmp(argv[i], "--merge") == 0) {
            a->what = IL_FOLDER_MERGED;
        } else {
            a->rest[a->rest_count++] = argv[i];
        }
    }
    return -1;
}

/* Whether the stage has a result to load. */
static il_status check_result(const il_stage_host *host, const il_world *w,
                              const il_job *job, il_error *err)
{
    char address[IL_HASH_HEX];
    char *folder;
    bool there;

    IL_TRY(il_stage_address(host, w, job, job->chain_count - 1, address, err));
    folder = il_state_folder(host->runs, address);
    there = folder != NULL && il_state_exists(folder, IL_STATE_RESULT);
    free(folder);
    return there ? IL_OK
                 : il_error_set(err, IL_ERR_INPUT, job->stage,
                                "%s%sseed %llu has no result in %s: run the pipeline "
                                "first, or leave --stage out",
                                job->variant, job->variant[0] != '\0' ? " " : "",
                                (unsigned long long)job->seed, host->runs);
}

/* The world of the job, its model with the stage's weights. */
static il_status open_model(il_world **world, il_session *s, const il_cli *cli,
                            il_error *err)
{
    const il_job *job = NULL;
    il_stage_host host = {.host = il_session_host(s),
                          .runs = cli->run.runs,
                          .run_name = "model",
                          .numerics = s->numerics};

    if (cli->run.filter.stage_count == 0 && s->jobs.count > 0) {
        job = &s->jobs.items[0]; /* any stage's model starts from the same folder */
    } else {
        IL_TRY(il_cli_job(s, cli, &job, err));
    }
    IL_TRY(il_world_create(world, &host.host, job->pipeline, job->seed, &s->problems,
                           err));
    if (cli->run.filter.stage_count == 0) {
        return IL_OK;
    }
    IL_TRY(check_result(&host, *world, job, err));
    return il_stage_load(&host, *world, job, (int64_t)job->chain_count - 1, NULL, err);
}

static int export(int argc, char **argv)
{
    static il_cli cli;
    static asked a;
    il_session session = {0};
    il_world *world = NULL;
    il_error err = {0};
    il_status status;
    int code = split(&a, argc, argv);

    if (code < 0) {
        code = il_cli_parse(&cli, a.rest_count, a.rest, usage);
    }
    if (code >= 0) {
        return code;
    }
    if (a.to == NULL) {
        return wrong("expected --to FOLDER", "");
    }
    cli.run.log = il_cli_log();
    status = il_session_open(&session, &cli.run, &err);
    if (status == IL_OK) {
        status = open_model(&world, &session, &cli, &err);
    }
    if (status == IL_OK) {
        status =
            il_folder_write(world->model, a.to, a.what, a.dtype, a.shard_bytes, &err);
    }
    if (status == IL_OK) {
        printf("wrote %s\n", a.to);
    }
    code = status == IL_OK ? 0 : il_cli_fail(&session, status, &err);
    il_world_destroy(world);
    il_session_close(&session);
    il_log_destroy(cli.run.log);
    return code;
}

int il_verb_model(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    if (argc < 2 || strcmp(argv[1], "export") != 0) {
        return wrong("expected the word export", "");
    }
    argv[1] = argv[0];
    return export(argc - 1, argv + 1);
}
