/* Products cut into tiles.
 *
 * OpenBLAS packs copies of both matrices before it multiplies, which takes a quarter of
 * the time where the matrices are those of a small model. Its AVX-512 kernel multiplies
 * up to 10^6 pairs of numbers where they lie, unless the second matrix is transposed.
 * So products of moderate size go to it in tiles below that number, a transposed second
 * matrix being turned a panel at a time. Measured: 1.2 times the speed for matrices of
 * 128 to 512, 1.04 to 1.08 times that of a whole training step of width 128. */
#ifndef IL_TENSOR_TILES_H
#define IL_TENSOR_TILES_H

#include <stdbool.h>
#include <stdint.h>

/* cblas_sgemm, and the codes that it takes. */
typedef void il_sgemm(int order, int ta, int tb, int m, int n, int k, float alpha,
                      const float *a, int lda, const float *b, int ldb, float beta,
                      float *c, int ldc);
enum { IL_ROW_MAJOR = 101, IL_PLAIN = 111, IL_TRANSPOSED = 112 };

/* Whether tiles are the faster way for a product of this size. */
bool il_tiles_suit(int64_t m, int64_t n, int64_t k);
/* c (m,n) = alpha op(a) op(b) + beta c; k is at least 1. */
void il_tiles_gemm(il_sgemm *gemm, bool ta, bool tb, int64_t m, int64_t n, int64_t k,
                   float alpha, const float *a, int64_t lda, const float *b,
                   int64_t ldb, float beta, float *c, int64_t ldc);

#endif
