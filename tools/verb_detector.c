/* interloop detector: fits, judges and explains detectors, in a pipeline or on
 * activations from files. Each word has a file of its own, detector_*.c. */
#define _XOPEN_SOURCE 700 /* realpath */
#include "verbs.h"
#include "detector.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} words[] = {
    {"fit", il_detector_fit_verb, "fits a detector and saves it in a file"},
    {"eval", il_detector_eval_verb, "judges a detector on labelled rows"},
    {"explain", il_detector_explain_verb, "says what a detector is"},
    {"harvest", il_detector_harvest_verb, "writes activations with labels and ids"},
    {"zoo", il_detector_zoo_verb, "fits and judges all of a pipeline's detectors"},
    {"import", il_detector_import_verb, "takes a detector from another program's file"},
    {"export", il_detector_export_verb, "writes a detector for another program"},
};
enum { WORDS = sizeof words / sizeof words[0] };

static void usage(FILE *to)
{
    fputs("usage: interloop detector WORD [ARGUMENT]...\n\n", to);
    for (size_t i = 0; i < WORDS; i++) {
        fprintf(to, "  %-9s %s\n", words[i].name, words[i].help);
    }
    fputs("\ninterloop detector WORD --help says more.\n\n"
          "Exit codes: 0 well, 1 failed, 2 wrong input.\n",
          to);
}

int il_verb_detector(int argc, char **argv)
{
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)) {
        usage(stdout);
        return 0;
    }
    for (size_t i = 0; argc > 1 && i < WORDS; i++) {
        if (strcmp(argv[1], words[i].name) == 0) {
            return words[i].run(argc - 1, argv + 1);
        }
    }
    if (argc > 1) {
        fprintf(stderr, "interloop detector: there is no word '%s'\n", argv[1]);
    }
    usage(stderr);
    return 2;
}

/* ---- options -------------------------------------------------------------------- */

int il_detector_wrong(const char *usage_text, const char *what, const char *detail)
{
    fprintf(stderr, "interloop detector: %s%s\n%s", what, detail, usage_text);
    return 2;
}

enum {
    ACTS = 256,
    LABELS,
    IDS,
    MASK,
    LENGTHS,
    USE,
    OUT,
    SITE,
    TOKENS,
    CONTEXT,
    CONVENTION,
    MODEL,
    METHOD,
    UNIT,
    POOL,
    BATCH,
    FPR,
    LR,
    L2,
    STEPS,
    ROWS,
    TOP,
    JSON,
    QUIET,
    FILES,
    DTYPE,
    FORMAT,
    ROWS_ONLY,
    ACCEPT,
    DETECTOR,
    SPLIT,
    FEATURE,
    SET,
    PLUGINS,
    STAGE,
    VARIANT,
    SEED,
    RUNS,
    WORKERS,
    HELP
};

static const struct option known[] = {
    {"acts", required_argument, NULL, ACTS},
    {"labels", required_argument, NULL, LABELS},
    {"ids", required_argument, NULL, IDS},
    {"mask", required_argument, NULL, MASK},
    {"lengths", required_argument, NULL, LENGTHS},
    {"use", required_argument, NULL, USE},
    {"out", required_argument, NULL, OUT},
    {"site", required_argument, NULL, SITE},
    {"tokens", required_argument, NULL, TOKENS},
    {"context", required_argument, NULL, CONTEXT},
    {"convention", required_argument, NULL, CONVENTION},
    {"model", required_argument, NULL, MODEL},
    {"method", required_argument, NULL, METHOD},
    {"unit", required_argument, NULL, UNIT},
    {"pool", required_argument, NULL, POOL},
    {"batch", required_argument, NULL, BATCH},
    {"fpr", required_argument, NULL, FPR},
    {"lr", required_argument, NULL, LR},
    {"l2", required_argument, NULL, L2},
    {"steps", required_argument, NULL, STEPS},
    {"rows", required_argument, NULL, ROWS},
    {"top", required_argument, NULL, TOP},
    {"json", no_argument, NULL, JSON},
    {"quiet", no_argument, NULL, QUIET},
    {"files", required_argument, NULL, FILES},
    {"dtype", required_argument, NULL, DTYPE},
    {"format", required_argument, NULL, FORMAT},
    {"scored", no_argument, NULL, ROWS_ONLY},
    {"accept", required_argument, NULL, ACCEPT},
    {"detector", required_argument, NULL, DETECTOR},
    {"split", required_argument, NULL, SPLIT},
    {"feature", required_argument, NULL, FEATURE},
    {"set", required_argument, NULL, SET},
    {"plugin-path", required_argument, NULL, PLUGINS},
    {"stage", required_argument, NULL, STAGE},
    {"variant", required_argument, NULL, VARIANT},
    {"seed", required_argument, NULL, SEED},
    {"runs", required_argument, NULL, RUNS},
    {"workers", required_argument, NULL, WORKERS},
    {"help", no_argument, NULL, HELP},
    {NULL, 0, NULL, 0},
};

/* The text that an option sets, or NULL. */
static const char **text_of(il_detector_cli *c, int option)
{
    switch (option) {
    case LABELS:
        return &c->labels;
    case IDS:
        return &c->ids;
    case MASK:
        return &c->mask;
    case LENGTHS:
        return &c->lengths;
    case USE:
        return &c->use;
    case OUT:
        return &c->out;
    case TOKENS:
        return &c->tokens;
    case CONTEXT:
        return &c->context;
    case CONVENTION:
        return &c->convention;
    case MODEL:
        return &c->model;
    case METHOD:
        return &c->method;
    case UNIT:
        return &c->unit;
    case POOL:
        return &c->pool;
    case FILES:
        return &c->files;
    case DTYPE:
        return &c->dtype;
    case FORMAT:
        return &c->format;
    case RUNS:
        return &c->cli.run.runs;
    default:
        return NULL;
    }
}

/* The list that an option adds to, with its count and room. */
static const char **list_of(il_detector_cli *c, int option, size_t **count,
                            size_t *room)
{
    il_run_options *run = &c->cli.run;

    *room = 64;
    switch (option) {
    case ACTS:
        *count = &c->acts_count;
        return c->acts;
    case SITE:
        *count = &c->site_count;
        return c->sites;
    case ACCEPT:
        *count = &c->accept_count;
        return c->accept;
    case DETECTOR:
        *count = &c->detector_count;
        return c->detectors;
    case SPLIT:
        *count = &c->split_count;
        return c->splits;
    default:
        break;
    }
    *room = IL_CLI_MANY;
    switch (option) {
    case SET:
        *count = &run->set_count;
        return c->cli.sets;
    case PLUGINS:
        *count = &run->plugin_path_count;
        return c->cli.plugins;
    case STAGE:
        *count = &run->filter.stage_count;
        return c->cli.stages;
    case VARIANT:
        *count = &run->filter.variant_count;
        return c->cli.variants;
    default:
        return NULL;
    }
}

static bool take_number(il_detector_cli *c, int option, const char *text)
{
    double *real = option == FPR ? &c->fpr : option == LR ? &c->lr : &c->l2;
    int64_t *whole = option == STEPS   ? &c->steps
                     : option == ROWS  ? &c->rows
                     : option == BATCH ? &c->batch
                                       : &c->top;
    uint64_t seed = 0;

    switch (option) {
    case FPR:
    case LR:
    case L2:
        return il_parse_real(text, real) && *real >= 0 && (option != FPR || *real <= 1);
    case STEPS:
    case BATCH:
    case ROWS:
    case TOP:
        return il_parse_int(text, whole) && *whole >= 1;
    case FEATURE:
        return c->feature_count < 64 &&
               il_parse_int(text, &c->features[c->feature_count]) &&
               c->features[c->feature_count++] >= 0;
    case WORKERS:
        if (!il_parse_uint(text, &seed) || seed < 1 || seed > 256) {
            return false;
        }
        c->cli.run.workers = (int)seed;
        return true;
    default:
        if (c->cli.run.filter.seed_count == IL_CLI_MANY ||
            !il_parse_uint(text, &seed)) {
            return false;
        }
        c->cli.seeds[c->cli.run.filter.seed_count++] = seed;
        return true;
    }
}

static int take(il_detector_cli *c, int option, const char *usage_text)
{
    const char **text = text_of(c, option);
    size_t *count = NULL;
    size_t room = 0;
    const char **list = text == NULL ? list_of(c, option, &count, &room) : NULL;

    if (text != NULL) {
        *text = optarg;
        return -1;
    }
    if (list != NULL) {
        if (*count == room) {
            return il_detector_wrong(usage_text, "too many options", "");
        }
        list[(*count)++] = optarg;
        return -1;
    }
    switch (option) {
    case JSON:
        c->json = true;
        return -1;
    case QUIET:
        c->cli.quiet = true;
        return -1;
    case ROWS_ONLY:
        c->rows_only = true;
        return -1;
    case HELP:
        fputs(usage_text, stdout);
        return 0;
    case '?':
        fputs(usage_text, stderr);
        return 2;
    default:
        return take_number(c, option, optarg)
                   ? -1
                   : il_detector_wrong(usage_text, "not a number that fits: ", optarg);
    }
}

int il_detector_parse(il_detector_cli *c, int argc, char **argv, const char *usage_text)
{
    int option;

    memset(c, 0, sizeof *c);
    c->fpr = c->lr = c->l2 = -1;
    c->cli.run.runs = "runs";
    c->cli.run.sets = c->cli.sets;
    c->cli.run.plugin_path = c->cli.plugins;
    c->cli.run.filter.stages = c->cli.stages;
    c->cli.run.filter.variants = c->cli.variants;
    c->cli.run.filter.seeds = c->cli.seeds;
    optind = 1;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        int code = take(c, option, usage_text);

        if (code >= 0) {
            return code;
        }
    }
    if (optind + 1 < argc) {
        return il_detector_wrong(usage_text, "expected one argument, got more", "");
    }
    c->cli.run.path = optind < argc ? argv[optind] : NULL;
    return -1;
}

/* ---- the desk ------------------------------------------------------------------- */

il_status il_detector_desk_open(il_detector_desk *desk, const il_detector_cli *c,
                                il_error *err)
{
    memset(desk, 0, sizeof *desk);
    desk->log = il_cli_log();
    desk->arena = il_arena_create(1 << 14);
    desk->problems.arena = desk->arena;
    if (desk->log == NULL || desk->arena == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "detector", "out of memory");
    }
    IL_TRY(il_registry_create(&desk->registry, desk->log, err));
    for (size_t i = 0; i < c->cli.run.plugin_path_count; i++) {
        char *whole = realpath(c->cli.plugins[i], NULL);
        il_status status =
            whole != NULL ? il_registry_add_folder(desk->registry, whole, true, err)
                          : il_error_set(err, IL_ERR_INPUT, c->cli.plugins[i],
                                         "cannot open the folder of plugins");

        free(whole);
        IL_TRY(status);
    }
    IL_TRY(il_registry_add_defaults(desk->registry, err));
    return il_blas_open(&desk->blas, false, err);
}

void il_detector_desk_close(il_detector_desk *desk)
{
    il_registry_destroy(desk->registry);
    il_arena_destroy(desk->arena);
    il_log_destroy(desk->log);
}

int il_detector_desk_fail(il_detector_desk *desk, il_status status, const il_error *err)
{
    il_session s = {.problems = desk->problems};

    return il_cli_fail(&s, status, err);
}

double il_detector_clock(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); /* cannot fail with this clock */
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
