/* interloop compare: the same metrics of several arms or runs, seed by seed. */
#include "verbs.h"

#include <stdio.h>
#include <string.h>
#include "plain.h"
#include "report/compare.h"

enum { WORDS = 64 };

static const char usage[] =
    "usage: interloop compare RUN_DIR... [--metric NAME]... [--against ARM] [--margin X]\n"
    "       [--json]\n"
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

int il_verb_compare(int argc, char **argv)
{
    const char *runs[WORDS];
    const char *metrics[WORDS];
    il_comparison asked = {.runs = runs, .metrics = metrics};
    json_t *compared = NULL;
    il_error err = {0};
    bool json = false;
    int code;

    if (argc > WORDS) {
        return wrong("too many words", "");
    }
    for (int i = 1; i < argc; i++) {
        bool named = strcmp(argv[i], "--metric") == 0;

        if (strcmp(argv[i], "--help") == 0) {
            fputs(usage, stdout);
            return 0;
        }
        if (strcmp(argv[i], "--margin") == 0) {
            if (++i == argc || !il_parse_real(argv[i], &asked.margin) ||
                asked.margin <= 0) {
                return wrong("expected a number above 0 after --margin", "");
            }
        } else if (named || strcmp(argv[i], "--against") == 0) {
            if (++i == argc) {
                return wrong(argv[i - 1], " needs a name");
            }
            if (named) {
                metrics[asked.metric_count++] = argv[i];
            } else {
                asked.against = argv[i];
            }
        } else if (strcmp(argv[i], "--json") == 0) {
            json = true;
        } else if (argv[i][0] == '-') {
            return wrong("unknown option ", argv[i]);
        } else {
            runs[asked.run_count++] = argv[i];
        }
    }
    if (asked.run_count == 0) {
        return wrong("which run folder?", "");
    }
    if (il_compare(&asked, &compared, &err) != IL_OK) {
        il_put_error(&err);
        return err.code == IL_ERR_INPUT ? 2 : 1;
    }
    code = print(compared, json);
    json_decref(compared);
    return code;
}
