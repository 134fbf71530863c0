/* Sorting what was kept by column, and going through it: see by_column.h. */
#include "tensor/by_column.h"

#include <string.h>

enum { BLOCK_FLOATS = 1 << 18 }; /* of a block's rows: 1 MiB */

static int64_t rows_a_block(int64_t width)
{
    int64_t rows = BLOCK_FLOATS / (width > 0 ? width : 1);

    return rows < 16 ? 16 : rows;
}

bool il__sort_by_column(il_pass *p, il__by_column *by, int64_t rows, int64_t width,
                        int64_t wide, const int32_t *starts, const int32_t *columns)
{
    int64_t block = rows_a_block(wide);
    int64_t count = starts[rows];
    int64_t buckets;
    int32_t *at;

    by->width = width;
    by->blocks = (rows + block - 1) / block;
    buckets = by->blocks * width;
    by->starts = il__bytes(p, (size_t)(buckets + 2) * sizeof *by->starts);
    by->entries = il__bytes(p, (size_t)(count + 1) * sizeof *by->entries);
    by->rows = il__bytes(p, (size_t)(count + 1) * sizeof *by->rows);
    if (by->starts == NULL || by->entries == NULL || by->rows == NULL) {
        return false;
    }
    memset(by->starts, 0, (size_t)(buckets + 2) * sizeof *by->starts);
    at = by->starts + 1; /* counts, then where the next entry of a bucket goes */
    for (int64_t r = 0; r < rows; r++) {
        int32_t *own = at + 1 + r / block * width;

        for (int32_t m = starts[r]; m < starts[r + 1]; m++) {
            own[columns[m]]++;
        }
    }
    for (int64_t i = 1; i <= buckets; i++) {
        at[i] += at[i - 1];
    }
    for (int64_t r = 0; r < rows; r++) {
        int32_t *own = at + r / block * width;

        for (int32_t m = starts[r]; m < starts[r + 1]; m++) {
            int32_t to = own[columns[m]]++;

            by->entries[to] = m;
            by->rows[to] = (int32_t)r;
        }
    }
    return true;
}

il__walk il__walk_of(const il__by_column *by, int64_t first, int64_t last)
{
    il__walk w = {.by = by, .first = first, .last = last, .bucket = first};

    w.at = by->starts[first < by->width * by->blocks ? first : 0];
    return w;
}

bool il__walk_next(il__walk *w)
{
    const il__by_column *by = w->by;
    int64_t buckets = by->blocks * by->width;

    while (w->bucket < buckets) {
        int64_t column = w->bucket % by->width;
        int32_t end = by->starts[w->bucket + 1];

        if (column >= w->first && column < w->last && w->at < end) {
            w->column = column;
            w->n = end - w->at < IL__AT_ONCE ? end - w->at : IL__AT_ONCE;
            w->rows = by->rows + w->at;
            w->entries = by->entries + w->at;
            w->at += (int32_t)w->n;
            return true;
        }
        /* on to the next bucket, or over the columns that are not asked for */
        w->bucket += column < w->first   ? w->first - column
                     : column >= w->last ? by->width - column + w->first
                                         : 1;
        if (w->bucket < buckets) {
            w->at = by->starts[w->bucket];
        }
    }
    return false;
}

void il__pick(float *to, const float *from, const il__walk *w)
{
    for (int64_t i = 0; i < w->n; i++) {
        to[i] = from[w->entries[i]];
    }
}
