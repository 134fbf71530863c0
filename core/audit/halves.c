/* Halves: see halves.h. */
#include "audit/halves.h"

void il_part_cut(il_part *p, const il_acts *acts, int64_t first, int64_t count)
{
    int64_t positives = 0;
    int64_t token = il_scored_first(&acts->rows, first);

    p->acts = *acts;
    p->acts.arena = NULL;
    p->acts.data = p->data;
    p->acts.rows.rows = acts->rows.rows + first;
    p->acts.rows.labels = acts->rows.labels + first;
    p->acts.rows.documents = acts->rows.documents + first;
    p->acts.rows.count = count;
    if (acts->rows.first != NULL) {
        p->acts.rows.first = acts->rows.first + first;
        p->acts.rows.tokens = acts->rows.tokens + token;
        p->acts.rows.token_labels = acts->rows.token_labels + token;
    }
    for (size_t i = 0; i < acts->site_count && i < IL_PART_SITES; i++) {
        p->data[i] = acts->data[i] + (acts->gathered ? token * acts->widths[i] : 0);
    }
    for (int64_t i = 0; i < count; i++) {
        positives += p->acts.rows.labels[i] != 0;
    }
    p->both = positives > 0 && positives < count;
}

int64_t il_part_row(const il_acts *acts, double share)
{
    int64_t position =
        (int64_t)(share * (double)acts->rows.batch) * acts->rows.length;
    int64_t row = 0;

    while (row < acts->rows.count && acts->rows.rows[row] < position) {
        row++;
    }
    return row;
}
