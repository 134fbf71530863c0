/* interloop gc: removes results of stages that no run refers to. */
#include "verbs.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include "base/files.h"
#include "loop/gc.h"

static const char usage[] =
    "usage: interloop gc [--runs DIR] [--dry-run]\n"
    "\n"
    "  Removes the states under DIR/.stages that no run's summary.json refers to. What a\n"
    "  state in use started from stays too, and so does what is being computed.\n"
    "\n"
    "  --runs DIR   the folder of the runs (runs)\n"
    "  --dry-run    says what would be removed, and removes nothing\n"
    "\n"
    "Exit codes: 0 well, 1 failed, 2 wrong input.\n";

/* "12.3 MB", in powers of 1000. */
static void size_text(int64_t bytes, char out[32])
{
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB"};
    double size = (double)bytes;
    size_t unit = 0;

    while (size >= 1000 && unit + 1 < sizeof units / sizeof units[0]) {
        size /= 1000;
        unit++;
    }
    (void)snprintf(out, 32, "%.*f %s", unit > 0 ? 1 : 0, size, units[unit]);
}

static void print_dropped(void *user, const char *address, int64_t bytes)
{
    const bool *dry = user;
    char size[32];

    size_text(bytes, size);
    printf("%s %s, %s\n", *dry ? "would remove" : "removed", address, size);
}

int il_verb_gc(int argc, char **argv)
{
    static const struct option known[] = {
        {"runs", required_argument, NULL, 'r'},
        {"dry-run", no_argument, NULL, 'n'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    const char *runs = "runs";
    il_gc_tally tally = {0};
    il_error err = {0};
    bool dry = false;
    char size[32];
    int c;

    optind = 1;
    opterr = 0;
    while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (c == 'r') {
            runs = optarg;
        } else if (c == 'n') {
            dry = true;
        } else if (c == 'h') {
            fputs(usage, stdout);
            return 0;
        } else {
            fprintf(stderr, "interloop gc: cannot use %s\n%s", argv[optind - 1], usage);
            return 2;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "interloop gc: cannot use %s\n%s", argv[optind], usage);
        return 2;
    }
    if (!il_file_exists(runs)) {
        fprintf(stderr, "interloop gc: there is no folder %s; --runs names another\n",
                runs);
        return 2;
    }
    if (il_gc(runs, dry, print_dropped, &dry, &tally, &err) != IL_OK) {
        fprintf(stderr, "%s: error: %s\n", err.where, err.message);
        return err.code == IL_ERR_INPUT ? 2 : 1;
    }
    size_text(tally.bytes, size);
    printf("%s %" PRId64 " states (%s), kept %" PRId64,
           dry ? "would remove" : "removed", tally.dropped, size, tally.kept);
    if (tally.locked > 0) {
        printf(", left %" PRId64 " that are being computed", tally.locked);
    }
    printf("\n");
    return 0;
}
