/* Dictionaries: detectors that learn without labels to describe a row by few of many
 * features (the slots `loss` and on of il_detector_api).
 *
 * A step takes a batch of rows in an order that the seed decides, cuts it into a fixed
 * number of parts, one a task, and adds their gradients in the order of the parts. So
 * the result is the same bits for any number of workers. */
#ifndef IL_DETECT_DICTIONARY_H
#define IL_DETECT_DICTIONARY_H

#include "base/log.h"
#include "base/threads.h"
#include "detect/detector.h"
#include "detect/harvest.h"

#define IL_DICTIONARY "dictionary" /* the method's name */

/* How it is to learn; numbers that are 0, or below 0 where 0 means something, are the
 * defaults. */
typedef struct il_dictionary_fit {
    const il_blas *blas;
    il_pool *pool;  /* NULL: in the caller alone */
    il_log *log;    /* of losses; NULL: nowhere */
    bool warm;      /* goes on from the values that there are */
    uint64_t seed;  /* of the order of rows */
    int64_t steps;  /* 1000 */
    int64_t batch;  /* rows a step: 2048, or all there are where they are fewer */
    double lr;      /* 1e-3 */
    int64_t warmup; /* steps: a twentieth of them; -1 */
    double decay;   /* share of the steps that ends it, linearly to 0: .2; -1 */
    int64_t lanes;  /* parts of a batch: 2 */
    /* Rows that do not fit in memory come in rounds, of as many steps each: asked for
     * round 1 and on, it puts other rows in the place of those before, which may go.
     * NULL: one round. */
    int64_t rounds;
    il_status (*more)(void *user, int64_t round, const float **x, int64_t *rows,
                      il_error *err);
    void *user;
    /* Told of each step as it is done; NULL: nobody. */
    void (*told)(void *listener, int64_t step, double loss);
    void *listener;
} il_dictionary_fit;

/* What came of it. */
typedef struct il_dictionary_fitted {
    int64_t steps;
    double first_loss, last_loss; /* mean loss a row, of the first and last step */
    double *losses;               /* (steps) where the caller gave room, or NULL */
} il_dictionary_fitted;

/* Harvests of later rounds for a detector; what `more` gives is destroyed after use. */
typedef struct il_dictionary_rounds {
    int64_t count; /* with the first, whose acts are at hand */
    il_status (*more)(void *user, int64_t round, il_acts **out, il_error *err);
    void *user;
} il_dictionary_rounds;

/* Whether the component learns without labels. */
bool il_detector_learns(const il_detector *d);
/* Problems with a spec: numbers of a dictionary's fit elsewhere, a fit without a label
 * that is none. */
void il_detector_dictionary_check(const il_detector *d, il_problems *problems);

/* Teaches the component of `instance` rows x (N,W), its sites side by side; the values
 * of its store change. Values that are no numbers, rows that are all the same and a
 * loss that runs away are IL_ERR_NUMERIC. */
il_status il_dictionary_learn(il_instance *instance, const float *x, int64_t rows,
                              const int64_t *widths, size_t inputs,
                              const il_dictionary_fit *fit, il_dictionary_fitted *out,
                              il_error *err);
/* What a fit from scratch begins with, without a step. */
il_status il_dictionary_start(il_instance *instance, const float *x, int64_t rows,
                              const int64_t *widths, size_t inputs, il_error *err);
/* Which of `rows` rows stand at places [first,first+count) of all batches, one after
 * the other: each time through them in another order. */
void il_dictionary_order(uint64_t seed, int64_t rows, int64_t first, int64_t count,
                         int64_t *out);
/* il_dictionary_learn for a detector and what was harvested for it; where the acts have
 * labels and the component reads its features out, that too. */
il_status il_detector_learn(il_detector *d, const il_acts *acts,
                            const il_dictionary_fit *fit,
                            const il_dictionary_rounds *held, il_error *err);
/* Features (N,F) of all scored rows of acts, in the caller's memory. */
il_status il_detector_features(const il_detector *d, const il_blas *blas,
                               const il_acts *acts, float *features, il_error *err);
/* F, or 0 for a detector without features. */
int64_t il_detector_feature_width(const il_detector *d);

#endif
