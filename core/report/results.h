/* What a run folder holds, read back for a report: the summary's rows, the plan, the
 * audits' trajectories. Keys that a run did not write are absent here too; a key of the
 * wrong type is an error that names file and key, never a guess. */
#ifndef IL_REPORT_RESULTS_H
#define IL_REPORT_RESULTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "interloop/status.h"

/* How deep a run folder is looked into. */
typedef enum il__results_depth {
    IL__RESULTS_SUMMARY, /* what lies in the folder itself */
    IL__RESULTS_AUDITS,  /* and the last audit of every row */
    IL__RESULTS_WHOLE    /* and what was noted on the way */
} il__results_depth;

/* What was noted at a step: metric names to numbers, among other things. */
typedef struct il__audit_point {
    int64_t step;
    const json_t *metrics;
} il__audit_point;

/* One line of the summary: one stage, variant and seed. */
typedef struct il__result_row {
    const char *stage;
    const char *variant; /* NULL for a stage without variants */
    int64_t seed;
    const char *state;             /* hash of what it left, or NULL */
    const char *parent;            /* hash of what it started from, or NULL */
    const char *role;              /* "pressed", "twin", "placebo", or NULL */
    const char *twin;              /* the variant that is its twin, or NULL */
    const json_t *placebos;        /* names of variants, or NULL */
    const json_t *accepted;        /* what differs of detectors from files, or NULL */
    const json_t *metrics;         /* an object of numbers and nulls */
    const json_t *ledger;          /* what its signals did, or NULL */
    const json_t *credit;          /* what they pressed on, or NULL */
    const json_t *audit;           /* the last audit with its intervals, or NULL */
    const il__audit_point *points; /* in the order of the file */
    size_t point_count;
} il__result_row;

/* A stage or one of its variants with all of its seeds: what a table has a line for. */
typedef struct il__result_arm {
    const char *label; /* the variant's name, or the stage's */
    const char *stage;
    const char *variant;
    const il__result_row *const *rows; /* one for each seed, in the summary's order */
    size_t row_count;
    const json_t *plan;                     /* its entry in the plan, or NULL */
    const struct il__result_arm *twin;      /* the same without pressure, or NULL */
    const struct il__result_arm *placebo;   /* what this is a placebo of, or NULL */
    const struct il__result_arm **placebos; /* its own */
    size_t placebo_count;
    bool pressed; /* a detector presses in it, and it is nobody's placebo */
} il__result_arm;

typedef struct il__results {
    const char *folder;
    il__results_depth depth;
    const char *name;
    const char *numerics; /* NULL where absent, as are the next two */
    const char *kernel;
    const char *verdict;
    const json_t *seeds; /* array of integers, or NULL */
    il__result_row *rows;
    size_t row_count;
    il__result_arm *arms; /* those that measured something, in order of appearance */
    size_t arm_count;
    const json_t *conclusions;  /* what was concluded of the run, or NULL */
    const json_t *certificates; /* array, or NULL */
    const json_t *plans;        /* the plan's entries, or NULL */
    const char *detector;       /* whose pressure the run is about, or NULL */
    const char **metrics;       /* every metric's name, in order of appearance */
    size_t metric_count;
    /* What it all lives in. */
    il_arena *arena;
    json_t *documents; /* array of every file that was parsed */
} il__results;

/* Reads `run_dir`; summary.json must be there, the rest may be absent. IL_ERR_INPUT for
 * a file that is not what it should be. On failure `*r` holds nothing. */
il_status il__results_read(const char *run_dir, il__results_depth depth, il__results *r,
                           il_error *err);
void il__results_free(il__results *r);

/* A metric of a row; false when it was not computed. */
bool il__row_metric(const il__result_row *row, const char *metric, double *value);
/* The variant that an entry of the plan or a certificate is about; NULL when it is
 * about a stage without variants, which a run writes as null or "". */
const char *il__plan_variant(const json_t *entry);
/* The arm's row of that seed, or NULL. */
const il__result_row *il__arm_row(const il__result_arm *arm, int64_t seed);
/* Whether any row of any arm has the metric. */
bool il__results_have(const il__results *r, const char *metric);

#endif
