/* Jobs: what a pipeline asks to be run, one for each stage, variant, point of the sweep
 * and seed.
 *
 * A job's document is the file's with the variants of its lineage applied, the
 * command line's settings on top, and only the stages that lead to it. A stage with
 * variants is run as those and not by itself. A point of the sweep makes a job of its
 * own where it changes what the job's stages are told, and is part of the job's name;
 * stages that it does not reach are shared. Every stage of the chain comes with
 * its training text: what decides its result, and nothing else.
 *
 * A job in whose training a detector presses has a twin, the same without that
 * pressure, and a placebo, the same with what the detector knows taken out of it. Where
 * the file has none, jobs are scheduled for it: NAME.twin and NAME.placebo. */
#ifndef IL_PIPELINE_JOBS_H
#define IL_PIPELINE_JOBS_H

#include <stddef.h>
#include <stdint.h>
#include "pipeline/pipeline.h"
#include "pipeline/resolve.h"

/* A stage of a job's chain. */
typedef struct il_job_step {
    const char *stage;
    const char *variant;       /* as the file calls it; "" for none */
    const char *label;         /* with the sweep's point: "naive@weight=1.5" */
    const il_stage_spec *spec; /* in the job's pipeline */
    /* Canonical: two steps whose text, seed, parents, plugins, data and numerics
     * agree have the same result. */
    const char *text;
} il_job_step;

/* One path that a sweep set for a job. */
typedef struct il_job_point {
    const char *path;
    const il_node *value;
} il_job_point;

/* What a job is to others of its stage. */
typedef enum il_role {
    IL_ROLE_NONE,
    IL_ROLE_PRESSED,
    IL_ROLE_TWIN,
    IL_ROLE_PLACEBO
} il_role;

typedef struct il_job {
    const char *stage;
    const char *variant; /* the label of its last step; "" for none */
    il_job_point *point; /* what the sweep set, as far as it reaches this job */
    size_t point_count;
    uint64_t seed;
    const il_node *document;
    const il_pipeline *pipeline;
    il_job_step *chain; /* from the root to this job's own stage, the last */
    size_t chain_count;
    il_role role;
    const char *scheduled; /* the label of the job it was made for; NULL: declared */
    /* PRESSED: labels of jobs of its stage, of the same seed */
    const char *twin; /* NULL: it has none, as `without` says */
    const char **placebos;
    size_t placebo_count;
    const char *without; /* what it lacks and why; NULL: nothing */
} il_job;

typedef struct il_jobs {
    /* parents before children; then variants and seeds in the order of the file */
    il_job *items;
    size_t count;
} il_jobs;

/* Which jobs are wanted; NULL or no entries: all of them. Where variants are named,
 * only those are run: twins and placebos by their own names. */
typedef struct il_jobs_filter {
    const char *const *stages;
    size_t stage_count;
    /* of the stages that have variants; "naive" is all of its points, and
     * "naive@weight=1.5" that one */
    const char *const *variants;
    size_t variant_count;
    const uint64_t *seeds; /* instead of the sweep's */
    size_t seed_count;
} il_jobs_filter;

/* Lists the jobs in the document's arena. What is wrong with any is a problem; then
 * there are none, and the status is that of il_problems_status. */
il_status il_jobs_list(il_jobs *out, il_document *document,
                       const il_jobs_filter *filter, il_problems *problems,
                       il_error *err);

/* Lists every job for one seed, and so finds all that is wrong with the pipeline. The
 * jobs come even when something is: they are to be looked at for what else is wrong,
 * and not to be run. */
void il_jobs_check(il_jobs *out, il_document *document, il_problems *problems);

/* The training text of a stage of a job's pipeline; chain holds the names of the
 * stages before it, root first. NULL when memory is out. */
const char *il_training_text(il_arena *arena, const il_pipeline *pipeline,
                             const il_stage_spec *stage, const char *const *chain,
                             size_t chain_count);

/* "pressed", "twin", "placebo"; NULL for none. */
const char *il_role_name(il_role role);

#endif
