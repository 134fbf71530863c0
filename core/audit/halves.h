/* Halves: part of the rows of a harvest, for fits that must not see what judges them. */
#ifndef IL_AUDIT_HALVES_H
#define IL_AUDIT_HALVES_H

#include "detect/harvest.h"

enum { IL_PART_SITES = 64 };

/* Rows [first, first+count) of harvested rows; leans on them, and stays where it is. */
typedef struct il_part {
    il_acts acts;
    const float *data[IL_PART_SITES];
    bool both; /* has rows of both classes */
} il_part;

/* Cuts labelled rows of at most IL_PART_SITES sites. */
void il_part_cut(il_part *p, const il_acts *acts, int64_t first, int64_t count);
/* The first row that stands in the later part of the documents, where `share` of them
 * are before it. */
int64_t il_part_row(const il_acts *acts, double share);

#endif
