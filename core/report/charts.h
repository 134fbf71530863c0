/* The figures of a report, as SVG. Every seed is drawn; means are ticks beside them. */
#ifndef IL_REPORT_CHARTS_H
#define IL_REPORT_CHARTS_H

#include "base/text.h"
#include "report/results.h"

/* Each adds one figure's SVG, or nothing when the run measured nothing for it. Errors
 * are those of il__gnuplot_draw. */

/* A detector's AUROC and TPR against step, a panel for each arm, a line for each seed.
 */
il_status il__chart_trajectories(const il__results *r, const char *detector,
                                 il_text *svg, il_error *err);
/* The first behaviour metrics (`lie` before others), a dot for each seed of each arm.
 */
il_status il__chart_behaviour(const il__results *r, il_text *svg, il_error *err);
/* The frozen detector's AUROC against freshly fitted readers', with the two floors. */
il_status il__chart_readers(const il__results *r, il_text *svg, il_error *err);
/* Run minus twin, and run minus placebo, seed by seed. */
il_status il__chart_differences(const il__results *r, il_text *svg, il_error *err);

/* Of runs with episodes: the share of steps at which the label is true, and the mean of
 * what the detector reads, against updates. */
il_status il__chart_readings(const il__results *r, const char *detector, il_text *svg,
                             il_error *err);
/* Recall at the first threshold, and that of a reader fitted afresh, on the agent's own
 * episodes and on the reference set. */
il_status il__chart_recall(const il__results *r, const char *detector, il_text *svg,
                           il_error *err);

/* Where families of variants differ by the weight of a detector's reward alone (by a
 * number at the end of their names): the mean reading and the behaviours that are
 * shares against that weight, a panel a family. */
il_status il__chart_prices(const il__results *r, const char *detector, il_text *svg,
                           il_error *err);

/* Logits by class on the reference set, at the first audit and at the last, a panel for
 * each arm. */
il_status il__chart_histograms(const il__results *r, const char *detector, il_text *svg,
                               il_error *err);
/* The share that is true of what detectors say is true with some probability, with the
 * counts of the bins: every detector of every arm, of many the pressing one alone. */
il_status il__chart_reliability(const il__results *r, il_text *svg, il_error *err);
/* What is true and what is read at each position of the agent's own episodes, on the
 * mean, a panel for each arm. */
il_status il__chart_courses(const il__results *r, const char *detector, il_text *svg,
                            il_error *err);

#endif
