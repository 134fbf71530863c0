/* interloop serve: shows a runs folder to a browser on this machine. */
#include "verbs.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/text.h"
#include "serve/server.h"

enum { PORT = 8477 };

static const char usage[] =
    "usage: interloop serve RUNS [--port N]\n"
    "\n"
    "  Shows the runs in the folder RUNS to a browser on this machine, at 127.0.0.1 alone,\n"
    "  until it is interrupted: an index that keeps itself up to date, and each run's\n"
    "  report.html, summary.json, audit.json, metrics.jsonl and log.txt. Changes nothing,\n"
    "  and serves no other file.\n"
    "\n"
    "  --port N   the port (8477); 0 takes any that is free, and says which\n"
    "\n"
    "Exit codes: 0 done, 1 failed, 2 wrong input.\n";

static int wrong(const char *what, const char *detail)
{
    fprintf(stderr, "interloop serve: %s%s\n%s", what, detail, usage);
    return 2;
}

/* A signal's handler has no other way to reach what waits. */
static int stop_pipe[2] = {-1, -1};

static void stop_write(int signal_number)
{
    (void)signal_number;
    /* a full pipe says already what there is to say */
    (void)!write(stop_pipe[1], "", 1);
}

static int serve(const char *runs, uint16_t port)
{
    struct sigaction action = {.sa_handler = stop_write};
    il_server *server = NULL;
    il_error err = {0};
    il_status status = il_server_open(&server, runs, port, &err);

    if (status == IL_OK &&
        (pipe(stop_pipe) != 0 || fcntl(stop_pipe[1], F_SETFL, O_NONBLOCK) != 0 ||
         sigaction(SIGINT, &action, NULL) != 0 ||
         sigaction(SIGTERM, &action, NULL) != 0)) {
        status = il_error_set(&err, IL_ERR_IO, runs, "cannot wait for signals");
    }
    if (status == IL_OK) {
        printf("http://127.0.0.1:%u/\n", (unsigned)il_server_port(server));
        (void)fflush(stdout); /* whoever reads it may be waiting for the port */
        status = il_server_run(server, stop_pipe[0], &err);
    }
    il_server_close(server);
    if (status != IL_OK) {
        fprintf(stderr, "%s: error: %s\n", err.where, err.message);
        return err.code == IL_ERR_INPUT ? 2 : 1;
    }
    return 0;
}

int il_verb_serve(int argc, char **argv)
{
    const char *runs = NULL;
    uint64_t port = PORT;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(usage, stdout);
            return 0;
        }
        if (strcmp(argv[i], "--port") == 0) {
            if (++i == argc || !il_parse_uint(argv[i], &port) || port > 65535) {
                return wrong("--port needs a number from 0 to 65535", "");
            }
        } else if (argv[i][0] == '-') {
            return wrong("unknown option ", argv[i]);
        } else if (runs != NULL) {
            return wrong("one folder at a time, not also ", argv[i]);
        } else {
            runs = argv[i];
        }
    }
    if (runs == NULL) {
        return wrong("which folder of runs?", "");
    }
    return serve(runs, (uint16_t)port);
}
