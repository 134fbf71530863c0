/* Sums over everything, over rows and over columns. */
#include "tensor/kernels.h"
#include "tensor/kernels_columns.h"
#include "tensor/kernels_lanes.h"
#include "tensor/kernels_narrow.h"
#include "tensor/optim.h"

IL_CLONES
double il_k_sum(const float *x, int64_t n)
{
    double lanes[LANES] = {0};

    LANES_ADD(lanes, n, i, (double)x[i]);
    return lanes_sum_double(lanes);
}

IL_CLONES
double il_k_dot(const float *a, const float *b, int64_t n)
{
    double lanes[LANES] = {0};

    LANES_ADD(lanes, n, i, (double)a[i] * (double)b[i]);
    return lanes_sum_double(lanes);
}

IL_CLONES
double il_k_dot_double(const double *a, const float *b, int64_t n)
{
    double lanes[LANES] = {0};

    LANES_ADD(lanes, n, i, a[i] * (double)b[i]);
    return lanes_sum_double(lanes);
}

double il_sum_squares(int64_t n, const float *x)
{
    return il_k_dot(x, x, n);
}

IL_CLONES
void il_k_row_sum(float *y, const float *x, int64_t rows, int64_t w)
{
    for (int64_t r = 0; w > 0 && w <= LANES && r < rows; r += LANES) {
        const int64_t n = narrow_rows(rows - r);
        float sum[LANES];
        narrow t;

        narrow_load(&t, x + r * w, n, w);
        narrow_sum(sum, &t, w);
        memcpy(y + r, sum, (size_t)n * sizeof *y);
    }
    if (w > 0 && w <= LANES) {
        return;
    }
    for (int64_t r = 0; r < rows; r++) {
        y[r] = row_sum(x + r * w, w);
    }
}

IL_CLONES
void il_k_row_spread(float *dx, const float *dy, int64_t rows, int64_t w)
{
    for (int64_t r = 0; r < rows; r++) {
        float d = dy[r];

        for (int64_t j = 0; j < w; j++) {
            dx[r * w + j] += d;
        }
    }
}

void il_k_col_sum(float *db, const float *dy, int64_t rows, int64_t w)
{
    il_k_col_axpy(db, 1.0f, dy, rows, w);
}

IL_CLONES
void il_k_col_axpy(float *db, float alpha, const float *dy, int64_t rows, int64_t w)
{
    if (w == 1) {
        /* one column is a row */
        db[0] += alpha * (float)il_k_sum(dy, rows);
        return;
    }
    COLUMNS_ADD(db, alpha, rows, w, r, j, dy[r * w + j])
}

IL_CLONES
void il_k_col_dot(float *db, const float *dy, const float *a, int64_t rows, int64_t w)
{
    if (w == 1) {
        db[0] += (float)il_k_dot(dy, a, rows);
        return;
    }
    COLUMNS_ADD(db, 1.0f, rows, w, r, j, dy[r * w + j] * a[r * w + j])
}
