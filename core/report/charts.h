/* The figures of a report below its first screen. Every seed is drawn; means are ticks
 * beside them. Each adds itself, or nothing where nothing was measured for it. */
#ifndef IL_REPORT_CHARTS_H
#define IL_REPORT_CHARTS_H

#include "base/text.h"
#include "report/results.h"

/* Panels that one figure has at most; what is left out is said in its caption. */
enum { IL__PANELS_MAX = 48 };

/* The first behaviour metrics, a dot for each seed of each arm. */
void il__chart_behaviour(const il__results *r, il_text *html);
/* Run minus twin, and run minus placebo: seed by seed, with the claims' intervals. */
void il__chart_differences(const il__results *r, il_text *html);
/* The frozen detector's AUROC against freshly fitted readers', with the two floors, at
 * the detector's site and at the others. */
void il__chart_readers(const il__results *r, il_text *html);
/* Of runs with episodes: recall at the first threshold, the detector's and that of a
 * reader fitted afresh, on the agent's own episodes and on the reference set. */
void il__chart_recall(const il__results *r, il_text *html);

/* Whether evidence is sought, what is believed against what is true, what could be
 * known, and whether the detector was taught where the model goes. */
void il__chart_paths(const il__results *r, il_text *html);
/* The same recipe refitted, against the detector and against itself. */
void il__chart_drift(const il__results *r, il_text *html);

/* The detector's AUROC and recall against steps, a panel an arm, a line a seed. */
void il__chart_trajectories(const il__results *r, il_text *html);
/* Of runs with episodes: the share of steps at which the label is true, and the mean of
 * what the detector reads, against updates. */
void il__chart_readings(const il__results *r, il_text *html);
/* What is true and what is read at each position of the agent's own episodes. */
void il__chart_courses(const il__results *r, il_text *html);

/* The likeliest outcome of each seed at every audit. */
void il__chart_outcome(const il__results *r, il_text *html);
/* The work of every signal that a detector enters, on what is read and on the rest. */
void il__chart_ledger(const il__results *r, il_text *html);

/* Where families of variants differ by the weight of a detector's reward alone (by a
 * number at the end of their names): the mean reading and the behaviours that are
 * shares against that weight, a panel a family. */
void il__chart_prices(const il__results *r, il_text *html);

/* Logits by class on the reference set, at the first audit and at the last. */
void il__chart_histograms(const il__results *r, il_text *html);
/* The share that is true of what detectors say is true with some probability. */
void il__chart_reliability(const il__results *r, il_text *html);

#endif
