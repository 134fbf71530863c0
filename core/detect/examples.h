/* Examples: where a feature is most active, for somebody who asks what it is about. */
#ifndef IL_DETECT_EXAMPLES_H
#define IL_DETECT_EXAMPLES_H

#include "detect/detector.h"
#include "detect/harvest.h"

enum { IL_EXAMPLE_LOGIT = -1 }; /* in place of a feature: the detector's own logit */

/* A row of a harvest. */
typedef struct il_example {
    int64_t index;    /* of its document among those harvested, from 0 */
    int64_t document; /* its id */
    int64_t position; /* in the document */
    int label;        /* 0 or 1, -1: not known */
    float value;      /* of the feature there */
} il_example;

/* What one feature shows. */
typedef struct il_examples {
    int64_t feature;
    int64_t count; /* how many there are in `items` */
    il_example *items;
    int64_t active; /* rows where it is above 0 */
    int64_t rows;   /* that were looked at */
    double mean;    /* of it, over all rows */
    double auroc;   /* of it on labelled rows of both classes; NaN otherwise */
} il_examples;

/* For each of `count` features the rows where it is largest, at most `most` of them and
 * one a document, descending, equal ones in their order; features that are active
 * nowhere have none. Everything lies in the arena. IL_ERR_INPUT for a feature that the
 * detector does not have. Rows go through in chunks: memory does not grow with the
 * dictionary times the rows, but for the AUROC with the rows times `count`. */
il_status il_detector_examples(il_examples **out, const il_detector *d,
                               const il_blas *blas, const il_acts *acts, size_t count,
                               const int64_t *features, int64_t most, il_arena *arena,
                               il_error *err);
/* A document as text by the dataset's own words, cut to `size`: rows of `split`, the
 * index that an example has. False where the dataset gives none. */
bool il_example_text(const il_instance *data, const char *split, int64_t index,
                     char *out, size_t size);
/* The input tokens of positions [at-around, at+around] of that document, into `tokens`
 * (2 around + 1): -1 beyond its ends. False where the input is no i32 (B,T). */
bool il_example_tokens(const il_instance *data, const char *split, int64_t index,
                       int64_t at, int64_t around, int32_t *tokens);

#endif
