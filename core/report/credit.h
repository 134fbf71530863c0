/* The credit map of a run: which positions and tokens each reading presses on, and
 * whether a reward can be earned at all. */
#ifndef IL_REPORT_CREDIT_H
#define IL_REPORT_CREDIT_H

#include "base/text.h"
#include "report/results.h"

/* Where a signal credits, position by position, a panel for each signal of each arm. */
void il__chart_credit(const il__results *r, il_text *html);
/* The tokens that are credited most, behind a click each. */
void il__table_credit(const il__results *r, il_text *html);
/* A warning for each reward of a pressed arm that does not depend on what is done. */
void il__credit_warnings(const il__results *r, il_text *html);

#endif
