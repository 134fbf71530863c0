/* Panels that have a line for each arm and a mark for each seed. */
#ifndef IL_REPORT_ARMS_PANEL_H
#define IL_REPORT_ARMS_PANEL_H

#include "report/figure.h"
#include "report/focus.h"

/* Whose seeds a mark is of: the line's arm, its twin, or its placebos. */
typedef enum il__whose { IL__OWN, IL__TWINS, IL__PLACEBOS } il__whose;

/* What is marked on every line: a metric, or the sum of two. */
typedef struct il__series {
    char metric[IL__FOCUS_NAME];
    char plus[IL__FOCUS_NAME]; /* "" for none */
    il__shape shape;
    il__hue hue;
    il__whose whose;
    const char *words; /* for the key and the CSV */
    bool interval;     /* with the interval that the audit has for it */
    bool mean;         /* with a tick at the mean over seeds, where there are several */
} il__series;

/* False where a part was not measured. */
bool il__series_value(const il__series *s, const il__result_row *row, double *value);

/* The names of the CSV's columns for such panels; before the first of them. */
void il__arms_columns(il__figure *f);
/* Adds a panel of those arms that have a value in some series, on an axis that holds
 * all values where axis->from == axis->to. `negatives`: a metric whose number of
 * negatives stands at the end of each line, or NULL. Nothing without a value. */
void il__arms_panel(il__figure *f, const char *title, il__axis axis,
                    const il__result_arm *const *arms, size_t arm_count,
                    const il__series *series, size_t series_count,
                    const char *negatives);

#endif
