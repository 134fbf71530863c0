/* What pressure has changed: the record that goes with a state from stage to stage. */
#ifndef IL_LOOP_PRESSED_H
#define IL_LOOP_PRESSED_H

#include <jansson.h>
#include "base/bits.h"
#include "loop/world.h"

/* By detector: the parameters that its pressure has changed so far, P(T), and those
 * that learned from rows which it or P(T) chose; words of the model's parameters. */
typedef struct il_pressed {
    size_t detectors;
    size_t words;
    il_word *bits;   /* [detectors][words] P(T) */
    il_word *taught; /* [detectors][words], in the same block */
} il_pressed;

il_status il_pressed_create(il_pressed *p, const il_world *w, il_error *err);
void il_pressed_free(il_pressed *p);
/* Both are of the same world. */
void il_pressed_copy(il_pressed *to, const il_pressed *from);
il_word *il_pressed_of(const il_pressed *p, size_t detector);
il_word *il_pressed_taught(const il_pressed *p, size_t detector);

/* {"probe": ["blocks.3.mlp.W_in", ...]}, either of the two; a new reference. */
json_t *il_pressed_json(const il_pressed *p, const il_world *w);
json_t *il_pressed_taught_json(const il_pressed *p, const il_world *w);
/* Adds what a state says of both; parameters that are gone are an error, detectors that
 * are gone are not. NULL adds nothing. */
il_status il_pressed_read(il_pressed *p, const il_world *w, const json_t *changed,
                          const json_t *taught, il_error *err);

#endif
