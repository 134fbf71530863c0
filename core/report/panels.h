/* What figures are made of: pieces of a gnuplot script, and panels of marks, arms from
 * top to bottom and a number from left to right. Colours are those of Okabe and Ito,
 * told apart with any eyes. */
#ifndef IL_REPORT_PANELS_H
#define IL_REPORT_PANELS_H

#include <stddef.h>
#include "base/text.h"
#include "interloop/status.h"
#include "report/results.h"

enum {
    IL__BLUE = 0x0072B2,
    IL__ORANGE = 0xD55E00,
    IL__GREEN = 0x009E73,
    IL__PURPLE = 0xAA4499,
    IL__BLACK = 0x222222
};
/* gnuplot's point types. */
enum { IL__CROSS = 2, IL__BOX = 5, IL__DISC = 7, IL__TRIANGLE = 9, IL__DIAMOND = 13 };

enum { IL__PLOT_WIDTH = 1080, IL__PANELS_MAX = 6 };

/* A number made of one set of metrics: DETECTOR.a, plus DETECTOR.b where that is given.
 */
typedef struct il__derived {
    char a[160];
    char b[160]; /* "" for none */
} il__derived;

il__derived il__derived_of(const char *detector, const char *a, const char *b);
/* False when a part was not computed. */
bool il__derived_value(const il__derived *d, const json_t *metrics, double *value);

/* A number as gnuplot reads it; the second between two texts. */
void il__plot_number(il_text *t, double value);
void il__plot_numberf(il_text *t, const char *before, double value, const char *after);
/* The parts of a script that every figure begins with. */
void il__plot_begin(il_text *script);
enum { IL__COLUMNS = 4 };
/* Places the n-th of as many panels as `lines` of IL__COLUMNS hold. */
void il__plot_place(il_text *script, size_t n, size_t lines, const char *title);
/* Draws a script and frees it. */
il_status il__plot_draw(const char *name, int height, il_text *script, il_text *svg,
                        il_error *err);

typedef struct il__panel {
    char title[300];
    double from;
    double to;
    double lines[3]; /* upright lines: at zero or at a floor; NAN for none */
    il_text marks;   /* "x y point size colour", a mark a line */
} il__panel;

void il__panel_mark(il__panel *p, double x, double y, int point, double size,
                    int colour);
/* The height of seed i of n around its arm's line, so that equal values stay apart. */
double il__panel_spread(size_t i, size_t n);
/* An axis that holds the values: 0 to 1 where they lie there, else from and to as
 * needed. */
void il__panel_fit(il__panel *p, double low, double high);
/* Panels side by side, with the labels of the lines, first on top, left of the first.
 * Frees their marks. */
il_status il__panels_draw(const char *name, il__panel *panels, size_t count,
                          const char *const *labels, size_t label_count, il_text *svg,
                          il_error *err);

#endif
