/* Rough products: who is large, not how large.
 *
 * Where only a few numbers of a product are wanted, sixteen bits of each factor are
 * enough to say which may be among them, and processors with tiles multiply such
 * factors many times as fast. How far off a number can be is known, so whoever asks
 * looks again at all that come close. */
#ifndef IL_TENSOR_ROUGH_H
#define IL_TENSOR_ROUGH_H

#include <stdbool.h>
#include <stdint.h>

/* |rough - exact| <= (a + b + a b + in * 2^-22) |x| |w|, where rounding to eight bits
 * has moved x by a |x| and w by b |w|, at most IL_ROUGH_MOVED each: usually less than
 * half of it, so packing measures it. */
#define IL_ROUGH_MOVED 0x1p-8f

enum { IL_ROUGH_SIDE = 32 }; /* sizes are rounded up to it */

static inline int64_t il_rough_up(int64_t n)
{
    return (n + IL_ROUGH_SIDE - 1) / IL_ROUGH_SIDE * IL_ROUGH_SIDE;
}

/* Whether this process has the processor for it, and a product of that size gains. */
bool il_rough_suits(int64_t width, int64_t in);
/* Numbers of 16 bits that `rows` rows of `in` take when packed. */
static inline int64_t il_rough_size(int64_t rows, int64_t in)
{
    return il_rough_up(rows) * il_rough_up(in);
}
/* Packs x (rows,in) as the first factor, and w (rows,in) as the second; moved (rows) is
 * how far rounding has moved each row, relative to its norm. */
void il_rough_pack_first(uint16_t *to, float *moved, const float *x, int64_t rows,
                         int64_t in);
void il_rough_pack_second(uint16_t *to, float *moved, const float *w, int64_t rows,
                          int64_t in);
/* y = x w^T + b: x of `rows` rows and w of `width`, packed; b (width rounded up), y
 * (rows rounded up, width rounded up). */
void il_rough_product(float *y, const uint16_t *x, const uint16_t *w, const float *b,
                      int64_t rows, int64_t width, int64_t in);

#endif
