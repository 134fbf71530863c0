/* Pieces of an HTML page: text escaped, numbers without the locale. */
#ifndef IL_REPORT_HTML_H
#define IL_REPORT_HTML_H

#include "base/text.h"

/* Text, escaped so that it is safe between tags and inside a quoted attribute. What is
 * not UTF-8's business (control characters) is left out. NULL adds nothing. */
void il__html_text(il_text *out, const char *text);

/* A number with `decimals` (at most 6) digits after the point, in any locale. */
void il__number_text(il_text *out, double value, int decimals);

#endif
