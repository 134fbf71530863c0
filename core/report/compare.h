/* Comparing: metrics of arms of one run or of several, seed by seed. */
#ifndef IL_REPORT_COMPARE_H
#define IL_REPORT_COMPARE_H

#include <jansson.h>
#include "interloop/status.h"
#include "base/text.h"

typedef struct il_comparison {
    const char *const *runs; /* folders */
    size_t run_count;
    const char *const *metrics; /* none: the columns that the first run's table has */
    size_t metric_count;
    /* the arm that all others are compared with, as the table calls it
     * ("runs/liar:monitor" among several runs); NULL: each with its own twin, where it
     * has one */
    const char *against;
    double margin; /* above 0: whether differences are shown to lie within it */
} il_comparison;

/* What was measured, an array of metrics, each
 *   {metric, arms: [{run, arm, stage, seeds: {SEED: value}, mean, low, high, iqm,
 *                    against, paired: {SEED: difference}, paired_mean,
 *                    test: {low, high, t_p, flip_p, floor_p, exact},
 *                    equivalence: {margin, p, shown}}]},
 * an arm without the metric left out, means and differences over the seeds that have
 * both, and tests (stats/stats.h) from two such seeds on. A folder that holds no run
 * and an arm or metric that nobody has are IL_ERR_INPUT. The caller decrefs *out. */
il_status il_compare(const il_comparison *c, json_t **out, il_error *err);
/* The same as plain text, a block for each metric, a line for each arm, a column for
 * each seed. */
void il_compare_write(const json_t *compared, il_text *out);
/* The same as a page that needs nothing beside it. */
void il_compare_page(const json_t *compared, il_text *html);

#endif
