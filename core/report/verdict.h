/* The first screen: what changed, whether the detector is alive, and how far either can
 * be trusted. Every part says what is missing where it has nothing to show. */
#ifndef IL_REPORT_VERDICT_H
#define IL_REPORT_VERDICT_H

#include "base/text.h"
#include "report/conclusions.h"
#include "report/focus.h"

/* The whole first screen, the parts below in their order. */
void il__verdict(const il__results *r, il_text *html);

/* A sentence for each arm that is pressed. */
void il__verdict_sentences(const il__results *r, const il__focus *f, il_text *html);
/* Where a halt fired, arm by arm. */
void il__verdict_halts(const il__results *r, il_text *html);
/* Behaviour against the detector's mean reading: run, twin and placebo. */
void il__verdict_behaviour(const il__results *r, const il__focus *f, il_text *html);
/* Recall at the first threshold, and AUROC: frozen, fresh and floor. */
void il__verdict_health(const il__results *r, const il__focus *f, il_text *html);
/* How much of the recall was lost, and how. */
void il__verdict_lost(const il__results *r, const il__focus *f, il_text *html);
/* The worst channels of each pressed arm, its certificate and the worst path. */
void il__verdict_channels(const il__results *r, const il__focus *f, il_text *html);
void il__verdict_outcome(const il__results *r, const il__focus *f, il_text *html);
/* Capability tax, selection, demands that were lowered, contracts that differ. */
void il__verdict_price(const il__results *r, const il__focus *f, il_text *html);

/* "alive", "fallen", "not shown" as a pill that is told by its words. */
void il__verdict_pill(il_text *html, il__alive alive);

#endif
