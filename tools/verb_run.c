/* interloop run: trains what a pipeline describes, resumes what was interrupted, writes
 * the report. */
#include "verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include "audit/conclude.h"
#include "base/files.h"
#include "report/report.h"
#include "session.h"
#include "teller.h"

static const char usage[] =
    "usage: interloop run PIPELINE [OPTION]...\n"
    "\n"
    "  Runs every stage, variant and seed, parents first, into RUNS/NAME. What has been\n"
    "  computed before is taken from RUNS/.stages; what was interrupted goes on to the same\n"
    "  bits. Ends with a table and the path of the report.\n"
    "\n"
    "  --name NAME         the run's folder (the pipeline's name)\n"
    "  --jobs N            how many stages run at once, each in a process of its own with\n"
    "                      its share of the processors (1)\n"
    "  --no-report         no table, no report\n"
    "  --quiet             warnings and errors alone\n"
    "  --json              an object of JSON a line on standard output, and no table\n";

static il_status report(const char *folder, bool table_too, il_error *err)
{
    il_text table = {0};
    char *path = il_path_join(folder, "report.html");
    il_status status = path != NULL
                           ? il_report_write(folder, path, err)
                           : il_error_set(err, IL_ERR_MEMORY, folder, "out of memory");

    if (status == IL_OK && table_too) {
        status = il_report_table(folder, &table, err);
    }
    if (status == IL_OK && table_too) {
        printf("%s\nreport: %s\n", table.data != NULL ? table.data : "", path);
    }
    il_text_free(&table);
    free(path);
    return status;
}

/* What the run allows to be said. One that ended before its first result has no
 * summary, and leaves nothing to say. */
static il_status conclude(const char *folder, il_error *err)
{
    char *summary = il_path_join(folder, "summary.json");
    bool there = summary != NULL && il_file_exists(summary);

    free(summary);
    return there ? il_conclude_write(folder, err) : IL_OK;
}

int il_verb_run(int argc, char **argv)
{
    il_cli cli;
    il_teller teller;
    il_session session = {0};
    il_error err = {0};
    il_error later = {0};
    char *folder = NULL;
    int code = il_cli_parse(&cli, argc, argv, usage);
    il_status status;
    il_status reported = IL_OK;

    if (code >= 0) {
        return code;
    }
    il_teller_open(&teller, cli.quiet, cli.json);
    cli.run.log = il_teller_log(&teller);
    cli.run.progress = il_teller_progress;
    cli.run.progress_user = &teller;
    cli.run.stop = il_cli_stop();
    status = il_session_open(&session, &cli.run, &err);
    if (status == IL_OK) {
        status = il_run_all(&session, &cli.run, &folder, &err);
    }
    if (folder != NULL && status != IL_ERR_INTERRUPTED) {
        reported = conclude(folder, &later);
    }
    if (folder != NULL && !cli.no_report && status != IL_ERR_INTERRUPTED &&
        reported == IL_OK) {
        reported = report(folder, !cli.quiet && !cli.json, &later);
    }
    if (status != IL_OK) {
        code = il_cli_fail(&session, status, &err);
    } else if (reported != IL_OK) {
        code = il_cli_fail(&session, reported, &later);
    } else {
        code = 0;
    }
    il_teller_end(&teller, code, folder);
    free(folder);
    il_session_close(&session);
    il_log_destroy(cli.run.log);
    return code;
}
