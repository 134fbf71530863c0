/* interloop compare: the same metrics of several arms or runs, seed by seed. */
#include "verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/files.h"
#include "plain.h"
#include "report/compare.h"

static const char usage[] =
    "usage: interloop compare RUN_DIR... [--metric NAME]... [--against ARM] [--margin X]\n"
    "       [--json] [--html FILE]\n"
    "\n"
    "  Prints metrics of the arms of one run or of several, a column for each seed and\n"
    "  their mean, and the differences from the arm's twin, seed by seed, with Student's\n"
    "  interval and a test by sign flips, whose p cannot be below what the number of seeds\n"
    "  allows.\n"
    "\n"
    "  --metric NAME   which metric; may be repeated (those of the first run's table)\n"
    "  --against ARM   the arm that all others are compared with, as the table calls it\n"
    "  --margin X      also whether the differences are shown to lie within X of 0, by two\n"
    "                  one-sided tests\n"
    "  --json          prints JSON\n"
    "  --html FILE     writes a page with figures, too\n"
    "\n"
    "Exit codes: 0 done, 1 failed, 2 wrong input.\n";

static int wrong(const char *what, const char *detail)
{
    fprintf(stderr, "interloop compare: %s%s\n%s", what, detail, usage);
    return 2;
}

static int print(const json_t *compared, bool json)
{
    il_text text = {0};
    int code = 0;

    if (json) {
        code = json_dumpf(compared, stdout, JSON_INDENT(1)) == 0 ? 0 : 1;
        putchar('\n');
    } else {
        il_compare_write(compared, &text);
        fputs(text.data != NULL ? text.data : "", stdout);
    }
    il_text_free(&text);
    return code;
}

static int write_page(const json_t *compared, const char *path)
{
    il_text html = {0};
    il_error err = {0};
    il_status status;

    il_compare_page(compared, &html);
    status = html.failed ? il_error_set(&err, IL_ERR_MEMORY, path, "out of memory")
                         : il_file_write(path, html.data, html.size, &err);
    il_text_free(&html);
    if (status != IL_OK) {
        il_put_error(&err);
        return 1;
    }
    return 0;
}

/* What the command line asks for; the words that name runs and metrics stay where they
 * are. */
typedef struct options {
    il_comparison asked;
    const char **runs, **metrics;
    const char *page; /* NULL: none */
    bool json;
} options;

/* -1 to go on, else the exit code. */
static int parse(options *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        bool named = strcmp(argv[i], "--metric") == 0;

        if (strcmp(argv[i], "--help") == 0) {
            fputs(usage, stdout);
            return 0;
        }
        if (strcmp(argv[i], "--margin") == 0) {
            if (++i == argc || !il_parse_real(argv[i], &o->asked.margin) ||
                o->asked.margin <= 0) {
                return wrong("expected a number above 0 after --margin", "");
            }
        } else if (named || strcmp(argv[i], "--against") == 0) {
            if (++i == argc) {
                return wrong(argv[i - 1], " needs a name");
            }
            if (named) {
                o->metrics[o->asked.metric_count++] = argv[i];
            } else {
                o->asked.against = argv[i];
            }
        } else if (strcmp(argv[i], "--html") == 0) {
            if (++i == argc) {
                return wrong("--html needs a file", "");
            }
            o->page = argv[i];
        } else if (strcmp(argv[i], "--json") == 0) {
            o->json = true;
        } else if (argv[i][0] == '-') {
            return wrong("unknown option ", argv[i]);
        } else {
            o->runs[o->asked.run_count++] = argv[i];
        }
    }
    return o->asked.run_count > 0 ? -1 : wrong("which run folder?", "");
}

static int compare(const options *o)
{
    json_t *compared = NULL;
    il_error err = {0};
    int code;

    if (il_compare(&o->asked, &compared, &err) != IL_OK) {
        il_put_error(&err);
        return err.code == IL_ERR_INPUT ? 2 : 1;
    }
    code = print(compared, o->json);
    if (o->page != NULL && code == 0) {
        code = write_page(compared, o->page);
    }
    json_decref(compared);
    return code;
}

int il_verb_compare(int argc, char **argv)
{
    options o = {.runs = calloc((size_t)argc + 1, 2 * sizeof *o.runs)};
    int code;

    if (o.runs == NULL) {
        fputs("interloop compare: out of memory\n", stderr);
        return 1;
    }
    o.metrics = o.runs + argc + 1;
    o.asked.runs = o.runs;
    o.asked.metrics = o.metrics;
    code = parse(&o, argc, argv);
    if (code < 0) {
        code = compare(&o);
    }
    free(o.runs);
    return code;
}
