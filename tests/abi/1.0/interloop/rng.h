/* Counter-based random numbers: Philox4x32-10 (Salmon et al. 2011, "Parallel random
 * numbers: as easy as 1, 2, 3", SC'11). A stream is named by (seed, depth of the stage,
 * purpose, step, example), so a draw depends on what it is for and never on what was
 * drawn before it: no state to save, nothing to synchronize. Two streams that differ in
 * any part of the name are unrelated. */
#ifndef INTERLOOP_RNG_H
#define INTERLOOP_RNG_H

#include <math.h>
#include <stdint.h>

/* What a stream is drawn for. Values are ABI: append only; plugins may use
 * IL_RNG_PLUGIN and up. */
enum il_rng_purpose {
    IL_RNG_INIT = 1,     /* initial parameters                  */
    IL_RNG_DATA = 2,     /* a dataset's rows                    */
    IL_RNG_FIT = 3,      /* fitting a detector                  */
    IL_RNG_SCRAMBLE = 4, /* placebos and certificates           */
    IL_RNG_SAMPLE = 5,   /* tokens and actions drawn from a policy */
    IL_RNG_BOOTSTRAP = 6,
    IL_RNG_ENVIRONMENT = 7,
    IL_RNG_PLUGIN = 64
};

typedef struct il_rng {
    uint32_t key[2];
    uint32_t counter[4];
    uint32_t block[4];
    uint32_t used; /* words of block already handed out */
} il_rng;

static inline uint64_t il_rng_mix_(uint64_t h, uint64_t word)
{
    /* SplitMix64's finalizer over the running value and the next word. */
    h += 0x9e3779b97f4a7c15u + word;
    h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9u;
    h = (h ^ (h >> 27)) * 0x94d049bb133111ebu;
    return h ^ (h >> 31);
}

static inline void il_rng_philox_(const uint32_t counter[4], const uint32_t key[2],
                                  uint32_t out[4])
{
    uint32_t k0 = key[0];
    uint32_t k1 = key[1];
    uint32_t c0 = counter[0];
    uint32_t c1 = counter[1];
    uint32_t c2 = counter[2];
    uint32_t c3 = counter[3];

    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xd2511f53u * c0;
        uint64_t p1 = (uint64_t)0xcd9e8d57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        uint32_t n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;

        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* Opens the stream (seed, depth, purpose, step, example). [any] */
static inline void il_rng_open(il_rng *r, uint64_t seed, uint32_t depth,
                               uint32_t purpose, uint64_t step, uint64_t example)
{
    uint64_t key = il_rng_mix_(il_rng_mix_(il_rng_mix_(0, seed), depth), purpose);
    uint64_t place = il_rng_mix_(il_rng_mix_(0, step), example >> 32);

    r->key[0] = (uint32_t)key;
    r->key[1] = (uint32_t)(key >> 32);
    r->counter[0] = 0;
    r->counter[1] = (uint32_t)example;
    r->counter[2] = (uint32_t)place;
    r->counter[3] = (uint32_t)(place >> 32);
    r->used = 4;
}

/* 32 uniform bits. [any] */
static inline uint32_t il_rng_u32(il_rng *r)
{
    if (r->used == 4) {
        il_rng_philox_(r->counter, r->key, r->block);
        r->counter[0]++;
        r->used = 0;
    }
    return r->block[r->used++];
}

/* Uniform in [0,1), 24 bits, exactly representable as float. [any] */
static inline float il_rng_uniform(il_rng *r)
{
    return (float)(il_rng_u32(r) >> 8) * (1.0f / 16777216.0f);
}

/* Uniform integer in [0,bound), bound >= 1, by Lemire's multiply with rejection. [any]
 */
static inline uint32_t il_rng_below(il_rng *r, uint32_t bound)
{
    uint64_t m = (uint64_t)il_rng_u32(r) * bound;

    if ((uint32_t)m < bound) {
        uint32_t least = (uint32_t)(0u - bound) % bound;

        while ((uint32_t)m < least) {
            m = (uint64_t)il_rng_u32(r) * bound;
        }
    }
    return (uint32_t)(m >> 32);
}

/* Standard normal by Box and Muller, in double so that every libm rounds it to the same
 * float but in rare last places; one draw uses two words. [any] */
static inline float il_rng_normal(il_rng *r)
{
    double u = ((double)(il_rng_u32(r) >> 8) + 1.0) * (1.0 / 16777216.0);
    double v = (double)(il_rng_u32(r) >> 8) * (1.0 / 16777216.0);

    return (float)(sqrt(-2.0 * log(u)) * cos(6.283185307179586476925 * v));
}

#endif
