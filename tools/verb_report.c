/* interloop report: makes the page of a run anew. */
#include "verbs.h"

#include <stdio.h>
#include <string.h>
#include "plain.h"
#include "report/report.h"

static const char usage[] =
    "usage: interloop report RUN_DIR [--out FILE]\n"
    "\n"
    "  Prints the run's table and writes its page, RUN_DIR/report.html unless --out\n"
    "  names another file. Reads what the run left; trains nothing.\n"
    "\n"
    "Exit codes: 0 done, 1 failed, 2 wrong input.\n";

static int wrong(const char *what, const char *detail)
{
    fprintf(stderr, "interloop report: %s%s\n%s", what, detail, usage);
    return 2;
}

static int failed(const il_error *err)
{
    il_put_error(err);
    return err->code == IL_ERR_INPUT ? 2 : 1;
}

int il_verb_report(int argc, char **argv)
{
    const char *folder = NULL;
    const char *file = NULL;
    il_error err = {0};
    il_text table = {0};
    il_status status;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(usage, stdout);
            return 0;
        }
        if (strcmp(argv[i], "--out") == 0) {
            if (++i == argc) {
                return wrong("--out needs a file", "");
            }
            file = argv[i];
        } else if (argv[i][0] == '-') {
            return wrong("unknown option ", argv[i]);
        } else if (folder != NULL) {
            return wrong("one run folder at a time, not also ", argv[i]);
        } else {
            folder = argv[i];
        }
    }
    if (folder == NULL) {
        return wrong("which run folder?", "");
    }
    status = il_report_table(folder, &table, &err);
    if (status == IL_OK) {
        status = il_report_write(folder, file, &err);
    }
    if (status != IL_OK) {
        il_text_free(&table);
        return failed(&err);
    }
    fputs(table.data != NULL ? table.data : "", stdout);
    if (file != NULL) {
        printf("%s\n", file);
    } else {
        printf("%s/report.html\n", folder);
    }
    il_text_free(&table);
    return 0;
}
