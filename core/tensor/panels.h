/* Products of small matrices.
 *
 * A model of width 32 multiplies matrices that are over before OpenBLAS has looked at
 * them: sixteen rows by thirty-two by ninety-six, a thousand times an update. Here a
 * panel of the second matrix, turned where it is transposed, stays in the first cache,
 * and eight rows at a time go by it in registers, starting from their bias.
 *
 * Every number of the result is one sum in the order of k, fused, in stretches of 256:
 * it does not depend on m, on n or on where it stands, which OpenBLAS does not say. */
#ifndef IL_TENSOR_PANELS_H
#define IL_TENSOR_PANELS_H

#include <stdbool.h>
#include <stdint.h>

/* Whether a product of this size is made here: where it is faster than OpenBLAS, whose
 * kernel of that processor is SkylakeX. */
bool il_panels_suit(bool tb, int64_t m, int64_t n, int64_t k);
/* c (m,n) = alpha op(a) op(b) + beta c, or + bias (n) for every row where beta is 0 and
 * a bias is given. The processor has AVX-512; k is at least 1. */
void il_panels_gemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha,
                    const float *a, int64_t lda, const float *b, int64_t ldb,
                    float beta, const float *bias, float *c, int64_t ldc);

#endif
