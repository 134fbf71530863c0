/* A panel: one pair of axes as SVG, with marks, intervals and lines on it.
 *
 * One visual system for every figure. A panel is drawn at the size it is shown at, so
 * that its text never shrinks; a figure with much to show has several, which flow. What
 * a mark means is told by its shape first, then by its colour, and colours are the
 * page's variables (page.h), so that a panel is right in the dark and on paper. */
#ifndef IL_REPORT_PLOT_H
#define IL_REPORT_PLOT_H

#include <stdbool.h>
#include <stddef.h>
#include "base/text.h"

typedef enum il__shape {
    IL__DISC,    /* a seed of a run */
    IL__RING,    /* of its twin */
    IL__CROSS,   /* of its placebo */
    IL__DIAMOND, /* a frozen detector */
    IL__TRIANGLE,
    IL__BOX,
    IL__PLUS,
    IL__DOWN,
    IL__TICK, /* a mean */
    IL__NOTCH /* a floor */
} il__shape;

/* The page's variables --a to --d, --ink and --muted. */
typedef enum il__hue {
    IL__HUE_A,
    IL__HUE_B,
    IL__HUE_C,
    IL__HUE_D,
    IL__HUE_INK,
    IL__HUE_MUTED
} il__hue;

typedef enum il__dash { IL__SOLID, IL__DASHED, IL__DOTTED } il__dash;

enum { IL__PANEL_WIDE = 340, IL__PANEL_SMALL = 170 };

typedef struct il__axis {
    double from;
    double to;
    const char *label; /* what it is, and its unit */
    bool whole;        /* ticks at whole numbers alone */
} il__axis;

typedef struct il__plot {
    const char *title;
    il__axis x;
    il__axis y;              /* not used where there are rows */
    const char *const *rows; /* lines from top to bottom, or NULL */
    size_t row_count;
    const char *const *notes; /* at the right end of each row, or NULL */
    const char *notes_name;   /* what they are */
    int width;                /* 0: IL__PANEL_WIDE */
    int height;               /* of the inside, where there are no rows; 0: as usual */
    /* what is inside, so far */
    il_text marks;
    il_text said; /* for who cannot see it */
} il__plot;

/* An axis that holds the values: from 0 to 1, a half or a fifth where they lie there,
 * else as far as needed. */
void il__axis_fit(il__axis *axis, double low, double high);
/* The height of the i-th of n around its row's middle, so that equals stay apart. */
double il__plot_spread(size_t i, size_t n);

/* Coordinates are the axes'; with rows y is the number of the row, from 0. What is not
 * finite is left out, what lies outside is drawn at the edge. `tip` says what the mark
 * is to who points at it, and may be NULL. */
void il__plot_mark(il__plot *p, double x, double y, il__shape shape, il__hue hue,
                   const char *tip);
/* Very many marks as one: small, and nobody can point at one of them. */
void il__plot_cloud(il__plot *p, const double *x, const double *y, size_t count,
                    il__shape shape, il__hue hue);
/* From `low` to `high` on one height; where `upright`, from low to high at x = y. */
void il__plot_interval(il__plot *p, double low, double high, double at, bool upright,
                       il__hue hue);
/* Through points, broken where one is not finite. */
void il__plot_line(il__plot *p, const double *x, const double *y, size_t count,
                   il__hue hue, il__dash dash);
/* Across the whole panel: upright at x, or level at y. */
void il__plot_rule(il__plot *p, double at, bool upright, il__dash dash);

/* Adds the panel and frees what it holds. */
void il__plot_end(il__plot *p, il_text *svg);
/* A mark by itself, for a key. */
void il__plot_sample(il_text *html, il__shape shape, il__hue hue);
/* A piece of a line by itself, for a key. */
void il__plot_sample_line(il_text *html, il__hue hue, il__dash dash);

#endif
