/* Tallies: what a dataset's metric functions add up, pooled over chunks. */
#ifndef IL_DETECT_TALLY_H
#define IL_DETECT_TALLY_H

#include <stddef.h>
#include "interloop/dataset.h"

typedef struct il_tally_item {
    char name[64];
    double sum;
    double weight;
} il_tally_item;

typedef struct il_tally {
    il_metrics metrics; /* what the dataset is handed; first */
    il_tally_item *items;
    size_t count;
    size_t room;
    il_status failed; /* memory, a bad name or a sum that is no number */
} il_tally;

void il_tally_open(il_tally *t); /* makes it empty */
void il_tally_close(il_tally *t);
/* Adds all of `from`, name by name; done in chunk order the sums do not depend on the
 * workers. */
void il_tally_merge(il_tally *t, const il_tally *from);
/* sum / weight of a name; NaN when it is not there or weighs nothing. */
double il_tally_value(const il_tally *t, const char *name);

#endif
