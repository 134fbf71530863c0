/* Panels: see plot.h. Numbers are written with at most one digit behind the point, and
 * marks as paths that move relatively, which is a third of what elements of their own
 * would take. */
#include "report/plot.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include "report/html.h"

enum {
    LEFT_ROWS = 116,
    LEFT = 44,
    RIGHT = 12,
    RIGHT_NOTES = 52,
    TOP = 24,
    BOTTOM = 38,
    ROW = 26,
    HEIGHT = 150,
    HEIGHT_SMALL = 96
};

static const char hues[] = "abcdik"; /* classes, in the order of il__hue */

typedef struct frame {
    double left, top, width, height;
} frame;

static frame frame_of(const il__plot *p)
{
    int width = p->width > 0 ? p->width : IL__PANEL_WIDE;
    int left = p->rows != NULL ? LEFT_ROWS : LEFT;
    int right = p->notes != NULL ? RIGHT_NOTES : RIGHT;
    int height = p->rows != NULL          ? (int)p->row_count * ROW
                 : p->height > 0          ? p->height
                 : width < IL__PANEL_WIDE ? HEIGHT_SMALL
                                          : HEIGHT;

    return (frame){left, TOP, width - left - right, height};
}

/* ---- numbers -------------------------------------------------------------------- */

static void coordinate(il_text *t, double value)
{
    long long tenths = llround(value * 10);
    long long size = tenths < 0 ? -tenths : tenths;

    if (size % 10 == 0) {
        il_text_addf(t, "%lld", tenths / 10);
    } else {
        il_text_addf(t, "%s%lld.%lld", tenths < 0 ? "-" : "", size / 10, size % 10);
    }
}

static void point(il_text *t, const char *before, double x, double y)
{
    il_text_add(t, before);
    coordinate(t, x);
    il_text_add(t, " ");
    coordinate(t, y);
}

static double clamped(double share)
{
    return share < 0 ? 0 : share > 1 ? 1 : share;
}

static double place_x(const il__plot *p, double x)
{
    frame f = frame_of(p);

    return f.left + f.width * clamped((x - p->x.from) / (p->x.to - p->x.from));
}

static double place_y(const il__plot *p, double y)
{
    frame f = frame_of(p);

    if (p->rows != NULL) {
        return f.top + (y + 0.5) * ROW;
    }
    return f.top + f.height * (1 - clamped((y - p->y.from) / (p->y.to - p->y.from)));
}

/* ---- axes ----------------------------------------------------------------------- */

/* A step of 1, 2 or 5 times a power of ten that makes at most `most` of a range. */
static double step_of(double range, int most, bool whole)
{
    double rough = range / most;
    double power = pow(10, floor(log10(rough)));
    double step = rough <= power       ? power
                  : rough <= 2 * power ? 2 * power
                  : rough <= 5 * power ? 5 * power
                                       : 10 * power;

    return whole && step < 1 ? 1 : step;
}

void il__axis_fit(il__axis *axis, double low, double high)
{
    double step;

    if (!(low <= high)) { /* nothing was measured */
        low = 0;
        high = 1;
    }
    if (low >= 0 && high <= 1) {
        axis->from = 0;
        axis->to = high > 0.5 ? 1 : high > 0.2 ? 0.5 : 0.2;
        return;
    }
    if (high - low < 1e-9 * fmax(fabs(low), 1)) {
        low -= 0.5;
        high += 0.5;
    }
    step = step_of(high - low, 4, axis->whole);
    axis->from = step * floor(low / step);
    axis->to = step * ceil(high / step);
}

double il__plot_spread(size_t i, size_t n)
{
    return n < 2 ? 0 : 0.56 * ((double)i / (double)(n - 1) - 0.5);
}

static int decimals_of(double step)
{
    int decimals = (int)ceil(-log10(step) - 1e-9);

    return decimals < 0 ? 0 : decimals > 6 ? 6 : decimals;
}

/* "-2.5e-6": a multiple of the step with the step's own power of ten. */
static void tiny_or_huge(il_text *svg, double value, double step)
{
    double power = floor(log10(step) + 1e-9);

    if (fabs(value) < step / 2) {
        il_text_add(svg, "0");
        return;
    }
    il__number_text(svg, value / pow(10, power), 0);
    il_text_addf(svg, "e%d", (int)power);
}

static void tick_text(il_text *svg, double x, double y, const char *anchor,
                      double value, double step)
{
    il_text_add(svg, "<text x=\"");
    coordinate(svg, x);
    il_text_add(svg, "\" y=\"");
    coordinate(svg, y);
    il_text_addf(svg, "\" text-anchor=\"%s\">", anchor);
    if (fabs(value) >= 1e5 || step < 1e-3) {
        tiny_or_huge(svg, value, step);
    } else {
        il__number_text(svg, value, decimals_of(step));
    }
    il_text_add(svg, "</text>");
}

static void draw_x(const il__plot *p, il_text *svg)
{
    frame f = frame_of(p);
    double step = step_of(p->x.to - p->x.from, f.width < 170 ? 3 : 5, p->x.whole);
    double end = f.top + f.height;
    int first = (int)ceil(p->x.from / step - 1e-9);
    il_text labels = {0};

    il_text_add(svg, "<path class=\"grid\" d=\"");
    for (int i = first; (double)i * step <= p->x.to + 1e-9 * step; i++) {
        double x = place_x(p, (double)i * step);

        point(svg, "M", x, f.top);
        il_text_add(svg, "V");
        coordinate(svg, end);
        tick_text(&labels, x, end + 13, "middle", (double)i * step, step);
    }
    il_text_add(svg, "\"/>");
    svg->failed = svg->failed || labels.failed;
    il_text_add_bytes(svg, labels.data != NULL ? labels.data : "", labels.size);
    il_text_free(&labels);
    if (p->x.label != NULL) {
        il_text_add(svg, "<text class=\"axis\" text-anchor=\"middle\" x=\"");
        coordinate(svg, f.left + f.width / 2);
        il_text_add(svg, "\" y=\"");
        coordinate(svg, end + 29);
        il_text_add(svg, "\">");
        il__html_text(svg, p->x.label);
        il_text_add(svg, "</text>");
    }
}

static void draw_y(const il__plot *p, il_text *svg)
{
    frame f = frame_of(p);
    double step = step_of(p->y.to - p->y.from, f.height < 120 ? 3 : 5, p->y.whole);
    int first = (int)ceil(p->y.from / step - 1e-9);
    il_text labels = {0};

    il_text_add(svg, "<path class=\"grid\" d=\"");
    for (int i = first; (double)i * step <= p->y.to + 1e-9 * step; i++) {
        double y = place_y(p, (double)i * step);

        point(svg, "M", f.left, y);
        il_text_add(svg, "H");
        coordinate(svg, f.left + f.width);
        tick_text(&labels, f.left - 5, y + 4, "end", (double)i * step, step);
    }
    il_text_add(svg, "\"/>");
    svg->failed = svg->failed || labels.failed;
    il_text_add_bytes(svg, labels.data != NULL ? labels.data : "", labels.size);
    il_text_free(&labels);
    if (p->y.label != NULL) {
        il_text_add(svg, "<text class=\"axis\" text-anchor=\"middle\" transform=\"");
        point(svg, "translate(", 11, f.top + f.height / 2);
        il_text_add(svg, ")rotate(-90)\">");
        il__html_text(svg, p->y.label);
        il_text_add(svg, "</text>");
    }
}

/* The bytes of the first `limit` characters, never half of one. */
static size_t bytes_of(const char *text, size_t limit)
{
    size_t size = 0;

    for (size_t n = 0; text[size] != '\0'; size++) {
        if (((unsigned char)text[size] & 0xC0) != 0x80 && n++ == limit) {
            break;
        }
    }
    return size;
}

/* The title, as much of it as there is room for: its middle is left out. */
static void panel_title(const il__plot *p, il_text *svg)
{
    enum { LETTER = 7, NOTES = 70 };
    int width =
        (p->width > 0 ? p->width : IL__PANEL_WIDE) - (p->notes != NULL ? NOTES : 0);
    size_t room = (size_t)(width / LETTER);
    size_t half = (room - 1) / 2;
    size_t size = strlen(p->title);
    size_t first = bytes_of(p->title, half);
    size_t skip = first;
    char head[4 * IL__PANEL_WIDE];

    il_text_add(svg, "<text class=\"name\" x=\"0\" y=\"13\">");
    if (bytes_of(p->title, room) == size) {
        il__html_text(svg, p->title);
    } else {
        while (bytes_of(p->title + skip, half) < size - skip) {
            skip++;
        }
        (void)snprintf(head, sizeof head, "%.*s", (int)first, p->title);
        il__html_text(svg, head);
        il_text_add(svg, "…");
        il__html_text(svg, p->title + skip);
    }
    il_text_add(svg, "</text>");
}

/* A row's label on one line or two, the middle left out of what is longer. */
static void row_label(il_text *svg, const char *label, double y)
{
    enum { LINE = 18 };
    size_t first = bytes_of(label, LINE);
    size_t rest = strlen(label) - first;
    size_t skip = 0;
    char part[4 * LINE + 8];

    if (rest > 0) {
        for (size_t i = first; i > first / 2; i--) { /* break behind a joint */
            if (strchr("@,./ -_", label[i - 1]) != NULL) {
                first = i;
                break;
            }
        }
        rest = strlen(label) - first;
    }
    while (bytes_of(label + first + skip, LINE) < rest - skip) {
        skip++;
    }
    (void)snprintf(part, sizeof part, "%.*s", (int)first, label);
    il_text_add(svg, "<text class=\"row\" text-anchor=\"end\" x=\"108\" y=\"");
    coordinate(svg, rest > 0 ? y - 3 : y + 4);
    il_text_add(svg, "\">");
    il__html_text(svg, part);
    if (rest > 0) {
        il_text_add(svg, "<tspan x=\"108\" dy=\"12\">");
        il_text_add(svg, skip > 0 ? "…" : "");
        il__html_text(svg, label + first + skip + (skip > 0 ? 1 : 0));
        il_text_add(svg, "</tspan>");
    }
    il_text_add(svg, "</text>");
}

static void draw_rows(const il__plot *p, il_text *svg)
{
    frame f = frame_of(p);

    if (p->notes != NULL && p->notes_name != NULL) {
        il_text_addf(svg, "<text text-anchor=\"end\" x=\"%d\" y=\"%d\">",
                     (p->width > 0 ? p->width : IL__PANEL_WIDE) - 6, TOP - 6);
        il__html_text(svg, p->notes_name);
        il_text_add(svg, "</text>");
    }
    il_text_add(svg, "<path class=\"grid\" d=\"");
    for (size_t i = 1; i < p->row_count; i++) {
        point(svg, "M", 0, f.top + (double)i * ROW);
        il_text_addf(svg, "H%d", p->width > 0 ? p->width : IL__PANEL_WIDE);
    }
    il_text_add(svg, "\"/>");
    for (size_t i = 0; i < p->row_count; i++) {
        double y = place_y(p, (double)i);

        row_label(svg, p->rows[i], y);
        if (p->notes != NULL && p->notes[i] != NULL) {
            il_text_add(svg, "<text text-anchor=\"end\" x=\"");
            coordinate(svg, f.left + f.width + 46);
            il_text_add(svg, "\" y=\"");
            coordinate(svg, y + 4);
            il_text_add(svg, "\">");
            il__html_text(svg, p->notes[i]);
            il_text_add(svg, "</text>");
        }
    }
}

/* ---- marks ---------------------------------------------------------------------- */

/* From a mark's middle on. Rings, crosses and ticks are drawn, the rest is filled. */
static const struct {
    const char *path;
    bool drawn;
} shapes[] = {
    [IL__DISC] = {"m-3.2 0a3.2 3.2 0 1 0 6.4 0a3.2 3.2 0 1 0-6.4 0z", false},
    [IL__RING] = {"m-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0z", true},
    [IL__CROSS] = {"m-3-3l6 6m0-6l-6 6", true},
    [IL__DIAMOND] = {"m0-4.6l4.6 4.6l-4.6 4.6l-4.6-4.6z", false},
    [IL__TRIANGLE] = {"m0-4.2l4 7h-8z", false},
    [IL__BOX] = {"m-3-3h6v6h-6z", true},
    [IL__PLUS] = {"m-3.6 0h7.2m-3.6-3.6v7.2", true},
    [IL__DOWN] = {"m0 4.2l4-7h-8z", true},
    [IL__TICK] = {"m0-8v16", true},
    [IL__NOTCH] = {"m0-10v4m0 3v4m0 3v4", true},
};

void il__plot_mark(il__plot *p, double x, double y, il__shape shape, il__hue hue,
                   const char *tip)
{
    if (!isfinite(x) || !isfinite(y)) {
        return;
    }
    il_text_addf(&p->marks, "<path class=\"%c%s\" d=\"", hues[hue],
                 shapes[shape].drawn ? " o" : "");
    point(&p->marks, "M", place_x(p, x), place_y(p, y));
    il_text_add(&p->marks, shapes[shape].path);
    if (tip == NULL) {
        il_text_add(&p->marks, "\"/>");
        return;
    }
    il_text_add(&p->marks, "\"><title>");
    il__html_text(&p->marks, tip);
    il_text_add(&p->marks, "</title></path>");
}

void il__plot_cloud(il__plot *p, const double *x, const double *y, size_t count,
                    il__shape shape, il__hue hue)
{
    const char *path = shape == IL__DISC   ? "h0" /* a round end is a dot */
                       : shape == IL__RING ? "m-2 0a2 2 0 1 0 4 0a2 2 0 1 0-4 0z"
                                           : "m-2-2l4 4m0-4l-4 4";

    il_text_addf(&p->marks, "<path class=\"%c o cloud%s\" d=\"", hues[hue],
                 shape == IL__DISC ? " dot" : "");
    for (size_t i = 0; i < count; i++) {
        if (isfinite(x[i]) && isfinite(y[i])) {
            point(&p->marks, "M", place_x(p, x[i]), place_y(p, y[i]));
            il_text_add(&p->marks, path);
        }
    }
    il_text_add(&p->marks, "\"/>");
}

void il__plot_interval(il__plot *p, double low, double high, double at, bool upright,
                       il__hue hue)
{
    if (!isfinite(low) || !isfinite(high) || !isfinite(at)) {
        return;
    }
    il_text_addf(&p->marks, "<path class=\"%c o span\" d=\"", hues[hue]);
    if (upright) {
        point(&p->marks, "M", place_x(p, at), place_y(p, low));
        il_text_add(&p->marks, "V");
        coordinate(&p->marks, place_y(p, high));
    } else {
        point(&p->marks, "M", place_x(p, low), place_y(p, at));
        il_text_add(&p->marks, "H");
        coordinate(&p->marks, place_x(p, high));
    }
    il_text_add(&p->marks, "\"/>");
}

static const char *dash_class(il__dash dash)
{
    return dash == IL__DASHED ? " d1" : dash == IL__DOTTED ? " d2" : "";
}

void il__plot_line(il__plot *p, const double *x, const double *y, size_t count,
                   il__hue hue, il__dash dash)
{
    bool on = false;

    il_text_addf(&p->marks, "<path class=\"%c o%s\" d=\"", hues[hue], dash_class(dash));
    for (size_t i = 0; i < count; i++) {
        bool good = isfinite(x[i]) && isfinite(y[i]);

        if (good) {
            point(&p->marks, on ? "L" : "M", place_x(p, x[i]), place_y(p, y[i]));
        }
        on = good;
    }
    il_text_add(&p->marks, "\"/>");
}

void il__plot_rule(il__plot *p, double at, bool upright, il__dash dash)
{
    frame f = frame_of(p);

    if (!isfinite(at)) {
        return;
    }
    il_text_addf(&p->marks, "<path class=\"k o%s\" d=\"", dash_class(dash));
    if (upright) {
        point(&p->marks, "M", place_x(p, at), f.top);
        il_text_add(&p->marks, "V");
        coordinate(&p->marks, f.top + f.height);
    } else {
        point(&p->marks, "M", f.left, place_y(p, at));
        il_text_add(&p->marks, "H");
        coordinate(&p->marks, f.left + f.width);
    }
    il_text_add(&p->marks, "\"/>");
}

/* ---- the whole ------------------------------------------------------------------ */

void il__plot_end(il__plot *p, il_text *svg)
{
    frame f = frame_of(p);
    int width = p->width > 0 ? p->width : IL__PANEL_WIDE;

    il_text_addf(svg,
                 "<svg class=\"panel\" role=\"img\" width=\"%d\" height=\"%d\" "
                 "viewBox=\"0 0 %d %d\"><title>",
                 width, (int)f.height + TOP + BOTTOM, width,
                 (int)f.height + TOP + BOTTOM);
    il__html_text(svg, p->title);
    il_text_add(svg, "</title><desc>");
    if (p->said.size > 0) {
        il__html_text(svg, p->said.data);
    } else {
        il__html_text(svg, p->y.label != NULL ? p->y.label : "Values");
        il_text_add(svg, " against ");
        il__html_text(svg, p->x.label != NULL ? p->x.label : "each other");
    }
    il_text_add(svg, "</desc>");
    panel_title(p, svg);
    draw_x(p, svg);
    if (p->rows != NULL) {
        draw_rows(p, svg);
    } else {
        draw_y(p, svg);
    }
    svg->failed = svg->failed || p->marks.failed || p->said.failed;
    il_text_add_bytes(svg, p->marks.data != NULL ? p->marks.data : "", p->marks.size);
    il_text_add(svg, "</svg>\n");
    il_text_free(&p->marks);
    il_text_free(&p->said);
}

void il__plot_sample(il_text *html, il__shape shape, il__hue hue)
{
    il_text_addf(html,
                 "<svg class=\"key\" width=\"14\" height=\"14\" aria-hidden=\"true\">"
                 "<path class=\"%c%s\" d=\"M7 7%s\"/></svg>",
                 hues[hue], shapes[shape].drawn ? " o" : "", shapes[shape].path);
}

void il__plot_sample_line(il_text *html, il__hue hue, il__dash dash)
{
    il_text_addf(html,
                 "<svg class=\"key\" width=\"26\" height=\"14\" aria-hidden=\"true\">"
                 "<path class=\"%c o%s\" d=\"M1 7h24\"/></svg>",
                 hues[hue], dash_class(dash));
}
