/* The figures of what an audit's episodes held: logits by class before and after, and
 * the course of an episode. */
#include "report/charts.h"

#include <stdio.h>
#include <string.h>
#include "report/gnuplot.h"
#include "report/panels.h"

/* ---- logits by class ------------------------------------------------------------ */

/* A detector's histogram on the reference set, of an audit's `played` part. */
static const json_t *histogram_of(const json_t *played, const char *detector)
{
    return json_object_get(
        json_object_get(json_object_get(played, "ref"), "histograms"), detector);
}

/* A block "logit share" of one class; false when there is none. */
static bool write_histogram(il_text *script, const char *block, const json_t *histogram,
                            const char *class)
{
    const json_t *bins = json_object_get(histogram, class);
    double from = json_number_value(json_object_get(histogram, "from"));
    double width = json_number_value(json_object_get(histogram, "width"));
    double all = 0;

    for (size_t i = 0; i < json_array_size(bins); i++) {
        all += json_number_value(json_array_get(bins, i));
    }
    il_text_addf(script, "$%s << EOD\n", block);
    for (size_t i = 0; all > 0 && i < json_array_size(bins); i++) {
        il__plot_number(script, from + width * ((double)i + 0.5));
        il__plot_numberf(script, " ", json_number_value(json_array_get(bins, i)) / all,
                         "\n");
    }
    il_text_add(script, "0 NaN\nEOD\n");
    return all > 0;
}

il_status il__chart_histograms(const il__results *r, const char *detector, il_text *svg,
                               il_error *err)
{
    enum { HEIGHT = 170 };
    size_t panels = 0;
    size_t done = 0;
    il_text script = {0};

    for (size_t i = 0; i < r->arm_count; i++) {
        panels += histogram_of(json_object_get(r->arms[i].rows[0]->audit, "played"),
                               detector) != NULL;
    }
    if (panels == 0) {
        return IL_OK;
    }
    size_t lines = (panels + IL__COLUMNS - 1) / IL__COLUMNS;
    il__plot_begin(&script);
    il_text_add(&script, "set yrange [0:*]\nunset ytics\nset xtics 10\n"
                         "set xrange [-15:15]\n");
    for (size_t i = 0; i < r->arm_count; i++) {
        const il__result_arm *arm = &r->arms[i];

        if (histogram_of(json_object_get(arm->rows[0]->audit, "played"), detector) ==
            NULL) {
            continue;
        }
        il__plot_place(&script, done++, lines, arm->label);
        for (size_t s = 0; s < arm->row_count; s++) {
            static const char *const times[] = {"first", "played"};
            static const char *const classes[] = {"negative", "positive"};

            for (size_t k = 0; k < 4; k++) {
                char block[32];

                (void)snprintf(block, sizeof block, "h%zu_%zu", s, k);
                (void)write_histogram(
                    &script, block,
                    histogram_of(json_object_get(arm->rows[s]->audit, times[k / 2]),
                                 detector),
                    classes[k % 2]);
            }
        }
        il_text_add(&script, "plot NaN notitle");
        for (size_t s = 0; s < arm->row_count; s++) {
            il_text_addf(&script,
                         ", $h%zu_0 using 1:2 with lines dt 3 lw 1 lc rgb '#0072B2'"
                         ", $h%zu_1 using 1:2 with lines dt 3 lw 1 lc rgb '#D55E00'"
                         ", $h%zu_2 using 1:2 with lines lw 1.5 lc rgb '#0072B2'"
                         ", $h%zu_3 using 1:2 with lines lw 1.5 lc rgb '#D55E00'",
                         s, s, s, s);
        }
        il_text_add(&script, "\n");
    }
    il_text_add(&script, "unset multiplot\n");
    return il__plot_draw("histograms", HEIGHT * (int)lines, &script, svg, err);
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
} course;

/* What is drawn of an arm's profile, at most `room`: its fields but the label that
 * picks the episodes, then readings, the pressing detector's last and so on top. */
static size_t courses_of(const il__results *r, const char *detector, course *out,
                         size_t room)
{
    size_t count = 0;

    for (size_t i = 0; i < r->arm_count && count == 0; i++) {
        const char *by;
        const json_t *profile = profile_of(r->arms[i].rows[0], &by);
        const char *name;
        json_t *values;

        json_object_foreach(json_object_get(profile, "fields"), name, values)
        {
            if (count < room && (by == NULL || strcmp(name, by) != 0)) {
                out[count++] = (course){"fields", name};
            }
        }
        json_object_foreach(json_object_get(profile, "readings"), name, values)
        {
            if (count < room && strcmp(name, detector) != 0) {
                out[count++] = (course){"readings", name};
            }
        }
        if (count > 0 && count < room) {
            out[count++] = (course){"readings", detector};
        }
    }
    return count;
}

static void write_course(il_text *script, const char *block, const json_t *values)
{
    il_text_addf(script, "$%s << EOD\n", block);
    for (size_t t = 0; t < json_array_size(values); t++) {
        const json_t *value = json_array_get(values, t);

        if (json_is_number(value)) {
            il_text_addf(script, "%zu ", t);
            il__plot_number(script, json_number_value(value));
            il_text_add(script, "\n");
        }
    }
    il_text_add(script, "0 NaN\nEOD\n");
}

il_status il__chart_courses(const il__results *r, const char *detector, il_text *svg,
                            il_error *err)
{
    enum { HEIGHT = 190, COURSES_MAX = 6 };
    static const int colours[] = {IL__ORANGE, IL__GREEN, IL__PURPLE,
                                  0xCC9900,   IL__BLACK, IL__BLUE};
    course courses[COURSES_MAX];
    size_t count = courses_of(r, detector, courses, COURSES_MAX);
    size_t panels = 0;
    size_t done = 0;
    const char *by;
    il_text script = {0};

    for (size_t i = 0; i < r->arm_count; i++) {
        panels += profile_of(r->arms[i].rows[0], &by) != NULL;
    }
    if (count == 0 || panels == 0) {
        return IL_OK;
    }
    size_t lines = (panels + IL__COLUMNS) / IL__COLUMNS; /* one more place for the key */
    il__plot_begin(&script);
    il_text_add(&script, "set yrange [0:1.03]\nset ytics 0,0.25,1\nset grid ytics\n"
                         "set format y '%.2f'\nset xtics autofreq\n");
    for (size_t i = 0; i < r->arm_count; i++) {
        const il__result_arm *arm = &r->arms[i];

        if (profile_of(arm->rows[0], &by) == NULL) {
            continue;
        }
        il__plot_place(&script, done++, lines, arm->label);
        for (size_t s = 0; s < arm->row_count; s++) {
            const json_t *profile = profile_of(arm->rows[s], &by);

            for (size_t c = 0; c < count; c++) {
                char block[32];

                (void)snprintf(block, sizeof block, "c%zu_%zu", s, c);
                write_course(&script, block,
                             json_object_get(json_object_get(profile, courses[c].part),
                                             courses[c].name));
            }
        }
        il_text_add(&script, "plot NaN notitle");
        for (size_t s = 0; s < arm->row_count; s++) {
            for (size_t c = 0; c < count; c++) {
                bool last = c + 1 == count;

                il_text_addf(
                    &script, ", $c%zu_%zu using 1:2 with lines lw %s lc rgb '#%06x'", s,
                    c, last ? "2" : "1.2", (unsigned)colours[last ? 5 : c % 5]);
            }
        }
        il_text_add(&script, "\n");
    }
    /* The key, in a place of its own. */
    il__plot_place(&script, done, lines, "");
    il_text_add(&script, "unset tics\nunset border\nset key left top reverse Left\n"
                         "plot NaN notitle");
    for (size_t c = 0; c < count; c++) {
        il_text_add(&script, ", NaN with lines lw 2 lc rgb ");
        il_text_addf(&script, "'#%06x' title \"",
                     (unsigned)colours[c + 1 == count ? 5 : c % 5]);
        il__gnuplot_label(&script, courses[c].name);
        il_text_addf(&script, "%s\"",
                     strcmp(courses[c].part, "readings") == 0 ? ", as read" : "");
    }
    il_text_add(&script, "\nunset multiplot\n");
    return il__plot_draw("courses", HEIGHT * (int)lines, &script, svg, err);
}
