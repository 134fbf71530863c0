/* The validator: whether a plugin keeps the promises that its host relies on.
 *
 * Every test runs in a process of its own with a time limit, so that a plugin which
 * crashes, hangs or spoils its process fails that one test. All that is drawn comes
 * from one seed, so that a failure can be had again. Sits above everything that trains:
 * it asks of a plugin what a run would ask. */
#ifndef IL_CHECK_CHECK_H
#define IL_CHECK_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "interloop/status.h"

enum { IL_CHECK_DETAIL_MAX = 1024 };

typedef enum il_check_verdict {
    IL_CHECK_PASSED,
    IL_CHECK_FAILED,
    IL_CHECK_SKIPPED
} il_check_verdict;

/* One test that was run. Texts live as long as the call that hands it over. */
typedef struct il_check_result {
    size_t number; /* from 1 */
    const char *group;
    const char *component; /* "detector probe"; "" for the file as a whole */
    const char *name;      /* a sentence that holds when it passed */
    il_check_verdict verdict;
    const char *detail; /* what was found, or why it was skipped; may be "" */
    double seconds;
} il_check_result;

typedef struct il_check_options {
    const char *path; /* absolute */
    uint64_t seed;
    const char *only;         /* one group, or NULL for all */
    double seconds;           /* the limit of a test */
    const char *const *given; /* "name=value", for components that have the parameter */
    size_t given_count;
    void (*report)(void *user, const il_check_result *result);
    void *user;
} il_check_options;

typedef struct il_check_tally {
    size_t passed;
    size_t failed;
    size_t skipped;
} il_check_tally;

/* The groups in the order in which they run; NULL past the last. */
const char *il_check_group(size_t number);
/* Runs every test of the groups asked for. What the tests find is reported, not an
 * error; a file that is not there, an unknown group and want of processes are. After a
 * failed test without which nothing else means anything, what follows is left out. */
il_status il_check_run(const il_check_options *o, il_check_tally *tally, il_error *err);

#endif
