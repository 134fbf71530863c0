/* What the compiler can do beyond C11, each behind a name of ours. Nothing else in the
 * tree uses an extension directly. */
#ifndef IL_BASE_COMPILER_H
#define IL_BASE_COMPILER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__has_feature)
#define IL_HAS_FEATURE(name) __has_feature(name)
#else
#define IL_HAS_FEATURE(name) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||                   \
    IL_HAS_FEATURE(address_sanitizer) || IL_HAS_FEATURE(thread_sanitizer)
#define IL_SANITIZED 1
#else
#define IL_SANITIZED 0
#endif

/* Before a function definition: compile it once for each width of vectors and let the
 * loader choose by processor. The choice changes no value: without fast-math the
 * compiler keeps the order of every sum, and contraction is off. The loader chooses
 * before a sanitizer is set up, so there are no clones there; nor with clang 14, under
 * which a function with clones cannot be called from another file. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) &&                 \
    __GNUC__ >= 12 && !IL_SANITIZED
#define IL_CLONES                                                                      \
    __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define IL_CLONES
#endif

/* A function that becomes part of each clone that calls it, at that clone's width. */
#define IL_INLINE static inline __attribute__((always_inline))

/* Whether a function can be compiled for AVX-512 whatever the rest is compiled for; it
 * is for its caller to know that the processor has it. */
#if defined(__x86_64__) && defined(__GNUC__)
#define IL_HAS_AVX512 1
#define IL_AVX512     __attribute__((target("avx512f,avx512vl,avx512bw,avx512dq")))
#else
#define IL_HAS_AVX512 0
#define IL_AVX512
#endif

/* Before a loop of a few constant rounds: all of them, one after the other. */
#if defined(__clang__)
#define IL_UNROLL _Pragma("clang loop unroll(full)")
#else
#define IL_UNROLL _Pragma("GCC unroll 16")
#endif

/* Before a loop whose arrays are the same or apart, but never shifted against each
 * other: it may become vectors without a test for overlap. */
#if defined(__clang__)
#define IL_VECTOR _Pragma("clang loop vectorize(assume_safety)")
#else
#define IL_VECTOR _Pragma("GCC ivdep")
#endif

/* After `typedef float name`: so many floats as one value, wherever they lie, with the
 * operators of one float. For sums of a known width that the compiler would otherwise
 * take apart into scalars; on narrower processors it makes several vectors of it. Not
 * for arguments, whose passing depends on the processor. */
#define IL_SIDE_BY_SIDE(n) __attribute__((vector_size(4 * (n)), aligned(4), may_alias))

/* In a loop that waits for another processor's write: leaves it the shared units. */
#if defined(__x86_64__) && defined(__GNUC__)
#define IL_PAUSE() __builtin_ia32_pause()
#else
#define IL_PAUSE() ((void)0)
#endif

/* Memory that a pool of ours has and nobody may touch, and memory that somebody may
 * again: what the address sanitizer is told, and nothing without it. */
#if defined(__SANITIZE_ADDRESS__) || IL_HAS_FEATURE(address_sanitizer)
#include <sanitizer/asan_interface.h>
#define IL_POISONS               1
#define IL_POISON(data, bytes)   __asan_poison_memory_region(data, bytes)
#define IL_UNPOISON(data, bytes) __asan_unpoison_memory_region(data, bytes)
#else
#define IL_POISONS               0
#define IL_POISON(data, bytes)   ((void)(data), (void)(bytes))
#define IL_UNPOISON(data, bytes) ((void)(data), (void)(bytes))
#endif

/* a * b in *out; false, and *out unchanged, when it does not fit. */
static inline bool il_mul_size(size_t a, size_t b, size_t *out)
{
    size_t product;

    if (__builtin_mul_overflow(a, b, &product)) {
        return false;
    }
    *out = product;
    return true;
}

/* a + b in *out; false, and *out unchanged, when it does not fit. */
static inline bool il_add_size(size_t a, size_t b, size_t *out)
{
    size_t sum;

    if (__builtin_add_overflow(a, b, &sum)) {
        return false;
    }
    *out = sum;
    return true;
}

#endif
