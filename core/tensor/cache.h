/* Attention of new positions to what a cache holds of the old ones, with AVX-512.
 *
 * A head of a dozen channels attends to a dozen positions: less work than the loops
 * around it. Here four heads go side by side in registers. Keys lie in blocks of 16
 * positions, in each of them four channels of a position side by side, so that a new
 * position is a few short stores and not one in each of as many lines as it has
 * channels; values lie position by position.
 *
 * Sums are fused, as the products of the same processors are; a row's result is its own
 * and depends on no other row. */
#ifndef IL_TENSOR_CACHE_H
#define IL_TENSOR_CACHE_H

#include <stdbool.h>
#include <stdint.h>

/* Whether a cache of `length` positions of c channels in so many heads is kept here. */
bool il_cache_suits(int64_t c, int64_t heads, int64_t length);
/* Adds positions [at, at + t) of one row, whose qkv is (t,3c), to its cache. */
void il_cache_write(float *cache, const float *qkv, int64_t t, int64_t c, int64_t at,
                    int64_t length);
/* out (rows,t,c) of these positions, which the caches hold already, `apart` numbers
 * from one row's to the next. `weights` has room for IL_CACHE_WEIGHTS times `length`
 * rounded up to 16. */
enum { IL_CACHE_WEIGHTS = 4 };
void il_cache_attend(float *out, const float *cache, int64_t apart, float *weights,
                     const float *qkv, int64_t rows, int64_t t, int64_t c,
                     int64_t heads, int64_t at, int64_t length, float scale);

#endif
