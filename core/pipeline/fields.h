/* Fields: what the rows of a dataset or the episodes of an environment hold, by name
 * and by role, the same for both kinds. */
#ifndef IL_PIPELINE_FIELDS_H
#define IL_PIPELINE_FIELDS_H

#include "base/arena.h"
#include "pipeline/instance.h"

/* Every field, of an environment with those that the host fills itself
 * (environment.h's head comment) before its own. Static for the instance. */
const il_field *il_instance_fields(const il_instance *rows, int32_t *count);
/* The name of the first field with a role, or NULL. */
const char *il_field_of_role(const il_instance *rows, il_field_role role);
/* The field of that name, or NULL. */
const il_field *il_field_find(const il_instance *rows, const char *name);
/* The number of a split, its rows in *size; -1 when there is none of that name, as in
 * an environment. */
int32_t il_split_find(const il_instance *rows, const char *name, int64_t *size);
/* A split that a dataset does not have is a problem at its place. With no name, no rows
 * or an environment there is nothing to check. */
void il_split_check(const il_instance *rows, const char *name, il_place place,
                    il_problems *problems);

/* Asks a new environment for its sizes and fields, and keeps both in the instance with
 * the host's fields merged in. Sizes that cannot be and fields that clash are
 * IL_ERR_INPUT. */
il_status il_environment_learn(il_instance *environment, il_arena *arena,
                               il_error *err);

#endif
