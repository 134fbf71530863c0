/* Reading nodes into typed structs: what the parts of the typed pipeline share.
 *
 * The schema has looked at the document already and reported what has the wrong
 * shape. So the getters here take what fits and keep silent about what does not;
 * they report only what the schema cannot know. */
#ifndef IL_PIPELINE_READ_H
#define IL_PIPELINE_READ_H

#include "pipeline/pipeline.h"
#include "pipeline/schema.h"

typedef struct il__reader {
    il_arena *arena;
    il_problems *problems;
    il_pipeline *pipeline;
    const il_node *stages_known;
} il__reader;

/* Cleared memory for `count` things; NULL, remembered as a problem, when memory is
 * out. */
void *il__read_alloc(il__reader *r, size_t count, size_t size);

/* The scalar under a key, or what was there by default. */
const char *il__read_text(const il_node *map, const char *key, const char *initial);
int64_t il__read_int(const il_node *map, const char *key, int64_t initial);
double il__read_real(const il_node *map, const char *key, double initial);
bool il__read_flag(const il_node *map, const char *key, bool initial);
/* The index of the word under a key in a list that ends in NULL. */
int il__read_choice(const il_node *map, const char *key, const char *const *words,
                    int initial);
/* The place of the value under a key, or of the map. */
il_place il__read_place(const il_node *map, const char *key);

il_names_spec il__read_names(il__reader *r, const il_node *list);
il_component_spec il__read_component(il__reader *r, const il_node *node);
il_rollout_spec il__read_rollout(const il_node *node, const char *name);
il_draw_spec il__read_draw(const il_node *map);
/* "stage" or "stage/variant" in two; reports a stage or variant that the file does
 * not have. */
void il__read_stage_name(il__reader *r, const il_node *node, const char **stage,
                         const char **variant);

/* Checks that a name is a declared detector's; reports it at `place` and returns
 * NULL if not. */
const il_detector_spec *il__read_detector_named(il__reader *r, const char *name,
                                                il_place place);

void il__read_detector(il__reader *r, il_detector_spec *d, const char *name,
                       const il_node *node);
/* Looks up what detectors of detectors read, once all of them are there: their levels,
 * sites and references. What is unknown, circular or at odds is a problem. */
void il__read_composites(il__reader *r);
void il__read_train(il__reader *r, il_train_spec *t, const il_node *node);
void il__read_signals(il__reader *r, il_stage_spec *s, const il_node *map);
il_edit_spec il__read_edit(il__reader *r, const il_node *node);
il_halt_spec il__read_halt(il__reader *r, const il_node *signal);
il_sift_spec il__read_sift(const il_node *signal);
/* What a signal on channel data needs. */
void il__check_sift(il__reader *r, const il_signal_spec *s, const il_node *node);
/* What a signal on channel halt needs of its stage, whose audit has been read. */
void il__check_halt(il__reader *r, const il_stage_spec *stage, const il_signal_spec *s,
                    const il_node *node);
void il__read_audit_edits(il__reader *r, il_audit_spec *a, const il_node *map);
il_demand_spec il__read_demand(const il_node *node);
/* The word under a key; NONE where there is none. */
il_scramble il__read_scramble(const il_node *node, const char *key);
/* The stage's own, or else the pipeline's; either may be NULL. */
il_twins_spec il__read_twins(const il_node *own, const il_node *all);
void il__read_endpoint(il__reader *r, il_endpoint_spec *e, const il_node *node);

#endif
