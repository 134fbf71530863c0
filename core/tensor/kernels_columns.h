/* The one order of a sum over rows: rows ascending in blocks of 64, then the blocks
 * ascending. Blocks keep the rounding error of a long batch near that of 64 rows. */
#ifndef IL_TENSOR_KERNELS_COLUMNS_H
#define IL_TENSOR_KERNELS_COLUMNS_H

#include <stdint.h>

enum { COLUMN_ROWS = 64, COLUMN_WIDTH = 64 };

/* out[j] (+=) alpha * the sum over rows r_ of `term`, an expression in r_ and the
 * column j_, for j from 0 to w. */
#define COLUMNS_ADD(out, alpha, rows, w, r_, j_, term)                                 \
    for (int64_t left_ = 0; left_ < (w); left_ += COLUMN_WIDTH) {                      \
        int64_t wide_ = (w)-left_ < COLUMN_WIDTH ? (w)-left_ : COLUMN_WIDTH;           \
        float total_[COLUMN_WIDTH] = {0};                                              \
                                                                                       \
        for (int64_t top_ = 0; top_ < (rows); top_ += COLUMN_ROWS) {                   \
            int64_t end_ = (rows)-top_ < COLUMN_ROWS ? (rows) : top_ + COLUMN_ROWS;    \
            float part_[COLUMN_WIDTH] = {0};                                           \
                                                                                       \
            for (int64_t r_ = top_; r_ < end_; r_++) {                                 \
                for (int64_t k_ = 0; k_ < wide_; k_++) {                               \
                    int64_t j_ = left_ + k_;                                           \
                                                                                       \
                    part_[k_] += (term);                                               \
                }                                                                      \
            }                                                                          \
            for (int64_t k_ = 0; k_ < wide_; k_++) {                                   \
                total_[k_] += part_[k_];                                               \
            }                                                                          \
        }                                                                              \
        for (int64_t k_ = 0; k_ < wide_; k_++) {                                       \
            (out)[left_ + k_] += (alpha)*total_[k_];                                   \
        }                                                                              \
    }

#endif
