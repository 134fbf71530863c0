/* The page that shows the index: constants, so that nothing of a run stands in it
 * before the browser puts it there as text. */
#ifndef IL_SERVE_PAGE_H
#define IL_SERVE_PAGE_H

typedef struct il_page {
    const char *path;
    const char *type;
    const char *body;
} il_page;

/* "/", "/page.css" or "/page.js"; NULL for any other path. */
const il_page *il_page_find(const char *path);

#endif
