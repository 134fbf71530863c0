/* What was concluded of a run: the claims of conclusions.json, by arm. Statistics are
 * made where that file is written; here they are read and never computed. */
#ifndef IL_REPORT_CONCLUSIONS_H
#define IL_REPORT_CONCLUSIONS_H

#include "report/results.h"

/* How a claim that something is still what it was came out. */
typedef enum il__alive {
    IL__ALIVE_UNKNOWN, /* nothing was claimed, or nothing can be of one seed */
    IL__ALIVE_SHOWN,   /* shown to lie within the margin */
    IL__ALIVE_FALLEN,  /* its whole interval lies below the margin */
    IL__ALIVE_OPEN     /* neither is shown */
} il__alive;

/* The number of a key; NaN where there is none. */
double il__number_of(const json_t *object, const char *key);

/* An arm's entry; NULL where there is none. */
const json_t *il__conclusion_of(const il__results *r, const il__result_arm *arm);
/* An entry's claim about a metric against its "twin" or "placebo", be it what it cost;
 * NULL where there is none. */
const json_t *il__claim_of(const json_t *entry, const char *metric, const char *versus);
/* The run's primary claim in an entry, or NULL. */
const json_t *il__claim_primary(const json_t *entry);
/* The claim that says whether the detector is alive: the primary one where it is of
 * this kind, else the first about the endpoint, else the first; NULL where none is. */
const json_t *il__claim_alive(const il__results *r, const json_t *entry);
il__alive il__alive_of(const json_t *claim);

#endif
