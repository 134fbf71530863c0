/* Parameter tables, as manifests have them, as JSON Schemas. */
#ifndef IL_PLUGIN_PARAM_SCHEMA_H
#define IL_PLUGIN_PARAM_SCHEMA_H

#include <jansson.h>

/* Whole numbers are written as such, so that an editor shows 1 and not 1.0. */
json_t *il_schema_number(double value);
/* The schema of one parameter, an entry of a component's "params". */
json_t *il_param_schema(const json_t *param);
/* The schemas of a plugin's components by id, each of the map that `params` is. */
json_t *il_manifest_schemas(const json_t *manifest);

#endif
