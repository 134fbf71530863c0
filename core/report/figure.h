/* A figure: panels that flow, the key to their marks, a caption, and the data behind it
 * one click away. A figure without a panel leaves nothing behind. */
#ifndef IL_REPORT_FIGURE_H
#define IL_REPORT_FIGURE_H

#include "base/text.h"
#include "report/csv.h"
#include "report/plot.h"

typedef struct il__figure {
    const char *id;      /* of the element, and the name of its CSV */
    const char *heading; /* NULL: none of its own */
    bool small;          /* its panels are */
    il_text panels;
    il_text key;
    il_text csv;
} il__figure;

/* Adds a panel and ends it. */
void il__figure_panel(il__figure *f, il__plot *p);
/* Adds a mark, or a piece of a line, to the key, with what it means. */
void il__figure_key(il__figure *f, il__shape shape, il__hue hue, const char *words);
void il__figure_key_line(il__figure *f, il__hue hue, il__dash dash, const char *words);
/* The names of the CSV's columns, up to a NULL. */
void il__figure_columns(il__figure *f, const char *const *names);
/* Adds the figure, `caption` being HTML or NULL, and frees it. */
void il__figure_end(il__figure *f, const char *caption, il_text *html);

#endif
