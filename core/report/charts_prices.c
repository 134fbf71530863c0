/* The price of a reading: families of variants that differ by the weight of a
 * detector's reward alone. */
#include "report/charts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "report/arms_panel.h"
#include "report/tables.h"

enum { FAMILIES = 8, VALUES = 4, PRICES = 64 };

/* The reward signal through which the detector presses in an arm, or NULL. */
static const json_t *reward_of(const il__results *r, const il__result_arm *arm)
{
    const json_t *signals = json_object_get(arm->plan, "signals");

    for (size_t i = 0; i < json_array_size(signals); i++) {
        const json_t *s = json_array_get(signals, i);
        const char *source = json_string_value(json_object_get(s, "source"));
        const char *channel = json_string_value(json_object_get(s, "channel"));

        if (source != NULL && channel != NULL && strcmp(channel, "reward") == 0 &&
            strcmp(source, r->detector) == 0) {
            return s;
        }
    }
    return NULL;
}

/* The length of an arm's name without the number at its end: "brain_1_5" is of the
 * family "brain". */
static size_t family_of(const il__result_arm *arm)
{
    size_t n = strlen(arm->label);

    while (n > 0 && strchr("0123456789_.", arm->label[n - 1]) != NULL) {
        n--;
    }
    return n;
}

static bool same_family(const il__result_arm *a, const il__result_arm *b)
{
    size_t n = family_of(a);

    return n == family_of(b) && strncmp(a->label, b->label, n) == 0;
}

/* A family's arms in the order of their prices; a price twice is one price. */
typedef struct family {
    const il__result_arm *arms[PRICES];
    double price[PRICES];
    size_t count;
    size_t prices;
} family;

static void gather(const il__results *r, const il__result_arm *first, family *out)
{
    *out = (family){.count = 0};
    for (size_t i = 0; i < r->arm_count && out->count < PRICES; i++) {
        const json_t *s = reward_of(r, &r->arms[i]);
        double price = json_number_value(json_object_get(s, "weight"));
        size_t k = out->count;

        if (s == NULL || !same_family(first, &r->arms[i])) {
            continue;
        }
        for (; k > 0 && out->price[k - 1] > price; k--) {
            out->price[k] = out->price[k - 1];
            out->arms[k] = out->arms[k - 1];
        }
        out->price[k] = price;
        out->arms[k] = &r->arms[i];
        out->count++;
    }
    for (size_t k = 0; k < out->count; k++) {
        out->prices += k == 0 || out->price[k] != out->price[k - 1];
    }
}

/* Whether every value of a metric is a share. */
static bool is_share(const il__results *r, const char *metric)
{
    for (size_t i = 0; i < r->row_count; i++) {
        double value;

        if (il__row_metric(&r->rows[i], metric, &value) && (value < 0 || value > 1)) {
            return false;
        }
    }
    return true;
}

/* The seeds of one value, and a line through their means. */
static void add_value(il__figure *f, il__plot *p, const family *of, const il__series *s,
                      il__dash dash)
{
    double means[PRICES];

    for (size_t i = 0; i < of->count; i++) {
        double sum = 0;
        size_t n = 0;

        for (size_t k = 0; k < of->arms[i]->row_count; k++) {
            const il__result_row *row = of->arms[i]->rows[k];
            double value;

            if (il__series_value(s, row, &value)) {
                il__plot_mark(p, of->price[i], value, s->shape, s->hue,
                              of->arms[i]->label);
                il__csv_text(&f->csv, of->arms[i]->label);
                il__csv_integer(&f->csv, row->seed);
                il__csv_text(&f->csv, s->words);
                il__csv_number(&f->csv, of->price[i]);
                il__csv_number(&f->csv, value);
                il__csv_end(&f->csv);
                sum += value;
                n++;
            }
        }
        means[i] = n > 0 ? sum / (double)n : (double)NAN;
    }
    il__plot_line(p, of->price, means, of->count, s->hue, dash);
}

/* What is drawn against the price: the mean reading, then behaviours that are shares.
 */
static size_t list_values(const il__results *r, il__series out[VALUES])
{
    static const il__hue hues[VALUES] = {IL__HUE_A, IL__HUE_B, IL__HUE_C, IL__HUE_D};
    static const il__shape shapes[VALUES] = {IL__DISC, IL__TRIANGLE, IL__BOX,
                                             IL__DIAMOND};
    const char *behaviour[16];
    size_t known = il__behaviour_metrics(r, behaviour, 16);
    size_t count = 1;

    out[0] = (il__series){.shape = shapes[0], .hue = hues[0], .words = "mean reading"};
    (void)snprintf(out[0].metric, sizeof out[0].metric, "%s.own.mean", r->detector);
    for (size_t m = 0; m < known && count < VALUES; m++) {
        if (is_share(r, behaviour[m])) {
            out[count] = (il__series){
                .shape = shapes[count], .hue = hues[count], .words = behaviour[m]};
            (void)snprintf(out[count].metric, sizeof out[0].metric, "%s", behaviour[m]);
            count++;
        }
    }
    return count;
}

static void add_family(il__figure *f, const il__result_arm *first, const family *of,
                       const il__series *values, size_t count)
{
    static const il__dash dashes[VALUES] = {IL__SOLID, IL__DASHED, IL__DOTTED,
                                            IL__SOLID};
    char title[128];
    il__plot p = {.title = title,
                  .x = {fmin(0, of->price[0]), of->price[of->count - 1],
                        "weight of the reading", false},
                  .y = {0, 1, "share", false}};

    (void)snprintf(title, sizeof title, "%.*s", (int)family_of(first), first->label);
    for (size_t v = 0; v < count; v++) {
        add_value(f, &p, of, &values[v], dashes[v]);
    }
    il__figure_panel(f, &p);
}

void il__chart_prices(const il__results *r, il_text *html)
{
    static const char *const names[] = {"arm",   "seed",  "series",
                                        "price", "value", NULL};
    il__figure figure = {.id = "prices", .heading = "The price of a reading"};
    const il__result_arm *families[FAMILIES];
    il__series values[VALUES];
    size_t value_count = r->detector != NULL ? list_values(r, values) : 0;
    size_t count = 0;

    il__figure_columns(&figure, names);
    for (size_t i = 0; value_count > 0 && i < r->arm_count && count < FAMILIES; i++) {
        bool fresh = reward_of(r, &r->arms[i]) != NULL;
        family of;

        for (size_t f = 0; f < count; f++) {
            fresh = fresh && !same_family(families[f], &r->arms[i]);
        }
        if (!fresh) {
            continue;
        }
        gather(r, &r->arms[i], &of);
        if (of.prices > 2) {
            families[count++] = &r->arms[i];
            add_family(&figure, &r->arms[i], &of, values, value_count);
        }
    }
    for (size_t v = 0; v < value_count; v++) {
        il__figure_key(&figure, values[v].shape, values[v].hue, values[v].words);
    }
    il__figure_end(
        &figure,
        "Marks are seeds, lines join means; from left to right the weight of "
        "the reading.",
        html);
}
