/* Pieces of an HTML page: text escaped, numbers without the locale. */
#ifndef IL_REPORT_HTML_H
#define IL_REPORT_HTML_H

#include "base/text.h"

/* Text, escaped so that it is safe between tags and inside a quoted attribute. What is
 * not UTF-8's business (control characters) is left out. NULL adds nothing. */
void il__html_text(il_text *out, const char *text);

/* A number with `decimals` (at most 6) digits after the point, in any locale. */
void il__number_text(il_text *out, double value, int decimals);

/* A table that scrolls inside itself where the page is narrow, and can be reached by
 * the keyboard then: from the first <tr> of its head on, and what ends it. `name` is
 * what it holds, to who cannot see it. */
void il__table_begin(il_text *html, const char *class, const char *name);
void il__table_end(il_text *html);

#endif
