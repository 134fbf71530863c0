/* interloop config: looks at a pipeline without running it. */
#include "verbs.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/arena.h"
#include "pipeline/jobs.h"
#include "pipeline/resolve.h"

static const char usage[] =
    "usage: interloop config validate FILE... [--set PATH=VALUE]...\n"
    "       interloop config print FILE [--set PATH=VALUE]... [--stage NAME "
    "[--variant NAME] [--seed N]] [--sources]\n"
    "\n"
    "  validate   finds all that is wrong with pipelines, without running anything\n"
    "  print      writes the pipeline with everything that it extends, every override and\n"
    "             every ${...} resolved; with --stage, the document of that one job\n"
    "\n"
    "  --set PATH=VALUE   overrides one value, as in stages.loop.signals.honesty.weight=1\n"
    "  --stage NAME       the stage to print, with what leads to it\n"
    "  --variant NAME     the variant of that stage\n"
    "  --seed N           the seed of that job\n"
    "  --sources          adds where a value that overrode another comes from\n"
    "\n"
    "Exit codes: 0 well, 1 failed, 2 wrong input.\n";

enum { SETS_MAX = 256, FILES_MAX = 256 };

typedef struct options {
    const char *files[FILES_MAX];
    size_t file_count;
    const char *sets[SETS_MAX];
    size_t set_count;
    const char *stage;
    const char *variant;
    uint64_t seed;
    bool has_seed;
    bool sources;
} options;

static int wrong(const char *what, const char *detail)
{
    fprintf(stderr, "interloop config: %s%s\n%s", what, detail, usage);
    return 2;
}

/* Options and files in any order; 0, or the exit code of what is wrong. */
static int parse(int argc, char **argv, options *o)
{
    static const struct option known[] = {
        {"set", required_argument, NULL, 's'},
        {"stage", required_argument, NULL, 'g'},
        {"variant", required_argument, NULL, 'v'},
        {"seed", required_argument, NULL, 'n'},
        {"sources", no_argument, NULL, 'r'},
        {NULL, 0, NULL, 0},
    };
    int c;

    optind = 1;
    opterr = 0;
    for (;;) {
        /* Without permutation, so that each file is met in its place. */
        while (optind < argc && argv[optind][0] != '-') {
            if (o->file_count == FILES_MAX) {
                return wrong("too many files", "");
            }
            o->files[o->file_count++] = argv[optind++];
        }
        c = getopt_long(argc, argv, "+", known, NULL);
        if (c == -1) {
            break;
        }
        if (c == 's' && o->set_count < SETS_MAX) {
            o->sets[o->set_count++] = optarg;
        } else if (c == 'g') {
            o->stage = optarg;
        } else if (c == 'v') {
            o->variant = optarg;
        } else if (c == 'n') {
            o->has_seed = true;
            if (!il_parse_uint(optarg, &o->seed)) {
                return wrong("expected a whole number after --seed, found ", optarg);
            }
        } else if (c == 'r') {
            o->sources = true;
        } else {
            return wrong("cannot use ", argv[optind - 1]);
        }
    }
    while (optind < argc && o->file_count < FILES_MAX) {
        o->files[o->file_count++] = argv[optind++];
    }
    return 0;
}

/* Prints what was found; the exit code. */
static int report(il_problems *problems)
{
    il_text text = {0};
    int code = problems->no_memory && problems->count == 0 ? 1 : 2;

    il_problems_write(problems, &text);
    fputs(text.data != NULL ? text.data : "error: out of memory\n", stderr);
    il_text_free(&text);
    return code;
}

static int validate(const options *o, const char *path)
{
    il_arena *arena = il_arena_create(1 << 14);
    il_problems problems = {.arena = arena};
    il_document *document = NULL;
    il_error err = {0};
    int code = 0;

    if (arena == NULL) {
        fputs("error: out of memory\n", stderr);
        return 1;
    }
    (void)il_document_load(&document, path, o->sets, o->set_count, &problems, &err);
    if (document != NULL) {
        il_jobs_check(document, &problems);
    }
    if (il_problems_any(&problems)) {
        code = report(&problems);
    } else {
        printf("%s: ok\n", path);
    }
    il_document_destroy(document);
    il_arena_destroy(arena);
    return code;
}

/* The tree to print: a job's, or the whole file's; NULL with problems. */
static const il_node *choose(const options *o, il_document *document,
                             il_problems *problems)
{
    il_jobs_filter filter = {.stages = &o->stage, .stage_count = 1};
    il_error err = {0};
    il_jobs jobs;

    if (o->stage == NULL) {
        return il_document_resolved(document, problems);
    }
    if (o->variant != NULL) {
        filter.variants = &o->variant;
        filter.variant_count = 1;
    }
    if (o->has_seed) {
        filter.seeds = &o->seed;
        filter.seed_count = 1;
    }
    if (il_jobs_list(&jobs, document, &filter, problems, &err) != IL_OK) {
        return NULL;
    }
    if (jobs.count == 0 || (o->variant == NULL && jobs.items[0].variant[0] != '\0')) {
        il_place place = {"--stage", 0, 0};

        il_problem_add(problems, place,
                       "stage '%s' has variants: name one by --variant", o->stage);
        return NULL;
    }
    return jobs.items[0].document;
}

static int print(const options *o, const char *path)
{
    il_arena *arena = il_arena_create(1 << 14);
    il_problems problems = {.arena = arena};
    il_document *document = NULL;
    const il_node *tree = NULL;
    il_text text = {0};
    il_error err = {0};
    int code = 0;

    if (arena == NULL) {
        fputs("error: out of memory\n", stderr);
        return 1;
    }
    (void)il_document_load(&document, path, o->sets, o->set_count, &problems, &err);
    if (document != NULL) {
        tree = choose(o, document, &problems);
    }
    if (tree != NULL && !il_problems_any(&problems)) {
        il_node_write_yaml(&text, tree, o->sources);
        problems.no_memory = text.failed;
    }
    if (il_problems_any(&problems)) {
        code = report(&problems);
    } else if (text.data != NULL &&
               fwrite(text.data, 1, text.size, stdout) != text.size) {
        code = 1;
    }
    il_text_free(&text);
    il_document_destroy(document);
    il_arena_destroy(arena);
    return code;
}

int il_verb_config(int argc, char **argv)
{
    options o = {0};
    const char *verb = argc > 1 ? argv[1] : "";
    int worst;

    if (strcmp(verb, "--help") == 0 || (argc > 2 && strcmp(argv[2], "--help") == 0)) {
        fputs(usage, stdout);
        return 0;
    }
    if (strcmp(verb, "validate") != 0 && strcmp(verb, "print") != 0) {
        return wrong("expected validate or print, found ", verb[0] ? verb : "nothing");
    }
    worst = parse(argc - 1, argv + 1, &o);
    if (worst != 0) {
        return worst;
    }
    if (o.file_count == 0) {
        return wrong("expected a file", "");
    }
    if (verb[0] == 'p') {
        return o.file_count == 1 ? print(&o, o.files[0])
                                 : wrong("print takes one file", "");
    }
    for (size_t i = 0; i < o.file_count; i++) {
        int code = validate(&o, o.files[i]);

        worst = code > worst ? code : worst;
    }
    return worst;
}
