/* interloop conclude: what a run allows to be said, made anew. */
#include "verbs.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "audit/conclude.h"
#include "plain.h"

static const char usage[] =
    "usage: interloop conclude RUN_DIR... [--json]\n"
    "\n"
    "  Compares every pressed arm of a run with its twin and its placebos, seed by seed,\n"
    "  counts the alternatives among all runs beside it, prints a sentence for each arm\n"
    "  and writes RUN_DIR/conclusions.json. `interloop run` ends with the same; this makes\n"
    "  it anew, as when more runs lie beside it. Trains nothing.\n"
    "\n"
    "  --json    prints the conclusions and writes nothing\n"
    "\n"
    "Exit codes: 0 done, 1 failed, 2 wrong input.\n";

static int failed(const il_error *err)
{
    il_put_error(err);
    return err->code == IL_ERR_INPUT ? 2 : 1;
}

static void print_sentences(const json_t *conclusions)
{
    size_t i;
    json_t *arm;

    json_array_foreach(json_object_get(conclusions, "arms"), i, arm)
    {
        const char *said = json_string_value(json_object_get(arm, "sentence"));

        if (said != NULL) {
            il_put_plain(stdout, said);
            putchar('\n');
        }
    }
}

static il_status conclude(const char *folder, bool json, il_error *err)
{
    json_t *conclusions = NULL;

    IL_TRY(il_conclude(&conclusions, folder, err));
    if (json) {
        (void)json_dumpf(conclusions, stdout, JSON_INDENT(1));
        putchar('\n');
    } else {
        print_sentences(conclusions);
    }
    json_decref(conclusions);
    return json ? IL_OK : il_conclude_write(folder, err);
}

int il_verb_conclude(int argc, char **argv)
{
    il_error err = {0};
    bool json = false;
    int runs = 0;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(usage, stdout);
            return 0;
        }
        if (strcmp(argv[i], "--json") == 0) {
            json = true;
        } else if (argv[i][0] == '-') {
            fprintf(stderr, "interloop conclude: unknown option %s\n%s", argv[i],
                    usage);
            return 2;
        } else {
            runs++;
        }
    }
    if (runs == 0) {
        fprintf(stderr, "interloop conclude: which run folder?\n%s", usage);
        return 2;
    }
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-' && conclude(argv[i], json, &err) != IL_OK) {
            return failed(&err);
        }
    }
    return 0;
}
