/* Rough products: see rough.h. Tiles of 16 rows by 32 factors of 16 bits, four sums of
 * 16 by 16 at a time. */
#define _GNU_SOURCE
#include "tensor/rough.h"

#include <math.h>
#include <string.h>
#include "base/compiler.h"

enum { TALL = 16, DEEP = 32, TILE = TALL * DEEP };

#if IL_HAS_AVX512 && defined(__linux__)

#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#define IL_TILES __attribute__((target("amx-tile,amx-bf16,avx512f")))

/* What Linux asks before a process may use tiles, whose state is large. */
static bool may_use_tiles(void)
{
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };

    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

bool il_rough_suits(int64_t width, int64_t in)
{
    unsigned a = 0;
    unsigned b = 0;
    unsigned c = 0;
    unsigned d = 0;

    if (width < 256 || in < 32 || __get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) {
        return false;
    }
    /* leaf 7: EDX bit 22 is products of bfloat16 in tiles, bit 24 tiles */
    return (d >> 22 & 1) != 0 && (d >> 24 & 1) != 0 && may_use_tiles();
}

/* The upper half of a float, rounded to even. */
IL_INLINE uint32_t half_of(float x)
{
    uint32_t u;

    memcpy(&u, &x, sizeof u);
    return (u + 0x7fffu + (u >> 16 & 1)) >> 16;
}

/* Adds up, lane by lane, how far apart 32 numbers and their halves are, and how large
 * they are. */
IL_INLINE void add_moved(float *restrict off, float *restrict all,
                         const float *restrict x, const uint16_t *restrict halves)
{
    for (int i = 0; i < DEEP; i++) {
        uint32_t u = (uint32_t)halves[i] << 16;
        float rounded;

        memcpy(&rounded, &u, sizeof u);
        off[i] += (x[i] - rounded) * (x[i] - rounded);
        all[i] += x[i] * x[i];
    }
}

/* What that comes to, relative; a little more, for the sake of its own rounding. */
IL_INLINE float moved_by(const float *off, const float *all)
{
    double sums[2] = {0, 0};

    for (int i = 0; i < DEEP; i++) {
        sums[0] += (double)off[i];
        sums[1] += (double)all[i];
    }
    return sums[1] > 0 ? (float)(1.001 * sqrt(sums[0] / sums[1])) : 0.0f;
}

/* Tiles of 16 rows by 32 numbers, row by row; tiles of the same rows side by side. */
IL_CLONES
void il_rough_pack_first(uint16_t *to, float *moved, const float *x, int64_t rows,
                         int64_t in)
{
    int64_t deep = il_rough_up(in);

    memset(to, 0, (size_t)il_rough_size(rows, in) * sizeof *to);
    for (int64_t r = 0; r < rows; r++) {
        uint16_t *tile = to + r / TALL * TALL * deep + r % TALL * DEEP;
        float off[DEEP] = {0};
        float all[DEEP] = {0};

        for (int64_t c = 0; c < in; c += DEEP) {
            uint16_t *restrict out = tile + c / DEEP * TILE;
            float rest[DEEP] = {0};
            const float *from = x + r * in + c;

            if (in - c < DEEP) {
                memcpy(rest, from, (size_t)(in - c) * sizeof *rest);
                from = rest;
            }
            for (int64_t i = 0; i < DEEP; i++) {
                out[i] = (uint16_t)half_of(from[i]);
            }
            add_moved(off, all, from, out);
        }
        moved[r] = moved_by(off, all);
    }
}

/* Tiles of 32 numbers by 16 rows: pairs of neighbours stay together, sixteen rows' side
 * by side. */
IL_CLONES
void il_rough_pack_second(uint16_t *to, float *moved, const float *w, int64_t rows,
                          int64_t in)
{
    int64_t deep = il_rough_up(in);

    memset(to, 0, (size_t)il_rough_size(rows, in) * sizeof *to);
    for (int64_t r = 0; r < rows; r++) {
        uint16_t *tile = to + r / TALL * TALL * deep + r % TALL * 2;
        float off[DEEP] = {0};
        float all[DEEP] = {0};

        for (int64_t c = 0; c < in; c += DEEP) {
            uint16_t *out = tile + c / DEEP * TILE;
            uint16_t halves[DEEP];
            float rest[DEEP] = {0};
            const float *from = w + r * in + c;

            if (in - c < DEEP) {
                memcpy(rest, from, (size_t)(in - c) * sizeof *rest);
                from = rest;
            }
            for (int64_t i = 0; i < DEEP; i++) {
                halves[i] = (uint16_t)half_of(from[i]);
            }
            add_moved(off, all, from, halves);
            for (int64_t i = 0; i < DEEP; i += 2) {
                memcpy(out + i * TALL, halves + i, 2 * sizeof *out);
            }
        }
        moved[r] = moved_by(off, all);
    }
}

/* Shapes of the eight tiles, as the processor reads them. */
typedef struct tile_shapes {
    uint8_t palette;
    uint8_t start;
    uint8_t reserved[14];
    uint16_t bytes[16]; /* a row */
    uint8_t rows[16];
} tile_shapes;

IL_TILES
void il_rough_product(float *y, const uint16_t *x, const uint16_t *w, const float *b,
                      int64_t rows, int64_t width, int64_t in)
{
    int64_t deep = il_rough_up(in);
    int64_t wide = il_rough_up(width);
    int64_t apart = wide * (int64_t)sizeof *y;
    tile_shapes shapes = {.palette = 1};

    for (int i = 0; i < 8; i++) {
        shapes.bytes[i] = 64;
        shapes.rows[i] = TALL;
    }
    _tile_loadconfig(&shapes);
    for (int64_t f = 0; f < wide; f += IL_ROUGH_SIDE) {
        const uint16_t *right = w + f * deep;

        for (int64_t r = 0; r < rows; r += IL_ROUGH_SIDE) {
            const uint16_t *left = x + r * deep;
            float *to = y + r * wide + f;

            /* the biases of sixteen columns, sixteen times */
            _tile_loadd(0, b + f, 0);
            _tile_loadd(1, b + f + TALL, 0);
            _tile_loadd(2, b + f, 0);
            _tile_loadd(3, b + f + TALL, 0);
            for (int64_t k = 0; k < deep / DEEP; k++) {
                _tile_loadd(4, left + k * TILE, 64);
                _tile_loadd(6, right + k * TILE, 64);
                _tile_dpbf16ps(0, 4, 6);
                _tile_loadd(7, right + TALL * deep + k * TILE, 64);
                _tile_dpbf16ps(1, 4, 7);
                _tile_loadd(5, left + TALL * deep + k * TILE, 64);
                _tile_dpbf16ps(2, 5, 6);
                _tile_dpbf16ps(3, 5, 7);
            }
            _tile_stored(0, to, apart);
            _tile_stored(1, to + TALL, apart);
            _tile_stored(2, to + TALL * wide, apart);
            _tile_stored(3, to + TALL * wide + TALL, apart);
        }
    }
    _tile_release();
}

#else

bool il_rough_suits(int64_t width, int64_t in)
{
    (void)width;
    (void)in;
    return false;
}

void il_rough_pack_first(uint16_t *to, float *moved, const float *x, int64_t rows,
                         int64_t in)
{
    (void)to;
    (void)moved;
    (void)x;
    (void)rows;
    (void)in;
}

void il_rough_pack_second(uint16_t *to, float *moved, const float *w, int64_t rows,
                          int64_t in)
{
    (void)to;
    (void)moved;
    (void)w;
    (void)rows;
    (void)in;
}

void il_rough_product(float *y, const uint16_t *x, const uint16_t *w, const float *b,
                      int64_t rows, int64_t width, int64_t in)
{
    (void)y;
    (void)x;
    (void)w;
    (void)b;
    (void)rows;
    (void)width;
    (void)in;
}

#endif
