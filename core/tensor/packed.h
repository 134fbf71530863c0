/* Products of large matrices, on processors with AVX-512.
 *
 * What OpenBLAS does for them, for the two cases that models have: many rows, and a
 * second matrix that is gone through once. A block of the first lies packed in the
 * second cache; a strip of the second, 32 columns of it, turned where it is transposed,
 * in the first; fourteen rows at a time go by it in registers.
 *
 * Every number is the sum that panels.h describes, whatever the rest of the product: so
 * parts of one may be made by several threads, however it is cut. */
#ifndef IL_TENSOR_PACKED_H
#define IL_TENSOR_PACKED_H

#include <stdbool.h>
#include <stdint.h>

/* What a part of a product has a multiple of. */
enum { IL_PACKED_COLUMNS = 32, IL_PACKED_ROWS = 14 };

/* Whether a product of this size is made here: where it is faster than OpenBLAS. */
bool il_packed_suit(int64_t m, int64_t n, int64_t k);
/* As il_panels_gemm. */
void il_packed_gemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha,
                    const float *a, int64_t lda, const float *b, int64_t ldb,
                    float beta, const float *bias, float *c, int64_t ldc);

#endif
