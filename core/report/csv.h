/* A table of numbers as CSV (RFC 4180), which a page carries inside a link. */
#ifndef IL_REPORT_CSV_H
#define IL_REPORT_CSV_H

#include <stdint.h>
#include "base/text.h"

/* A line is made of cells and then ended. Text that a spreadsheet would take for a
 * formula has an apostrophe put before it. NULL is an empty cell, and so is a number
 * that is not finite. */
void il__csv_text(il_text *csv, const char *cell);
void il__csv_number(il_text *csv, double value);
void il__csv_integer(il_text *csv, int64_t value);
void il__csv_end(il_text *csv);

/* <a> to the whole of it, which saves it as NAME.csv. */
void il__csv_link(il_text *html, const char *name, const il_text *csv);

#endif
