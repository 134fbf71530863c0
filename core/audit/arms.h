/* Arms: a run's summary read back as what is compared: one arm a stage and variant,
 * with a row a seed, what it is to the others, and the metrics of its last audit. */
#ifndef IL_AUDIT_ARMS_H
#define IL_AUDIT_ARMS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "interloop/status.h"

typedef struct il_arm_row {
    uint64_t seed;
    const char *state;     /* address of what it left; "" where the summary has none */
    const json_t *metrics; /* an object of numbers */
} il_arm_row;

typedef struct il_arm {
    const char *stage;
    const char *variant;    /* "" for none */
    const char *role;       /* "pressed", "twin", "placebo"; "" for neither */
    const char *twin;       /* the variant's name; NULL: it has none on record */
    const json_t *placebos; /* names, or NULL */
    const il_arm_row *rows; /* in the summary's order */
    size_t count;
} il_arm;

typedef struct il_arms {
    const il_arm *items; /* in order of appearance */
    size_t count;
    json_t *summary; /* what it all lives in */
    il_arena *arena;
} il_arms;

/* Reads FOLDER/summary.json. One that is not what a run writes is IL_ERR_INPUT, and
 * *out then holds nothing. */
il_status il_arms_read(il_arms *out, const char *folder, il_error *err);
void il_arms_free(il_arms *arms);

/* The arm of a stage under a variant, or NULL; `variant` may be NULL. */
const il_arm *il_arms_find(const il_arms *arms, const char *stage, const char *variant);
/* The arm's row of a seed, or NULL. */
const il_arm_row *il_arm_seed(const il_arm *arm, uint64_t seed);
/* A metric of a row; false when it was not measured. */
bool il_arm_metric(const il_arm_row *row, const char *metric, double *value);
/* "naive", or the stage's name where there is no variant. */
const char *il_arm_name(const il_arm *arm);

#endif
