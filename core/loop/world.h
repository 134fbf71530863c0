/* A world: the instances that one job needs, made from its pipeline.
 *
 * The model's store holds the live weights; a stage loads a state into it, trains it
 * and saves it. What is shared by jobs (registry, BLAS, workers, log) is borrowed. */
#ifndef IL_LOOP_WORLD_H
#define IL_LOOP_WORLD_H

#include "base/threads.h"
#include "detect/detector.h"
#include "loop/reference.h"
#include "pipeline/jobs.h"

/* What all jobs of a run share. */
typedef struct il_host {
    const il_registry *registry;
    const il_blas *blas;
    il_pool *pool;
    il_log *log;
} il_host;

typedef struct il_world {
    il_host host;
    const il_pipeline *pipeline;
    uint64_t seed;
    il_facts facts;
    il_instance *data;        /* NULL without data */
    il_instance *environment; /* NULL without an environment */
    il_instance *model;
    const float **values; /* the model's live weights, by parameter number */
    il_detector **detectors;
    size_t detector_count;
    il_reference *references; /* in the pipeline's order */
    size_t reference_count;
} il_world;

/* Makes the data, the environment, the model and every declared detector, unfitted.
 * Everything wrong with their params is added to `problems`, as is a stage that trains
 * on what the pipeline does not have. */
il_status il_world_create(il_world **out, const il_host *host,
                          const il_pipeline *pipeline, uint64_t seed,
                          il_problems *problems, il_error *err);
void il_world_destroy(il_world *w);                                  /* takes NULL */
il_detector *il_world_detector(const il_world *w, const char *name); /* or NULL */

/* Whose fields a stage's signals and detectors name: the environment's where the stage
 * trains on rollouts or there is no data, else the data's. */
const il_instance *il_world_rows(const il_world *w, const il_stage_spec *stage);

/* What detectors from files were taken with although it differs, a list of {detector,
 * what, expected, got, why}; empty without any, NULL when memory is out. */
json_t *il_world_accepted(const il_world *w);

/* A reference's number, or -1. */
int il_world_reference(const il_world *w, const char *name);

/* The declared loss of that name, or NULL. */
const il_declared *il_world_loss(const il_world *w, const char *name);

#endif
