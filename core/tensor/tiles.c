/* Tiles of a product: see tiles.h. */
#include "tensor/tiles.h"

#include "base/compiler.h"

/* A panel of 32 KiB stays in the first cache while the rows of a go by. */
enum { TILE_M = 96, TILE_N = 64, TILE_K = 128, TURN = 16 };

/* Larger matrices are better packed by OpenBLAS; with few rows, a panel is not worth
 * its copy. */
static const double MOST = 1 << 26;
static const int64_t FEWEST = 32;

bool il_tiles_suit(int64_t m, int64_t n, int64_t k)
{
    return m >= FEWEST && n >= TURN && (double)m * (double)n * (double)k <= MOST;
}

/* to (k,n) = the transpose of b (n,k). Sixteen rows at a time, a number of each: that
 * becomes one gathering load and one store, a quarter of the time of plain loops. */
IL_CLONES
static void turn(float *restrict to, const float *restrict b, int64_t ldb, int64_t n,
                 int64_t k)
{
    int64_t j = 0;

    for (; j + TURN <= n; j += TURN) {
        for (int64_t l = 0; l < k; l++) {
            for (int x = 0; x < TURN; x++) {
                to[l * n + j + x] = b[(j + x) * ldb + l];
            }
        }
    }
    for (; j < n; j++) {
        for (int64_t l = 0; l < k; l++) {
            to[l * n + j] = b[j * ldb + l];
        }
    }
}

static int64_t part(int64_t whole, int64_t from, int64_t most)
{
    return whole - from < most ? whole - from : most;
}

void il_tiles_gemm(il_sgemm *gemm, bool ta, bool tb, int64_t m, int64_t n, int64_t k,
                   float alpha, const float *a, int64_t lda, const float *b,
                   int64_t ldb, float beta, float *c, int64_t ldc)
{
    float panel[TILE_N * TILE_K];

    for (int64_t j = 0; j < n; j += TILE_N) {
        int64_t wide = part(n, j, TILE_N);

        for (int64_t l = 0; l < k; l += TILE_K) {
            int64_t deep = part(k, l, TILE_K);
            const float *right = tb ? panel : b + l * ldb + j;
            int right_row = (int)(tb ? wide : ldb);

            if (tb) {
                turn(panel, b + j * ldb + l, ldb, wide, deep);
            }
            for (int64_t i = 0; i < m; i += TILE_M) {
                gemm(IL_ROW_MAJOR, ta ? IL_TRANSPOSED : IL_PLAIN, IL_PLAIN,
                     (int)part(m, i, TILE_M), (int)wide, (int)deep, alpha,
                     ta ? a + l * lda + i : a + i * lda + l, (int)lda, right, right_row,
                     l == 0 ? beta : 1.0f, c + i * ldc + j, (int)ldc);
            }
        }
    }
}
