/* Bitsets over parameter tensors, kept as arrays of 64-bit words that somebody else
 * owns. */
#ifndef IL_BASE_BITS_H
#define IL_BASE_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint64_t il_word;

static inline size_t il_bits_words(size_t bits)
{
    return (bits + 63) / 64;
}
static inline void il_bits_clear(il_word *a, size_t words)
{
    memset(a, 0, words * sizeof *a);
}
static inline void il_bits_copy(il_word *a, const il_word *b, size_t words)
{
    memcpy(a, b, words * sizeof *a);
}
static inline void il_bits_set(il_word *a, size_t i)
{
    a[i / 64] |= (il_word)1 << (i % 64);
}
static inline void il_bits_unset(il_word *a, size_t i)
{
    a[i / 64] &= ~((il_word)1 << (i % 64));
}
static inline bool il_bits_has(const il_word *a, size_t i)
{
    return a[i / 64] >> (i % 64) & 1;
}
static inline void il_bits_or(il_word *a, const il_word *b, size_t words)
{
    for (size_t i = 0; i < words; i++) {
        a[i] |= b[i];
    }
}
static inline void il_bits_and(il_word *a, const il_word *b, size_t words)
{
    for (size_t i = 0; i < words; i++) {
        a[i] &= b[i];
    }
}
static inline void il_bits_minus(il_word *a, const il_word *b, size_t words)
{
    for (size_t i = 0; i < words; i++) {
        a[i] &= ~b[i];
    }
}
static inline bool il_bits_meet(const il_word *a, const il_word *b, size_t words)
{
    for (size_t i = 0; i < words; i++) {
        if (a[i] & b[i]) {
            return true;
        }
    }
    return false;
}
static inline bool il_bits_any(const il_word *a, size_t words)
{
    for (size_t i = 0; i < words; i++) {
        if (a[i]) {
            return true;
        }
    }
    return false;
}
static inline bool il_bits_equal(const il_word *a, const il_word *b, size_t words)
{
    return memcmp(a, b, words * sizeof *a) == 0;
}
static inline size_t il_bits_count(const il_word *a, size_t words)
{
    size_t n = 0;

    for (size_t i = 0; i < words; i++) {
        n += (size_t)__builtin_popcountll(a[i]);
    }
    return n;
}

#endif
