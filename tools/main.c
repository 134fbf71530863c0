/* interloop: finds the verb and hands over. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "verbs.h"

typedef struct verb {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} verb;

static const verb verbs[] = {
    {"run", il_verb_run, "trains what a pipeline describes, and reports it"},
    {"explain", il_verb_explain,
     "says what each pressure can reach, before anything runs"},
    {"certify", il_verb_certify,
     "checks bit for bit that a detector's score stays out"},
    {"config", il_verb_config, "checks and prints pipelines without running them"},
    {"detector", il_verb_detector,
     "fits, judges, explains, brings in and hands out detectors"},
    {"model", il_verb_model, "hands out what a stage learned as other people's files"},
    {"sweep", il_verb_sweep, "lists what a pipeline would run, and what is there"},
    {"compare", il_verb_compare, "prints arms and runs side by side, seed by seed"},
    {"conclude", il_verb_conclude,
     "says what a run shows against its twins and placebos"},
    {"gc", il_verb_gc, "removes results that no run refers to"},
    {"plugin", il_verb_plugin, "makes, checks, lists and inspects plugins"},
    {"bundle", il_verb_bundle, "packs, signs, checks and installs plugins"},
    {"rollout", il_verb_rollout, "plays episodes of an environment and prints them"},
    {"report", il_verb_report, "prints the table of a run and writes its page"},
    {"serve", il_verb_serve, "shows a folder of runs to a browser on this machine"},
    {"watch", il_verb_watch, "shows what the jobs of a run are at, as it goes on"},
    {"activations", il_verb_activations,
     "writes what a model holds at its sites, in shards"},
    {"tokenize", il_verb_tokenize, "turns text to tokens and back, and shows both"},
    {"version", il_verb_version, "prints what this program is"},
};

enum { VERB_COUNT = sizeof verbs / sizeof verbs[0] };

static void usage(FILE *to)
{
    fputs("usage: interloop VERB [ARGUMENT]...\n\n", to);
    for (size_t i = 0; i < VERB_COUNT; i++) {
        fprintf(to, "  %-9s %s\n", verbs[i].name, verbs[i].help);
    }
    fputs("\ninterloop VERB --help says more.\n\n"
          "Exit codes: 0 well, 1 failed, 2 wrong input.\n",
          to);
}

/* Says what else nobody would guess, and lets the signal do what it does. */
static void on_bus(int number)
{
    static const char said[] =
        "interloop: a file that is read where it is mapped became shorter; replace "
        "files of weights while they are used, never rewrite them in place\n";

    (void)number;
    (void)!write(STDERR_FILENO, said, sizeof said - 1); /* it ends one way or another */
}

int main(int argc, char **argv)
{
    struct sigaction bus = {.sa_handler = on_bus, .sa_flags = (int)SA_RESETHAND};

    (void)sigaction(SIGBUS, &bus, NULL); /* a known signal: cannot fail */
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)) {
        usage(stdout);
        return 0;
    }
    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        return il_verb_version(1, argv + 1);
    }
    for (size_t i = 0; argc > 1 && i < VERB_COUNT; i++) {
        if (strcmp(argv[1], verbs[i].name) == 0) {
            return verbs[i].run(argc - 1, argv + 1);
        }
    }
    if (argc > 1) {
        fprintf(stderr, "interloop: there is no verb '%s'\n", argv[1]);
    }
    usage(stderr);
    return 2;
}
