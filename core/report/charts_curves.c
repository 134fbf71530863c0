/* The figures over steps and over positions: a panel for each arm, a line for each
 * seed. */
#include "report/charts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "report/arms_panel.h"

/* A line of a panel: what it is and how it looks. */
typedef struct curve {
    il__series value;
    il__dash dash;
} curve;

static curve curve_of(const char *detector, const char *a, const char *b, il__hue hue,
                      il__dash dash, const char *words)
{
    curve c = {.value = {.hue = hue, .words = words}, .dash = dash};

    (void)snprintf(c.value.metric, sizeof c.value.metric, "%s.%s", detector, a);
    if (b != NULL) {
        (void)snprintf(c.value.plus, sizeof c.value.plus, "%s.%s", detector, b);
    }
    return c;
}

/* At a step of a row; NaN where it was not measured then. */
static double value_at(const il__series *s, const il__audit_point *point)
{
    const json_t *a = json_object_get(point->metrics, s->metric);
    const json_t *b =
        s->plus[0] != '\0' ? json_object_get(point->metrics, s->plus) : NULL;

    if (!json_is_number(a) || (s->plus[0] != '\0' && !json_is_number(b))) {
        return (double)NAN;
    }
    return json_number_value(a) + json_number_value(b);
}

static bool has_points(const il__result_arm *arm, const il__series *s)
{
    for (size_t i = 0; i < arm->row_count; i++) {
        size_t count = 0;

        for (size_t p = 0; p < arm->rows[i]->point_count; p++) {
            count += !isnan(value_at(s, &arm->rows[i]->points[p]));
        }
        if (count > 1) {
            return true;
        }
    }
    return false;
}

/* One line through `count` points, and its part of the CSV. */
static void draw(il__figure *f, il__plot *p, int64_t seed, const char *words,
                 const double *x, const double *y, size_t count, il__hue hue,
                 il__dash dash)
{
    il__plot_line(p, x, y, count, hue, dash);
    for (size_t i = 0; i < count; i++) {
        if (isfinite(y[i])) {
            il__csv_text(&f->csv, p->title);
            il__csv_integer(&f->csv, seed);
            il__csv_text(&f->csv, words);
            il__csv_number(&f->csv, x[i]);
            il__csv_number(&f->csv, y[i]);
            il__csv_end(&f->csv);
        }
    }
}

static void add_row(il__figure *f, il__plot *p, const il__result_row *row,
                    const curve *c)
{
    double *x = calloc(row->point_count + 1, 2 * sizeof *x);
    double *y = x + row->point_count;
    size_t count = 0;

    if (x == NULL) {
        f->panels.failed = true;
        return;
    }
    for (size_t i = 0; i < row->point_count; i++) {
        double value = value_at(&c->value, &row->points[i]);

        if (!isnan(value)) {
            x[count] = (double)row->points[i].step;
            y[count++] = value;
        }
    }
    draw(f, p, row->seed, c->value.words, x, y, count, c->value.hue, c->dash);
    free(x);
}

static void add_columns(il__figure *f, const char *x)
{
    const char *names[] = {"arm", "seed", "series", x, "value", NULL};

    il__figure_columns(f, names);
}

/* Panels of all arms that have the first curve. */
static void add_grid(const il__results *r, il__figure *f, const char *x, const char *y,
                     double level, const curve *curves, size_t count)
{
    il__axis axis[2] = {{0, 1, x, true}, {0, 1, y, false}};
    double most = 0;
    double reach[2] = {INFINITY, -INFINITY};
    size_t panels = 0;
    size_t wanted = 0;

    for (size_t i = 0; i < r->arm_count; i++) {
        wanted += has_points(&r->arms[i], &curves[0].value);
    }
    for (size_t i = 0; i < r->row_count; i++) {
        for (size_t p = 0; p < r->rows[i].point_count; p++) {
            for (size_t c = 0; c < count; c++) {
                double value = value_at(&curves[c].value, &r->rows[i].points[p]);

                if (!isnan(value)) {
                    reach[0] = fmin(reach[0], value);
                    reach[1] = fmax(reach[1], value);
                    most = fmax(most, (double)r->rows[i].points[p].step);
                }
            }
        }
    }
    axis[0].to = most > 0 ? most : 1;
    il__axis_fit(&axis[1], reach[0], reach[1]);
    for (size_t i = 0; i < r->arm_count; i++) {
        il__plot p = {.title = r->arms[i].label,
                      .x = axis[0],
                      .y = axis[1],
                      .width = wanted > 3 ? IL__PANEL_SMALL : IL__PANEL_WIDE};

        if (!has_points(&r->arms[i], &curves[0].value) || panels++ >= IL__PANELS_MAX) {
            continue;
        }
        il__plot_rule(&p, level, false, IL__DOTTED);
        for (size_t c = count; c > 0; c--) {
            for (size_t s = 0; s < r->arms[i].row_count; s++) {
                add_row(f, &p, r->arms[i].rows[s], &curves[c - 1]);
            }
        }
        il_text_addf(&p.said, "A line for each of %zu seeds against %s.",
                     r->arms[i].row_count, x);
        il__figure_panel(f, &p);
    }
    for (size_t c = 0; c < count; c++) {
        il__figure_key_line(f, curves[c].value.hue, curves[c].dash,
                            curves[c].value.words);
    }
}

void il__chart_trajectories(const il__results *r, il_text *html)
{
    il__figure figure = {.id = "trajectories", .heading = "The detector over training"};
    curve curves[2];

    if (r->detector == NULL) {
        return;
    }
    curves[0] = curve_of(r->detector, "auroc", NULL, IL__HUE_A, IL__SOLID, "AUROC");
    curves[1] = curve_of(r->detector, "tpr", NULL, IL__HUE_B, IL__DASHED,
                         "recall at the first threshold");
    add_columns(&figure, "step");
    add_grid(r, &figure, "step", "share", 0.5, curves, 2);
    il__figure_end(&figure, "One line for each seed; dotted is chance for AUROC.",
                   html);
}

void il__chart_readings(const il__results *r, il_text *html)
{
    il__figure figure = {.id = "readings", .heading = "What is true and what is read"};
    curve curves[2];

    if (r->detector == NULL) {
        return;
    }
    curves[0] = curve_of(r->detector, "own.mean", "own.conceal", IL__HUE_B, IL__DASHED,
                         "steps at which the label is true");
    curves[1] =
        curve_of(r->detector, "own.mean", NULL, IL__HUE_A, IL__SOLID, "mean reading");
    add_columns(&figure, "update");
    add_grid(r, &figure, "update", "share", NAN, curves, 2);
    il__figure_end(&figure, "On the agent&rsquo;s own episodes, a line for each seed.",
                   html);
}

/* ---- the course of an episode --------------------------------------------------- */

/* The part of a profile that is drawn: the episodes in which the first label that stays
 * the same all through is true, or else all of them. *name is that label's, or NULL. */
static const json_t *profile_of(const il__result_row *row, const char **name)
{
    const json_t *profile = json_object_get(
        json_object_get(json_object_get(row->audit, "played"), "own"), "profile");
    const json_t *by = json_object_get(profile, "by");
    void *first = json_object_iter((json_t *)by);

    *name = first != NULL ? json_object_iter_key(first) : NULL;
    return first != NULL ? json_object_get(json_object_iter_value(first), "1")
                         : json_object_get(profile, "all");
}

typedef struct course {
    const char *part; /* "fields" or "readings" */
    const char *name;
    char words[160];
} course;

static void add_course(course *out, size_t *count, size_t room, const char *part,
                       const char *name)
{
    if (*count < room) {
        out[*count] = (course){.part = part, .name = name};
        (void)snprintf(out[*count].words, sizeof out->words, "%s%s", name,
                       strcmp(part, "readings") == 0 ? ", as read" : "");
        (*count)++;
    }
}

/* What is drawn of an arm's profile, at most `room`: its fields but the label that
 * picks the episodes, then readings, the pressing detector's last and so on top. */
static size_t courses_of(const il__results *r, course *out, size_t room)
{
    size_t count = 0;

    for (size_t i = 0; i < r->arm_count && count == 0; i++) {
        const char *by;
        const json_t *profile = profile_of(r->arms[i].rows[0], &by);
        const char *name;
        json_t *values;

        json_object_foreach(json_object_get(profile, "fields"), name, values)
        {
            if (by == NULL || strcmp(name, by) != 0) {
                add_course(out, &count, room, "fields", name);
            }
        }
        json_object_foreach(json_object_get(profile, "readings"), name, values)
        {
            if (strcmp(name, r->detector) != 0) {
                add_course(out, &count, room, "readings", name);
            }
        }
        if (count > 0) {
            add_course(out, &count, room, "readings", r->detector);
        }
    }
    return count;
}

static void draw_course(il__figure *f, il__plot *p, int64_t seed, const json_t *profile,
                        const course *c, il__hue hue, il__dash dash)
{
    const json_t *values = json_object_get(json_object_get(profile, c->part), c->name);
    size_t count = json_array_size(values);
    double *x = calloc(count + 1, 2 * sizeof *x);
    double *y = x + count;

    if (x == NULL) {
        f->panels.failed = true;
        return;
    }
    for (size_t t = 0; t < count; t++) {
        const json_t *value = json_array_get(values, t);

        x[t] = (double)t;
        y[t] = json_is_number(value) ? json_number_value(value) : (double)NAN;
    }
    draw(f, p, seed, c->words, x, y, count, hue, dash);
    free(x);
}

void il__chart_courses(const il__results *r, il_text *html)
{
    enum { COURSES = 6 };
    static const il__hue hues[COURSES] = {IL__HUE_B,   IL__HUE_C,     IL__HUE_D,
                                          IL__HUE_INK, IL__HUE_MUTED, IL__HUE_A};
    static const il__dash dashes[COURSES] = {IL__DASHED, IL__DOTTED, IL__SOLID,
                                             IL__DASHED, IL__SOLID,  IL__SOLID};
    il__figure figure = {.id = "courses", .heading = "The course of an episode"};
    course courses[COURSES];
    size_t count = r->detector != NULL ? courses_of(r, courses, COURSES) : 0;
    double longest = 1;
    const char *by;

    add_columns(&figure, "position");
    for (size_t i = 0; count > 0 && i < r->arm_count; i++) {
        const json_t *fields =
            json_object_get(profile_of(r->arms[i].rows[0], &by), courses[0].part);

        longest =
            fmax(longest,
                 (double)json_array_size(json_object_get(fields, courses[0].name)) - 1);
    }
    for (size_t i = 0; count > 0 && i < r->arm_count; i++) {
        const il__result_arm *arm = &r->arms[i];
        il__plot p = {.title = arm->label,
                      .x = {0, longest, "position in the episode", true},
                      .y = {0, 1, "mean", false},
                      .width = IL__PANEL_SMALL};

        if (profile_of(arm->rows[0], &by) == NULL) {
            continue;
        }
        for (size_t s = 0; s < arm->row_count; s++) {
            for (size_t c = 0; c < count; c++) {
                size_t look = c + 1 == count ? COURSES - 1 : c;

                draw_course(&figure, &p, arm->rows[s]->seed,
                            profile_of(arm->rows[s], &by), &courses[c], hues[look],
                            dashes[look]);
            }
        }
        il__figure_panel(&figure, &p);
    }
    for (size_t c = 0; c < count; c++) {
        size_t look = c + 1 == count ? COURSES - 1 : c;

        il__figure_key_line(&figure, hues[look], dashes[look], courses[c].words);
    }
    il__figure_end(&figure,
                   "Means at each position over the agent&rsquo;s own episodes (those "
                   "in which the first label that never changes within an episode is "
                   "true), for each seed.",
                   html);
}
