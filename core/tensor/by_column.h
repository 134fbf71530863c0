/* What was kept of rows, by column: sorted inside blocks of rows, so that a column's
 * row of a table is read once a block while the block's own rows lie in the second
 * cache. For ops_top.c, which keeps, and ops_sparse.c, which multiplies what was kept.
 */
#ifndef IL_TENSOR_BY_COLUMN_H
#define IL_TENSOR_BY_COLUMN_H

#include "tensor/tape.h"

enum { IL__AT_ONCE = 256 }; /* entries of one step of a walk */

/* What a row's numbers look like by column: bucket (block, column) holds entries
 * [starts[bucket],starts[bucket+1]), rows ascending. */
typedef struct il__by_column {
    int64_t width;
    int64_t blocks;
    int32_t *starts;  /* (blocks * width + 1) */
    int32_t *entries; /* (M): the number's place by row */
    int32_t *rows;    /* (M): its row */
} il__by_column;

/* What was kept, as the ops hand it out. */
typedef struct il__sparse {
    il_sparse pub; /* first */
    il__by_column by;
    const float *x; /* (N,I), less the shift */
} il__sparse;

/* Counting sort of numbers kept by row; `width` columns, rows of `wide` floats to be
 * met. False when memory is out. */
bool il__sort_by_column(il_pass *p, il__by_column *by, int64_t rows, int64_t width,
                        int64_t wide, const int32_t *starts, const int32_t *columns);

/* Goes through the buckets of columns [first,last), some entries at a time. */
typedef struct il__walk {
    const il__by_column *by;
    int64_t first, last;
    int64_t bucket; /* the next */
    int32_t at;     /* within it */
    int64_t column;
    int64_t n;
    const int32_t *rows;
    const int32_t *entries;
} il__walk;

il__walk il__walk_of(const il__by_column *by, int64_t first, int64_t last);
/* The next entries of one column, at most IL__AT_ONCE; false at the end. */
bool il__walk_next(il__walk *w);
/* The numbers at a walk's entries. */
void il__pick(float *to, const float *from, const il__walk *w);

#endif
