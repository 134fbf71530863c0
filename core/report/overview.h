/* The page of many runs: the first screen's questions asked of all of them at once, in
 * the same order. */
#ifndef IL_REPORT_OVERVIEW_H
#define IL_REPORT_OVERVIEW_H

#include "base/text.h"
#include "report/briefs.h"

/* Up to so many pressed arms have a panel or a line each; more share clouds. */
enum { IL__OVERVIEW_APART = 40 };

/* Behaviour against reading, then health. */
void il__overview_figures(const il__briefs *all, il_text *html);
/* The whole page. */
void il__overview(const il__briefs *all, il_text *html);

#endif
