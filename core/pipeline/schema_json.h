/* The grammar as a JSON Schema (draft 2020-12), for editors. */
#ifndef IL_PIPELINE_SCHEMA_JSON_H
#define IL_PIPELINE_SCHEMA_JSON_H

#include <jansson.h>
#include "plugin/registry.h"

/* What a pipeline may hold, with the components that the registry offers and their
 * params; the caller decrefs it. NULL when memory is out.
 *
 * It allows more than the grammar where a file may hold a part of a pipeline only: keys
 * that are required may come from what a file extends, and any value may be a ${...}.
 * What it refuses is wrong. */
json_t *il_schema_json(const il_registry *registry);

#endif
