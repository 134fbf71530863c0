/* interloop report: makes the page of a run anew. */
#include "verbs.h"

#include <stdio.h>
#include <string.h>
#include "plain.h"
#include "report/report.h"

static const char usage[] =
    "usage: interloop report RUN_DIR... [--out FILE]\n"
    "\n"
    "  Of one run: prints its table and writes its page, RUN_DIR/report.html unless --out\n"
    "  names another file. Of several: one page over all of them, runs.html in the working\n"
    "  directory unless --out names another; a folder that cannot be read is named there\n"
    "  and left out. Reads what the runs left; trains nothing.\n"
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

static int report_one(const char *folder, const char *file)
{
    il_error err = {0};
    il_text table = {0};
    il_status status = il_report_table(folder, &table, &err);

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

static int report_many(char *const *folders, size_t count, const char *file)
{
    const char *path = file != NULL ? file : "runs.html";
    il_error err = {0};
    size_t unread;

    if (il_report_write_many((const char *const *)folders, count, path, &unread,
                             &err) != IL_OK) {
        return failed(&err);
    }
    if (unread > 0) {
        fprintf(stderr,
                "interloop report: %zu of %zu folders were left out; the page "
                "says why\n",
                unread, count);
    }
    printf("%s\n", path);
    return 0;
}

int il_verb_report(int argc, char **argv)
{
    const char *file = NULL;
    size_t count = 0;

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
        } else {
            argv[count++] = argv[i]; /* the folders, to the front */
        }
    }
    if (count == 0) {
        return wrong("which run folder?", "");
    }
    return count == 1 ? report_one(argv[0], file) : report_many(argv, count, file);
}
