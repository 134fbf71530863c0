/* What the first screen is about: the arms in which a detector presses, and the metrics
 * that say what became of the behaviour and of the detector. */
#ifndef IL_REPORT_FOCUS_H
#define IL_REPORT_FOCUS_H

#include "report/results.h"

enum { IL__FOCUS_ARMS = 64, IL__FOCUS_NAME = 200 };

typedef struct il__focus {
    const il__result_arm *subjects[IL__FOCUS_ARMS]; /* pressed, in the run's order */
    size_t subject_count;
    size_t left_out; /* pressed arms beyond those */
    /* "" where nothing of the kind was measured */
    char behaviour[IL__FOCUS_NAME]; /* of the run's claims, else the first measured */
    char reading[IL__FOCUS_NAME];   /* DETECTOR.mean */
    char recall[IL__FOCUS_NAME]; /* the endpoint, if that is a recall, else DETECTOR.tpr
                                  */
} il__focus;

void il__focus_of(const il__results *r, il__focus *out);

/* The arms that have a line in figures about the subjects: these, or all arms where
 * nobody is pressed. At most `room`. */
size_t il__focus_arms(const il__results *r, const il__focus *f,
                      const il__result_arm **arms, size_t room);

/* What a metric is, for an axis: "mean reading of probe (probability)", "lie (share)".
 */
void il__metric_words(const il__results *r, const char *metric, char *out, size_t room);

#endif
