/* The page: its frame, its style and its colours. Nothing is loaded and no script runs;
 * what opens is <details>, what is saved is a link. */
#ifndef IL_REPORT_PAGE_H
#define IL_REPORT_PAGE_H

#include "base/text.h"

/* A variable of the style, in the light and in the dark. */
typedef struct il__page_colour {
    const char *name;
    const char *light, *dark;
} il__page_colour;

/* All of them. On --bg and --soft, --ink and --muted and the four hues of figures can
 * be read as text: their contrast is 4.5 and more. */
const il__page_colour *il__page_colours(size_t *count);

/* A section of the page, for the bar at its top. */
typedef struct il__page_part {
    const char *id, *name;
} il__page_part;

/* From the doctype to <main>; `title` is text, `facts` HTML for the line below it. */
void il__page_begin(il_text *html, const char *title, const char *facts,
                    const il__page_part *parts, size_t part_count);
void il__page_end(il_text *html);

#endif
