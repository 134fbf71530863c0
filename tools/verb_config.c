/* interloop config: looks at a pipeline without running it. config_show.c has what
 * explains, config_schema.c what describes the grammar. */
#include "verbs.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "plain.h"
#include "config.h"
#include "pipeline/plugins.h"

static const char usage[] =
    "usage: interloop config validate FILE... [--grammar]\n"
    "       interloop config print FILE [--sources] [JOB]\n"
    "       interloop config explain FILE PATH [JOB]\n"
    "       interloop config diff FILE FILE [JOB]\n"
    "       interloop config schema | reference\n"
    "       interloop config new NAME [--model ID] [--data ID] [--environment ID] "
    "[--detector ID]\n"
    "\n"
    "  validate   finds all that is wrong with pipelines, without running anything\n"
    "  print      writes the pipeline with everything that it extends, every override and\n"
    "             every ${...} resolved; with JOB, the document of that one job\n"
    "  explain    says what stands at a path as in stages.loop.signals.honesty.weight,\n"
    "             which file and line it comes from, what it overrode, what may stand\n"
    "             there and what it is for\n"
    "  diff       prints where two pipelines differ, and which results that changes; exit\n"
    "             code 1 when they do\n"
    "  schema     prints a JSON Schema of pipelines with the plugins that are found, by\n"
    "             which an editor completes and checks\n"
    "  reference  prints every key of a pipeline, what it takes and what it is for\n"
    "  new        prints a pipeline to start from, with what its components may be told\n"
    "\n"
    "  JOB                --stage NAME [--variant NAME] [--seed N]\n"
    "  --set PATH=VALUE   overrides one value, as in stages.loop.signals.honesty.weight=1\n"
    "  --plugin-path DIR  a folder of plugins to search first; an absolute path\n"
    "  --grammar          looks at the grammar alone, not at components and their params\n"
    "  --sources          adds where a value that overrode another comes from\n"
    "  --json             diff: prints JSON\n"
    "\n"
    "Exit codes: 0 well, 1 failed or different, 2 wrong input.\n";

static int wrong(const char *what, const char *detail)
{
    fprintf(stderr, "interloop config: %s%s\n%s", what, detail, usage);
    return 2;
}

static int take(il_config_options *o, int c, const char *word)
{
    switch (c) {
    case 's':
        o->sets[o->set_count++] = optarg;
        return 0;
    case 'p':
        o->plugins[o->plugin_count++] = optarg;
        return 0;
    case 'g':
        o->stage = optarg;
        return 0;
    case 'v':
        o->variant = optarg;
        return 0;
    case 'n':
        o->has_seed = true;
        return il_parse_uint(optarg, &o->seed)
                   ? 0
                   : wrong("expected a whole number after --seed, found ", optarg);
    case 'r':
        o->sources = true;
        return 0;
    case 'G':
        o->grammar = true;
        return 0;
    case 'j':
        o->json = true;
        return 0;
    case '0':
    case '1':
    case '2':
    case '3':
        o->use[c - '0'] = optarg;
        return 0;
    default:
        return wrong("cannot use ", word);
    }
}

/* Options and words in any order; 0, or the exit code of what is wrong. */
static int parse(int argc, char **argv, il_config_options *o)
{
    static const struct option known[] = {
        {"set", required_argument, NULL, 's'},
        {"plugin-path", required_argument, NULL, 'p'},
        {"stage", required_argument, NULL, 'g'},
        {"variant", required_argument, NULL, 'v'},
        {"seed", required_argument, NULL, 'n'},
        {"sources", no_argument, NULL, 'r'},
        {"grammar", no_argument, NULL, 'G'},
        {"json", no_argument, NULL, 'j'},
        {"model", required_argument, NULL, '0'},
        {"data", required_argument, NULL, '1'},
        {"environment", required_argument, NULL, '2'},
        {"detector", required_argument, NULL, '3'},
        {NULL, 0, NULL, 0},
    };
    int code = 0;

    optind = 1;
    opterr = 0;
    if (argc > IL_CONFIG_WORDS) {
        return wrong("too many words", "");
    }
    while (code == 0) {
        int c;

        /* Without permutation, so that each word is met in its place. */
        while (optind < argc && argv[optind][0] != '-') {
            o->words[o->word_count++] = argv[optind++];
        }
        c = getopt_long(argc, argv, "+", known, NULL);
        if (c == -1) {
            break;
        }
        code = take(o, c, argv[optind - 1]);
    }
    while (code == 0 && optind < argc) {
        o->words[o->word_count++] = argv[optind++];
    }
    return code;
}

int il_config_report(il_problems *problems)
{
    il_text text = {0};
    int code = problems->no_memory && problems->count == 0 ? 1 : 2;

    il_problems_write(problems, &text);
    il_put_plain(stderr, text.data != NULL ? text.data : "error: out of memory\n");
    il_text_free(&text);
    return code;
}

bool il_config_open(il_config_file *f, const char *path, const il_config_options *o,
                    int *code)
{
    il_error err = {0};

    memset(f, 0, sizeof *f);
    f->arena = il_arena_create(1 << 14);
    if (f->arena == NULL) {
        fputs("error: out of memory\n", stderr);
        *code = 1;
        return false;
    }
    f->problems.arena = f->arena;
    (void)il_document_load(&f->document, path, o->sets, o->set_count, &f->problems,
                           &err);
    if (f->document == NULL || il_problems_any(&f->problems)) {
        if (f->document != NULL) {
            il_jobs jobs;

            /* all that is wrong at once */
            il_jobs_check(&jobs, f->document, &f->problems);
        }
        *code = il_config_report(&f->problems);
        return false;
    }
    return true;
}

void il_config_close(il_config_file *f)
{
    il_document_destroy(f->document);
    il_arena_destroy(f->arena);
}

const il_node *il_config_tree(il_config_file *f, const il_config_options *o)
{
    il_jobs_filter filter = {.stages = &o->stage, .stage_count = 1};
    il_error err = {0};
    il_jobs jobs;

    if (o->stage == NULL) {
        return il_document_resolved(f->document, &f->problems);
    }
    if (o->variant != NULL) {
        filter.variants = &o->variant;
        filter.variant_count = 1;
    }
    if (o->has_seed) {
        filter.seeds = &o->seed;
        filter.seed_count = 1;
    }
    if (il_jobs_list(&jobs, f->document, &filter, &f->problems, &err) != IL_OK) {
        return NULL;
    }
    if (jobs.count == 0 || (o->variant == NULL && jobs.items[0].variant[0] != '\0')) {
        il_place place = {"--stage", 0, 0};

        il_problem_add(&f->problems, place,
                       "stage '%s' has variants: name one by --variant", o->stage);
        return NULL;
    }
    return jobs.items[0].document;
}

il_registry *il_config_registry(const il_config_options *o, const il_node *document,
                                il_arena *arena)
{
    il_problems ignored = {.arena = arena};
    const il_pipeline *p =
        document != NULL ? il_pipeline_read(arena, document, NULL, &ignored) : NULL;
    il_registry *registry = NULL;
    il_error err = {0};

    if (il_plugins_find(&registry, o->plugins, o->plugin_count,
                        p != NULL ? &p->plugins : NULL, NULL, &err) != IL_OK) {
        il_put_error(&err);
        il_registry_destroy(registry);
        return NULL;
    }
    return registry;
}

/* The grammar, and components and params of every job against the plugins. */
static int check(il_config_file *f, const il_config_options *o)
{
    il_registry *registry = NULL;
    const il_plugins_spec *spec;
    il_jobs jobs;

    il_jobs_check(&jobs, f->document, &f->problems);
    if (o->grammar || jobs.count == 0) {
        return 0;
    }
    spec = &jobs.items[0].pipeline->plugins;
    if (spec->trust == IL_TRUST_LOCKED && spec->lock == NULL) {
        return 0; /* a problem already; without the lock there is no plugin to ask */
    }
    registry = il_config_registry(o, jobs.items[0].document, f->arena);
    if (registry == NULL) {
        return 2;
    }
    il_plugins_check(registry, &jobs, f->arena, &f->problems);
    il_registry_destroy(registry);
    return 0;
}

static int validate(const il_config_options *o, const char *path)
{
    il_config_file f;
    int code = 0;

    if (il_config_open(&f, path, o, &code)) {
        code = check(&f, o);
        if (il_problems_any(&f.problems)) {
            code = il_config_report(&f.problems);
        } else if (code == 0) {
            printf("%s: ok\n", path);
        }
    }
    il_config_close(&f);
    return code;
}

static int print(const il_config_options *o)
{
    const il_node *tree = NULL;
    il_config_file f;
    il_text text = {0};
    int code = 0;

    if (il_config_open(&f, o->words[0], o, &code)) {
        tree = il_config_tree(&f, o);
        if (tree != NULL && !il_problems_any(&f.problems)) {
            il_node_write_yaml(&text, tree, o->sources);
            f.problems.no_memory = text.failed;
        }
        if (il_problems_any(&f.problems)) {
            code = il_config_report(&f.problems);
        } else if (text.data != NULL &&
                   fwrite(text.data, 1, text.size, stdout) != text.size) {
            code = 1;
        }
    }
    il_text_free(&text);
    il_config_close(&f);
    return code;
}

static int validate_all(const il_config_options *o)
{
    int worst = 0;

    for (size_t i = 0; i < o->word_count; i++) {
        int code = validate(o, o->words[i]);

        worst = code > worst ? code : worst;
    }
    return worst;
}

int il_verb_config(int argc, char **argv)
{
    static const struct {
        const char *name;
        size_t least, most; /* words */
        const char *wants;
        int (*run)(const il_config_options *o);
    } verbs[] = {
        {"validate", 1, IL_CONFIG_WORDS, "a file", validate_all},
        {"print", 1, 1, "one file", print},
        {"explain", 2, 2, "a file and a path", il_config_explain},
        {"diff", 2, 2, "two files", il_config_diff},
        {"schema", 0, 0, "no file", il_config_schema},
        {"reference", 0, 0, "no file", il_config_reference},
        {"new", 1, 1, "a name", il_config_new},
    };
    il_config_options o = {0};
    const char *verb = argc > 1 ? argv[1] : "";

    if (strcmp(verb, "--help") == 0 || (argc > 2 && strcmp(argv[2], "--help") == 0)) {
        fputs(usage, stdout);
        return 0;
    }
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        int code;

        if (strcmp(verb, verbs[i].name) != 0) {
            continue;
        }
        code = parse(argc - 1, argv + 1, &o);
        if (code == 0 &&
            (o.word_count < verbs[i].least || o.word_count > verbs[i].most)) {
            code = wrong("expected ", verbs[i].wants);
        }
        return code != 0 ? code : verbs[i].run(&o);
    }
    return wrong(
        "expected validate, print, explain, diff, schema, reference or new, found ",
        verb[0] != '\0' ? verb : "nothing");
}
