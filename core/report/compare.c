/* Comparing runs: see compare.h. */
#include "report/compare.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "report/results.h"
#include "report/tables.h"
#include "stats/stats.h"

enum { COLUMNS = 64, SEED_WIDTH = 9 };

typedef struct comparer {
    const il_comparison *asked;
    il__results *runs;
    size_t run_count; /* read so far */
    json_t *out;
} comparer;

/* "naive", or "runs/liar:naive" among several runs. */
static json_t *arm_name(const comparer *c, size_t run, const il__result_arm *arm)
{
    return c->asked->run_count > 1
               ? json_sprintf("%s:%s", c->asked->runs[run], arm->label)
               : json_string(arm->label);
}

static const il__result_arm *find_against(const comparer *c, const char *name)
{
    for (size_t i = 0; i < c->run_count; i++) {
        for (size_t a = 0; a < c->runs[i].arm_count; a++) {
            json_t *own = arm_name(c, i, &c->runs[i].arms[a]);
            bool found = strcmp(json_string_value(own), name) == 0;

            json_decref(own);
            if (found) {
                return &c->runs[i].arms[a];
            }
        }
    }
    return NULL;
}

/* Adds the seeds of an arm and their mean and range; false when it has none. */
static bool add_seeds(json_t *entry, const il__result_arm *arm, const char *metric)
{
    json_t *seeds = json_object();
    double sum = 0;
    double low = INFINITY;
    double high = -INFINITY;
    double *values = calloc(arm->row_count + 1, sizeof *values);
    size_t count = 0;

    for (size_t i = 0; values != NULL && i < arm->row_count; i++) {
        char key[32];
        double value;

        if (!il__row_metric(arm->rows[i], metric, &value) || !isfinite(value)) {
            continue;
        }
        (void)snprintf(key, sizeof key, "%lld", (long long)arm->rows[i]->seed);
        (void)json_object_set_new(seeds, key, json_real(value));
        sum += value;
        low = value < low ? value : low;
        high = value > high ? value : high;
        values[count++] = value;
    }
    (void)json_object_set_new(entry, "seeds", seeds);
    if (count == 0) {
        free(values);
        return false;
    }
    (void)json_object_set_new(entry, "iqm",
                              json_real(il_interquartile_mean(values, count)));
    free(values);
    (void)json_object_set_new(entry, "mean", json_real(sum / (double)count));
    (void)json_object_set_new(entry, "low", json_real(low));
    (void)json_object_set_new(entry, "high", json_real(high));
    return true;
}

static json_t *number_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

/* What two and more paired seeds allow to be said. */
static void add_tests(json_t *entry, const double *differences, size_t count,
                      double margin)
{
    il_paired_test test = il_paired_test_of(differences, count, 0.95, 1);
    il_equivalence within = il_equivalence_of(differences, count, margin, 0.05);

    (void)json_object_set_new(
        entry, "test",
        json_pack("{s:o, s:o, s:o, s:o, s:o, s:b}", "low", number_or_null(test.low),
                  "high", number_or_null(test.high), "t_p", number_or_null(test.t_p),
                  "flip_p", number_or_null(test.flip_p), "floor_p",
                  number_or_null(test.floor_p), "exact", test.exact));
    if (margin > 0) {
        (void)json_object_set_new(entry, "equivalence",
                                  json_pack("{s:f, s:o, s:b}", "margin", margin, "p",
                                            number_or_null(within.p), "shown",
                                            within.shown));
    }
}

/* Adds the differences from another arm, over the seeds that both have. */
static void add_paired(json_t *entry, const il__result_arm *arm,
                       const il__result_arm *other, const char *metric, double margin)
{
    json_t *paired = json_object();
    double *differences = calloc(arm->row_count + 1, sizeof *differences);
    double sum = 0;
    size_t count = 0;

    for (size_t i = 0; differences != NULL && i < arm->row_count; i++) {
        const il__result_row *row = il__arm_row(other, arm->rows[i]->seed);
        double here;
        double there;
        char key[32];

        if (row == NULL || !il__row_metric(arm->rows[i], metric, &here) ||
            !il__row_metric(row, metric, &there) || !isfinite(here - there)) {
            continue;
        }
        (void)snprintf(key, sizeof key, "%lld", (long long)arm->rows[i]->seed);
        (void)json_object_set_new(paired, key, json_real(here - there));
        sum += here - there;
        differences[count++] = here - there;
    }
    (void)json_object_set_new(entry, "paired", paired);
    if (count > 0) {
        (void)json_object_set_new(entry, "paired_mean", json_real(sum / (double)count));
    }
    if (count > 1) {
        add_tests(entry, differences, count, margin);
    }
    free(differences);
}

static json_t *arm_json(const comparer *c, size_t run, const il__result_arm *arm,
                        const il__result_arm *against, const char *metric)
{
    json_t *entry = json_pack("{s:s, s:o, s:s}", "run", c->runs[run].name, "arm",
                              arm_name(c, run, arm), "stage", arm->stage);
    const il__result_arm *other = against != NULL ? against : arm->twin;

    if (!add_seeds(entry, arm, metric)) {
        json_decref(entry);
        return NULL;
    }
    if (other != NULL && other != arm) {
        (void)json_object_set_new(entry, "against", json_string(other->label));
        add_paired(entry, arm, other, metric, c->asked->margin);
    }
    return entry;
}

static il_status add_metric(comparer *c, const char *metric,
                            const il__result_arm *against, bool must, il_error *err)
{
    json_t *arms = json_array();

    for (size_t i = 0; i < c->run_count; i++) {
        for (size_t a = 0; a < c->runs[i].arm_count; a++) {
            json_t *entry = arm_json(c, i, &c->runs[i].arms[a], against, metric);

            if (entry != NULL) {
                (void)json_array_append_new(arms, entry);
            }
        }
    }
    if (json_array_size(arms) == 0 && must) {
        json_decref(arms);
        return il_error_set(err, IL_ERR_INPUT, c->asked->runs[0],
                            "no run has the metric '%s'", metric);
    }
    if (json_array_size(arms) > 0) {
        (void)json_array_append_new(
            c->out, json_pack("{s:s, s:O}", "metric", metric, "arms", arms));
    }
    json_decref(arms);
    return IL_OK;
}

static il_status compare_all(comparer *c, il_error *err)
{
    const il_comparison *asked = c->asked;
    const il__result_arm *against = NULL;
    il__column columns[COLUMNS];
    size_t count = 0;

    if (asked->against != NULL) {
        against = find_against(c, asked->against);
        if (against == NULL) {
            return il_error_set(err, IL_ERR_INPUT, asked->runs[0],
                                "no arm is called '%s'", asked->against);
        }
    }
    for (size_t i = 0; i < asked->metric_count; i++) {
        IL_TRY(add_metric(c, asked->metrics[i], against, true, err));
    }
    if (asked->metric_count == 0) {
        count = il__columns(&c->runs[0], columns, COLUMNS);
    }
    for (size_t i = 0; i < count; i++) {
        IL_TRY(add_metric(c, columns[i].metric, against, false, err));
    }
    return IL_OK;
}

/* Among several runs, arms are called by the paths as well, and JSON takes only UTF-8.
 */
static il_status check_path(const char *path, il_error *err)
{
    json_t *text = json_string(path);
    bool good = text != NULL;

    json_decref(text);
    return good ? IL_OK
                : il_error_set(err, IL_ERR_INPUT, path,
                               "the folder's path is no UTF-8: give another one to it");
}

il_status il_compare(const il_comparison *asked, json_t **out, il_error *err)
{
    comparer c = {.asked = asked, .out = json_array()};
    il_status status = IL_OK;

    c.runs = calloc(asked->run_count + 1, sizeof *c.runs);
    if (c.runs == NULL || c.out == NULL) {
        status = il_error_set(err, IL_ERR_MEMORY, "compare", "out of memory");
    }
    for (size_t i = 0; status == IL_OK && i < asked->run_count; i++) {
        status = check_path(asked->runs[i], err);
        if (status == IL_OK) {
            status =
                il__results_read(asked->runs[i], IL__RESULTS_SUMMARY, &c.runs[i], err);
        }
        c.run_count += status == IL_OK;
    }
    if (status == IL_OK) {
        status = compare_all(&c, err);
    }
    for (size_t i = 0; i < c.run_count; i++) {
        il__results_free(&c.runs[i]);
    }
    free(c.runs);
    if (status != IL_OK) {
        json_decref(c.out);
        c.out = NULL;
    }
    *out = c.out;
    return status;
}

/* ---- text ----------------------------------------------------------------------- */

/* Every seed of a metric's arms, in the order of appearance. */
static json_t *all_seeds(const json_t *arms)
{
    json_t *list = json_array();

    for (size_t i = 0; i < json_array_size(arms); i++) {
        json_t *seeds = json_object_get(json_array_get(arms, i), "seeds");
        const char *seed;
        json_t *value;

        json_object_foreach(seeds, seed, value)
        {
            bool known = false;

            for (size_t k = 0; k < json_array_size(list); k++) {
                known = known ||
                        strcmp(json_string_value(json_array_get(list, k)), seed) == 0;
            }
            if (!known) {
                (void)json_array_append_new(list, json_string(seed));
            }
        }
    }
    return list;
}

static void write_number(il_text *out, const json_t *value, bool sign)
{
    char text[32];

    if (!json_is_number(value)) {
        il_text_addf(out, "%*s", SEED_WIDTH, "-");
        return;
    }
    (void)snprintf(text, sizeof text, sign ? "%+.3f" : "%.3f",
                   json_number_value(value));
    il_text_addf(out, "%*s", SEED_WIDTH, text);
}

/* One line: a name, a number for each seed, and one for all. */
static void write_line(il_text *out, const char *head, const char *name,
                       const json_t *values, const json_t *mean, const json_t *seeds,
                       size_t width, bool sign)
{
    il_text_add(out, head);
    il__text_padded(out, name, width - strlen(head), false);
    for (size_t i = 0; i < json_array_size(seeds); i++) {
        write_number(
            out, json_object_get(values, json_string_value(json_array_get(seeds, i))),
            sign);
    }
    write_number(out, mean, sign);
    il_text_add(out, "\n");
}

static double number_of(const json_t *o, const char *key)
{
    const json_t *value = json_object_get(o, key);

    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

/* "      95% -0.412 to -0.101; p 0.250 by sign flips, the least that 3 seeds can give".
 */
static void write_test(il_text *out, const json_t *arm)
{
    const json_t *test = json_object_get(arm, "test");
    const json_t *within = json_object_get(arm, "equivalence");
    double flip = number_of(test, "flip_p");

    if (test == NULL) {
        return;
    }
    il_text_addf(
        out, "         95%% %+.3f to %+.3f; p %.4g by sign flips%s, %.4g by t",
        number_of(test, "low"), number_of(test, "high"), flip,
        flip <= number_of(test, "floor_p") ? " (so many seeds can give no less)" : "",
        number_of(test, "t_p"));
    if (within != NULL) {
        il_text_addf(out, "; %s within %g (p %.4g)",
                     json_is_true(json_object_get(within, "shown"))
                         ? "shown to lie"
                         : "not shown to lie",
                     number_of(within, "margin"), number_of(within, "p"));
    }
    il_text_add(out, "\n");
}

static void write_arm(il_text *out, const json_t *arm, const json_t *seeds,
                      size_t width)
{
    const json_t *paired = json_object_get(arm, "paired");
    const char *against = json_string_value(json_object_get(arm, "against"));

    write_line(out, "  ", json_string_value(json_object_get(arm, "arm")),
               json_object_get(arm, "seeds"), json_object_get(arm, "mean"), seeds,
               width, false);
    if (against != NULL && json_object_size(paired) > 0) {
        write_line(out, "    less ", against, paired,
                   json_object_get(arm, "paired_mean"), seeds, width, true);
        write_test(out, arm);
    }
}

/* The width of the longest first column. */
static size_t first_width(const json_t *arms)
{
    size_t width = 28;

    for (size_t i = 0; i < json_array_size(arms); i++) {
        size_t size =
            json_string_length(json_object_get(json_array_get(arms, i), "arm")) + 4;

        width = size > width ? size : width;
    }
    return width;
}

void il_compare_write(const json_t *compared, il_text *out)
{
    for (size_t m = 0; m < json_array_size(compared); m++) {
        const json_t *metric = json_array_get(compared, m);
        const json_t *arms = json_object_get(metric, "arms");
        json_t *seeds = all_seeds(arms);
        size_t width = first_width(arms);

        il_text_add(out, m > 0 ? "\n" : "");
        il__text_padded(out, json_string_value(json_object_get(metric, "metric")),
                        width, false);
        for (size_t i = 0; i < json_array_size(seeds); i++) {
            char head[32];

            (void)snprintf(head, sizeof head, "seed %s",
                           json_string_value(json_array_get(seeds, i)));
            il_text_addf(out, "%*s", SEED_WIDTH, head);
        }
        il_text_addf(out, "%*s\n", SEED_WIDTH, "mean");
        for (size_t i = 0; i < json_array_size(arms); i++) {
            write_arm(out, json_array_get(arms, i), seeds, width);
        }
        json_decref(seeds);
    }
}
