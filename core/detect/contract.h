/* What a kept detector says it was made for, against what it is to be used for.
 *
 * A contract is a JSON object (il_detector_contract). Where it and a detector of a
 * pipeline differ, the difference has a name, and a pipeline may accept it by that
 * name. */
#ifndef IL_DETECT_CONTRACT_H
#define IL_DETECT_CONTRACT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct il_detector;

#define IL_CONVENTION       "TransformerLens" /* of the names of sites, here */
#define IL_SCALING_NONE     "none"
#define IL_SCALING_STANDARD "standardized"

/* A difference: of what, what was expected here and what the contract says. */
typedef struct il_mismatch {
    const char *what; /* "site", "convention", "tokens", ... */
    char expected[160];
    char got[160];
} il_mismatch;

enum { IL_MISMATCHES_MAX = 16 };

typedef struct il_mismatches {
    il_mismatch items[IL_MISMATCHES_MAX];
    size_t count;
} il_mismatches;

/* A difference that a pipeline took on itself, with its reason. */
typedef struct il_accepted {
    il_mismatch mismatch;
    const char *why;
} il_accepted;

/* All differences but that of the model, whose weights only a stage knows. A threshold
 * binds by its rate and unit where the pipeline asks for one, a zero by its rows. */
void il_contract_compare(const struct il_detector *d, const json_t *contract,
                         il_mismatches *out);
/* Adds one; what does not fit is cut. */
void il_mismatch_add(il_mismatches *out, const char *what, const char *expected,
                     const char *got);
/* Whether a pipeline may accept such a difference: one of another component, of params
 * or of how many sites it reads would leave nothing to load. */
bool il_mismatch_may(const char *what);
/* Every word that may be accepted, NULL at the end. */
extern const char *const il_mismatch_words[];

#endif
