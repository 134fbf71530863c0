/* What the verbs that take a pipeline share: see session.h. */
#include "session.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "plain.h"

const char il_cli_common[] =
    "  --set PATH=VALUE    overrides one value, as in stages.loop.train.steps=50\n"
    "  --accept NAME.WORD  takes a detector from a file although its contract differs in that:\n"
    "                      site, convention, tokens, context, pool, scaling, on, rate, unit,\n"
    "                      trusted, calibration, member or model. It stands in the plan, the summary, the report\n"
    "  --plugin-path DIR   a folder of plugins to search first; an absolute path\n"
    "  --stage NAME        only this stage; --variant NAME only this variant; --seed N only\n"
    "                      this seed; each may be given more than once\n"
    "  --runs DIR          where runs and their states lie (runs)\n"
    "  --workers N         how many lanes run at once (as many as processors); no bit of a\n"
    "                      result depends on it\n";

static volatile sig_atomic_t stop_asked;

static void on_signal(int number)
{
    if (stop_asked) {
        _exit(128 + number);
    }
    stop_asked = 1;
}

const volatile sig_atomic_t *il_cli_stop(void)
{
    struct sigaction action = {.sa_handler = on_signal};

    (void)sigaction(SIGINT, &action, NULL); /* known signals: cannot fail */
    (void)sigaction(SIGTERM, &action, NULL);
    return &stop_asked;
}

static int wrong(const char *usage, const char *what, const char *detail)
{
    fprintf(stderr, "interloop: %s%s\n%s", what, detail, usage);
    return 2;
}

int il_cli_accept(il_cli *cli, const char *text, const char *usage)
{
    const char *dot = strrchr(text, '.');
    char *set = NULL;

    if (dot == NULL || dot == text || dot[1] == '\0') {
        return wrong(usage, "--accept: expected DETECTOR.WORD, got ", text);
    }
    if (cli->run.set_count == IL_CLI_MANY || cli->accept_count == IL_CLI_MANY) {
        return wrong(usage, "too many options", "");
    }
    set = cli->accepts[cli->accept_count++];
    if ((size_t)snprintf(set, IL_CLI_ACCEPT, "detectors.%.*s.accept.%s=%s",
                         (int)(dot - text), text, dot + 1,
                         "asked for on the command line") >= IL_CLI_ACCEPT) {
        return wrong(usage, "--accept: too long: ", text);
    }
    cli->sets[cli->run.set_count++] = set;
    return -1;
}

static int take(il_cli *cli, int option, const char *usage)
{
    il_run_options *o = &cli->run;
    uint64_t number = 0;

    if (o->set_count == IL_CLI_MANY || o->plugin_path_count == IL_CLI_MANY ||
        o->filter.stage_count == IL_CLI_MANY ||
        o->filter.variant_count == IL_CLI_MANY || o->filter.seed_count == IL_CLI_MANY) {
        return wrong(usage, "too many options", "");
    }
    switch (option) {
    case 's':
        cli->sets[o->set_count++] = optarg;
        return -1;
    case 'a':
        return il_cli_accept(cli, optarg, usage);
    case 'p':
        cli->plugins[o->plugin_path_count++] = optarg;
        return -1;
    case 'g':
        cli->stages[o->filter.stage_count++] = optarg;
        return -1;
    case 'v':
        cli->variants[o->filter.variant_count++] = optarg;
        return -1;
    case 'n':
    case 'w':
    case 'J':
        if (!il_parse_uint(optarg, &number) ||
            (option != 'n' && (number < 1 || number > 256))) {
            return wrong(usage, "expected a whole number, got ", optarg);
        }
        if (option == 'n') {
            cli->seeds[o->filter.seed_count++] = number;
        } else if (option == 'w') {
            o->workers = (int)number;
        } else {
            o->jobs = (int)number;
        }
        return -1;
    case 'r':
        o->runs = optarg;
        return -1;
    case 'N':
        o->name = optarg;
        return -1;
    case 'q':
        cli->no_report = true;
        return -1;
    case 'Q':
        cli->quiet = true;
        return -1;
    case 'j':
        cli->json = true;
        return -1;
    case 'R':
        cli->recorded = true;
        return -1;
    case 'h':
        fputs(usage, stdout);
        fputs(il_cli_common, stdout);
        return 0;
    default:
        fputs(usage, stderr);
        return 2;
    }
}

int il_cli_parse(il_cli *cli, int argc, char **argv, const char *usage)
{
    static const struct option known[] = {
        {"set", required_argument, NULL, 's'},
        {"accept", required_argument, NULL, 'a'},
        {"plugin-path", required_argument, NULL, 'p'},
        {"stage", required_argument, NULL, 'g'},
        {"variant", required_argument, NULL, 'v'},
        {"seed", required_argument, NULL, 'n'},
        {"runs", required_argument, NULL, 'r'},
        {"name", required_argument, NULL, 'N'},
        {"workers", required_argument, NULL, 'w'},
        {"jobs", required_argument, NULL, 'J'},
        {"no-report", no_argument, NULL, 'q'},
        {"recorded", no_argument, NULL, 'R'},
        {"quiet", no_argument, NULL, 'Q'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int c;

    memset(cli, 0, sizeof *cli);
    cli->run.runs = "runs";
    cli->run.sets = cli->sets;
    cli->run.plugin_path = cli->plugins;
    cli->run.filter.stages = cli->stages;
    cli->run.filter.variants = cli->variants;
    cli->run.filter.seeds = cli->seeds;
    optind = 1;
    while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
        int code = take(cli, c, usage);

        if (code >= 0) {
            return code;
        }
    }
    if (optind + 1 != argc) {
        return wrong(usage, "expected one pipeline",
                     optind == argc ? "" : ", got more");
    }
    cli->run.path = argv[optind];
    return -1;
}

/* ---- messages ------------------------------------------------------------------- */

static void sink(void *user, il_log_level level, const char *component,
                 const char *line)
{
    bool terminal = user != NULL;
    static const char *const names[] = {"", "", "warning: ", "error: "};

    if (level == IL_LOG_DEBUG) { /* progress */
        if (terminal) {
            fprintf(stderr, "\r\033[K%s: %.100s", component, line);
        }
        return;
    }
    fprintf(stderr, "%s%s%s: ", terminal ? "\r\033[K" : "", names[level], component);
    il_put_plain(stderr, line);
    (void)putc('\n', stderr);
}

il_log *il_cli_log(void)
{
    il_log *log = il_log_create();

    if (log != NULL) {
        static char terminal;

        (void)il_log_add(log, IL_LOG_DEBUG, sink,
                         isatty(2) ? &terminal : NULL); /* has room */
    }
    return log;
}

int il_cli_exit(il_status status)
{
    switch (status) {
    case IL_OK:
        return 0;
    case IL_ERR_INPUT:
    case IL_ERR_SHAPE:
    case IL_ERR_UNSUPPORTED:
    case IL_ERR_FIREWALL:
        return 2;
    default:
        return 1;
    }
}

int il_cli_fail(il_session *s, il_status status, const il_error *err)
{
    if (il_problems_any(&s->problems)) {
        il_text text = {0};

        il_problems_write(&s->problems, &text);
        il_put_plain(stderr, text.data);
        il_text_free(&text);
    } else {
        il_put_error(err);
    }
    return il_cli_exit(status);
}

il_status il_cli_job(const il_session *s, const il_cli *cli, const il_job **out,
                     il_error *err)
{
    il_text names = {0};
    size_t found = 0;

    for (size_t i = 0; i < s->jobs.count; i++) {
        const il_job *job = &s->jobs.items[i];

        /* what is scheduled is chosen by its name alone */
        if (job->seed != s->jobs.items[0].seed ||
            (job->scheduled != NULL && cli->run.filter.variant_count == 0)) {
            continue;
        }
        *out = job;
        found++;
        il_text_addf(&names, "%s%s%s%s", found > 1 ? ", " : "", job->stage,
                     job->variant[0] != '\0' ? "/" : "", job->variant);
    }
    if (found != 1) {
        (void)il_error_set(err, IL_ERR_INPUT, cli->run.path,
                           found == 0 ? "no such stage or variant%s"
                                      : "expected one stage and variant, got %s: name "
                                        "one by --stage and --variant",
                           names.data != NULL ? names.data : "");
    }
    il_text_free(&names);
    return found == 1 ? IL_OK : IL_ERR_INPUT;
}
