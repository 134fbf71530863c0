/* How good a dictionary is: what its reconstruction leaves out, how many features a row
 * takes, how many are never used, and what the model makes of the reconstruction. */
#ifndef IL_DETECT_QUALITY_H
#define IL_DETECT_QUALITY_H

#include "detect/detector.h"
#include "detect/harvest.h"

/* On a set of rows; NaN where something is not known. */
typedef struct il_quality {
    int64_t rows;
    double fvu;  /* squared error over the rows' variance about their mean */
    double l0;   /* mean number of active features a row */
    double dead; /* share of features that no row has */
} il_quality;

/* The model's own loss a position with its activations as they are, spliced, and zeroed
 * at the rows that the dictionary scores. */
typedef struct il_recovered {
    int64_t documents;
    double clean, spliced, zeroed;
    double share; /* (zeroed - spliced) / (zeroed - clean); NaN where they are equal */
} il_recovered;

/* Whether a detector is a dictionary that can be measured. */
bool il_detector_has_quality(const il_detector *d);
il_status il_detector_quality(const il_detector *d, const il_blas *blas,
                              const il_acts *acts, il_quality *out, il_error *err);
/* On the first `most` documents of h->split, by the first loss that the model declares;
 * h names model, values, data and blas. Of a model without losses, a detector of
 * several sites or of a reference, and rows without targets all numbers are NaN. */
il_status il_detector_recovered(const il_detector *d, const il_harvest *h, int64_t most,
                                il_recovered *out, il_error *err);

#endif
