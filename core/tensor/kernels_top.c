/* The largest numbers of a row: see kernels_sparse.h. */
#include <string.h>
#include "tensor/kernels_lanes.h"
#include "tensor/kernels_sparse.h"

#if IL_HAS_AVX512
#include <immintrin.h>
#endif

/* Of few numbers, bit by bit: as unsigned integers in the order of the floats, how many
 * reach each candidate? No branch depends on them, and all are counted at once. */
enum { FEW = 512 };

IL_CLONES
static float largest_of_few(const float *x, int64_t n, int64_t k)
{
    uint32_t keys[FEW];
    uint32_t found = 0;
    uint32_t bits;
    float out;

    memcpy(keys, x, (size_t)n * sizeof *keys);
    for (int64_t i = 0; i < n; i++) {
        keys[i] ^= (uint32_t) - (int32_t)(keys[i] >> 31) | UINT32_C(0x80000000);
    }
    for (int bit = 31; bit >= 0; bit--) {
        const uint32_t next = found | UINT32_C(1) << bit;
        int32_t reach = 0;

        for (int64_t i = 0; i < n; i++) {
            reach += keys[i] >= next;
        }
        found = reach >= k ? next : found;
    }
    bits = found & UINT32_C(0x80000000) ? found ^ UINT32_C(0x80000000) : ~found;
    memcpy(&out, &bits, sizeof out);
    return out;
}

float il_k_largest(float *x, int64_t n, int64_t k)
{
    int64_t low = 0;
    int64_t high = n - 1;

    if (n <= FEW) {
        return largest_of_few(x, n, k);
    }
    /* Hoare's quickselect, descending, around the middle of three. */
    while (low < high) {
        float a = x[low];
        float b = x[low + (high - low) / 2];
        float c = x[high];
        float pivot = a > b ? (b > c ? b : a > c ? c : a) : (a > c ? a : b > c ? c : b);
        int64_t i = low;
        int64_t j = high;

        while (i <= j) {
            while (x[i] > pivot) {
                i++;
            }
            while (x[j] < pivot) {
                j--;
            }
            if (i <= j) {
                float t = x[i];

                x[i++] = x[j];
                x[j--] = t;
            }
        }
        if (k - 1 <= j) {
            high = j;
        } else if (k - 1 >= i) {
            low = i;
        } else {
            break;
        }
    }
    return x[k - 1];
}

/* best (groups), groups a multiple of 16: the largest a - slack margin of every
 * groups-th column. */
IL_CLONES
static void group_most(float *best, int64_t groups, const float *a, const float *margin,
                       float slack, int64_t n)
{
    int64_t i = 0;

    for (int64_t g = 0; g < groups; g++) {
        best[g] = -INFINITY;
    }
    for (; i + groups <= n; i += groups) {
        for (int64_t g = 0; g < groups; g += LANES) {
            const floats16 x = *(const floats16 *)(a + i + g) -
                               *(const floats16 *)(margin + i + g) * slack;
            floats16 most = *(floats16 *)(best + g);

            LANES_RAISE(16, most, x);
            *(floats16 *)(best + g) = most;
        }
    }
    for (; i < n; i++) {
        float x = a[i] - margin[i] * slack;

        best[i % groups] = x > best[i % groups] ? x : best[i % groups];
    }
}

/* Columns whose a + slack margin is at least `least` and above 0. */
static int64_t at_least_plain(int32_t *columns, const float *a, const float *margin,
                              float slack, float least, int64_t from, int64_t n,
                              int64_t found, int64_t room)
{
    for (int64_t i = from; i < n; i++) {
        float most = a[i] + margin[i] * slack;

        if (most >= least && most > 0.0f) {
            if (found < room) {
                columns[found] = (int32_t)i;
            }
            found++;
        }
    }
    return found;
}

#if IL_HAS_AVX512
/* The same sixteen at a time: products and sums apart, as the plain loop has them. */
IL_AVX512
static int64_t at_least_wide(int32_t *columns, const float *a, const float *margin,
                             float slack, float least, int64_t n, int64_t room)
{
    const __m512 by = _mm512_set1_ps(slack);
    const __m512 low = _mm512_set1_ps(least);
    __m512i at =
        _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    int64_t found = 0;
    int64_t i = 0;

    for (; i + LANES <= n; i += LANES) {
        const __m512 most = _mm512_add_ps(
            _mm512_loadu_ps(a + i), _mm512_mul_ps(_mm512_loadu_ps(margin + i), by));
        __mmask16 some = _mm512_cmp_ps_mask(most, low, _CMP_GE_OQ) &
                         _mm512_cmp_ps_mask(most, _mm512_setzero_ps(), _CMP_GT_OQ);

        if (some != 0) {
            if (found + LANES <= room) {
                _mm512_mask_compressstoreu_epi32(columns + found, some, at);
                found += __builtin_popcount(some);
            } else {
                found = at_least_plain(columns, a, margin, slack, least, i, i + LANES,
                                       found, room);
            }
        }
        at = _mm512_add_epi32(at, _mm512_set1_epi32(LANES));
    }
    return at_least_plain(columns, a, margin, slack, least, i, n, found, room);
}
#endif

int64_t il_k_candidates_above(int32_t *columns, const float *a, const float *margin,
                              float slack, int64_t n, float least, int64_t room)
{
#if IL_HAS_AVX512
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")) {
        return at_least_wide(columns, a, margin, slack, least, n, room);
    }
#endif
    return at_least_plain(columns, a, margin, slack, least, 0, n, 0, room);
}

/* The maxima of 2k groups hold k numbers that are surely there, so the k-th of them is
 * no more than the k-th of all; what reaches it is little more than what is wanted, and
 * is looked at again. */
int64_t il_k_top_candidates(int32_t *columns, const float *a, const float *margin,
                            float slack, int64_t n, int64_t k, int64_t room,
                            float *scratch)
{
    int64_t groups = (2 * k + LANES - 1) / LANES * LANES;
    float least = -INFINITY;
    int64_t found;
    int64_t kept = 0;

    if (k >= n) {
        return il_k_candidates_above(columns, a, margin, slack, n, least, room);
    }
    if (groups <= n / 2) {
        group_most(scratch, groups, a, margin, slack, n);
        least = il_k_largest(scratch, groups, k);
    } else {
        for (int64_t i = 0; i < n; i++) {
            scratch[i] = a[i] - margin[i] * slack;
        }
        least = il_k_largest(scratch, n, k);
    }
    found = il_k_candidates_above(columns, a, margin, slack, n, least, room);
    if (found > room || found <= k || groups > n / 2) {
        return found;
    }
    for (int64_t i = 0; i < found; i++) {
        scratch[i] = a[columns[i]] - margin[columns[i]] * slack;
    }
    least = il_k_largest(scratch, found, k);
    for (int64_t i = 0; i < found; i++) {
        if (a[columns[i]] + margin[columns[i]] * slack >= least) {
            columns[kept++] = columns[i];
        }
    }
    return kept;
}

int64_t il_k_top_keep(float *v, int32_t *columns, int64_t n, int64_t k, float *scratch)
{
    float least = 0.0f;
    int64_t above = 0;
    int64_t kept = 0;
    int64_t equal;

    if (n > k) {
        memcpy(scratch, v, (size_t)n * sizeof *v);
        least = il_k_largest(scratch, n, k);
        least = least > 0.0f ? least : 0.0f;
    }
    for (int64_t i = 0; i < n; i++) {
        above += v[i] > least;
    }
    equal = least > 0.0f ? k - above : 0;
    for (int64_t i = 0; i < n; i++) {
        if (v[i] > least || (v[i] == least && equal-- > 0)) {
            v[kept] = v[i];
            columns[kept++] = columns[i];
        }
    }
    return kept;
}
