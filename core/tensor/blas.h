/* OpenBLAS, opened at run time with a kernel of our choosing and one thread a caller.
 *
 * The kernel decides the last bits of every product, so it is chosen and reported:
 * `native` takes the widest that the processor has by CPUID, `portable` the Haswell
 * kernel everywhere. It can be chosen once a process, before the library is loaded. */
#ifndef IL_TENSOR_BLAS_H
#define IL_TENSOR_BLAS_H

#include <stdbool.h>
#include <stdint.h>
#include "interloop/status.h"
#include "tensor/team.h"

typedef struct il_blas il_blas;

/* Opens the library, or hands back the one that is open; asking for the other numerics
 * then is an error. */
il_status il_blas_open(const il_blas **out, bool portable, il_error *err);
/* "SkylakeX", "Haswell": what OpenBLAS says it runs; and "OpenBLAS 0.3.21 ...". */
const char *il_blas_kernel(const il_blas *blas);
const char *il_blas_version(const il_blas *blas);
/* Whether products of small matrices are made by kernels of our own, with AVX-512 and
 * fused sums: so may be what is like them. Never under `portable`. */
bool il_blas_fused(const il_blas *blas);
/* c (m,n) = alpha op(a) op(b) + beta c, row-major; [any] thread. */
void il_blas_gemm(const il_blas *blas, bool ta, bool tb, int64_t m, int64_t n,
                  int64_t k, float alpha, const float *a, int64_t lda, const float *b,
                  int64_t ldb, float beta, float *c, int64_t ldc);
/* The same by a team, or alone where it is NULL. Its size decides nothing but the time.
 */
void il_blas_gemm_by(const il_blas *blas, il_pool *team, bool ta, bool tb, int64_t m,
                     int64_t n, int64_t k, float alpha, const float *a, int64_t lda,
                     const float *b, int64_t ldb, float beta, float *c, int64_t ldc);
/* c (m,n) = a op(b) + bias (n), or without one where it is NULL; likewise. */
void il_blas_linear(const il_blas *blas, il_pool *team, bool tb, int64_t m, int64_t n,
                    int64_t k, const float *a, int64_t lda, const float *b, int64_t ldb,
                    const float *bias, float *c, int64_t ldc);

#endif
