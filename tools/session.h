/* What the verbs that take a pipeline share: its options, the terminal's log, the
 * messages of failures. */
#ifndef IL_TOOLS_SESSION_H
#define IL_TOOLS_SESSION_H

#include <stdbool.h>
#include "loop/run.h"

enum { IL_CLI_MANY = 256, IL_CLI_ACCEPT = 160 };

typedef struct il_cli {
    il_run_options run;
    const char *sets[IL_CLI_MANY];
    const char *plugins[IL_CLI_MANY];
    const char *stages[IL_CLI_MANY];
    const char *variants[IL_CLI_MANY];
    uint64_t seeds[IL_CLI_MANY];
    char accepts[IL_CLI_MANY][IL_CLI_ACCEPT]; /* those of `--accept`, as settings */
    size_t accept_count;
    bool no_report;
    bool quiet; /* run: warnings and errors alone */
    bool json;  /* run: an object a line on standard output */
    bool recorded; /* certify: on recorded data */
} il_cli;

/* Reads options and one pipeline; prints what is wrong, or the help. -1: go on; else
 * the exit code. */
int il_cli_parse(il_cli *cli, int argc, char **argv, const char *usage);
/* The options that every one of these verbs has, for its help. */
extern const char il_cli_common[];

/* `--accept NAME.WORD` as the setting that it stands for. -1: go on; else the exit code
 * of what it printed. */
int il_cli_accept(il_cli *cli, const char *text, const char *usage);

/* A log that writes progress to stderr: one line that is rewritten on a terminal, plain
 * lines in a pipe. */
il_log *il_cli_log(void);
/* Prints all that is wrong, problems first; returns the exit code of a status. */
int il_cli_fail(il_session *s, il_status status, const il_error *err);
int il_cli_exit(il_status status);
/* Set by SIGINT and SIGTERM once installed; a second one ends the program at once. */
const volatile sig_atomic_t *il_cli_stop(void);

/* The one job that the choices mean: the first seed's, of one stage and variant.
 * IL_ERR_INPUT names those that are left when it is not one. */
il_status il_cli_job(const il_session *s, const il_cli *cli, const il_job **out,
                     il_error *err);

#endif
