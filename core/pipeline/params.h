/* A component's params: the map of a pipeline against the table of the component, as
 * typed values. */
#ifndef IL_PIPELINE_PARAMS_H
#define IL_PIPELINE_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "interloop/params.h"
#include "base/arena.h"
#include "pipeline/node.h"
#include "pipeline/problems.h"

/* One row of the table with its value. Which member holds it is the row's type to
 * say; of a CHOICE it is `text`. */
typedef struct il_param_value {
    const il_param_spec *spec;
    bool given; /* in the pipeline; else the default */
    int64_t integer;
    double real;
    bool flag;
    const char *text; /* in the arena; a PATH is absolute */
    il_place place;   /* of the value, or of the map when it was not given */
} il_param_value;

/* Checks `params` (a map, or NULL for none) against `count` rows and fills
 * values[0..count), one for each row in the table's order. False when a problem was
 * added: an unknown key, a wrong type, a value out of bounds, a missing one that is
 * required. `owner` names the component in messages, `place` is where it is used.
 * Deprecated ones that are given are no problem; `given` tells. */
bool il_params_check(il_arena *arena, const il_node *params, const char *owner,
                     il_place place, const il_param_spec *specs, size_t count,
                     il_param_value *values, il_problems *problems);

/* The value of a row by name, or NULL. */
const il_param_value *il_param_value_find(const il_param_value *values, size_t count,
                                          const char *name);

/* All values on one line of JSON by name, defaults filled in, for a component's
 * identity; SECRET ones left out. */
void il_param_values_write(il_text *out, const il_param_value *values, size_t count);

#endif
