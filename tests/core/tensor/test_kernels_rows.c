/* Kernels over rows: sums, norms, softmax and losses against plain double precision,
 * derivatives against central differences of the double twin, and bits that do not
 * depend on the neighbours. */
#include "tensor/kernels.h"
#include "tensor/optim.h"
#include "kernels_support.h"
#include <check.h>

enum { ROWS = 5, WIDE = 1100 };

static const int64_t widths[] = {1, 2, 7, 15, 16, 17, 33, 64, 65, 129, 527, 1100};
enum { WIDTHS = sizeof widths / sizeof widths[0] };

static void check_near(const char *what, int64_t w, const float *got,
                       const double *want, int64_t n, double tolerance)
{
    for (int64_t i = 0; i < n; i++) {
        double apart = fabs((double)got[i] - want[i]);

        ck_assert_msg(apart <= tolerance * (1 + fabs(want[i])),
                      "%s, width %d, number %d: %.9g, expected %.9g", what, (int)w,
                      (int)i, (double)got[i], want[i]);
    }
}

/* ---- the twins: one row in double */

typedef void row_twin(double *y, const double *x, const float *gain, const float *bias,
                      int64_t w);

static void twin_layer_norm(double *y, const double *x, const float *gain,
                            const float *bias, int64_t w)
{
    double mean = 0;
    double var = 0;

    for (int64_t j = 0; j < w; j++) {
        mean += x[j] / (double)w;
    }
    for (int64_t j = 0; j < w; j++) {
        var += (x[j] - mean) * (x[j] - mean) / (double)w;
    }
    for (int64_t j = 0; j < w; j++) {
        y[j] = (x[j] - mean) / sqrt(var + (double)1e-5f) *
                   (gain != NULL ? (double)gain[j] : 1) +
               (bias != NULL ? (double)bias[j] : 0);
    }
}

static void twin_rms_norm(double *y, const double *x, const float *gain,
                          const float *bias, int64_t w)
{
    double square = 0;

    (void)bias;
    for (int64_t j = 0; j < w; j++) {
        square += x[j] * x[j] / (double)w;
    }
    for (int64_t j = 0; j < w; j++) {
        y[j] =
            x[j] / sqrt(square + (double)1e-5f) * (gain != NULL ? (double)gain[j] : 1);
    }
}

static double log_sum_exp(const double *x, int64_t w)
{
    double max = x[0];
    double sum = 0;

    for (int64_t j = 1; j < w; j++) {
        max = x[j] > max ? x[j] : max;
    }
    for (int64_t j = 0; j < w; j++) {
        sum += exp(x[j] - max);
    }
    return max + log(sum);
}

static void twin_softmax(double *y, const double *x, const float *gain,
                         const float *bias, int64_t w)
{
    double log_sum = log_sum_exp(x, w);

    (void)gain;
    (void)bias;
    for (int64_t j = 0; j < w; j++) {
        y[j] = exp(x[j] - log_sum);
    }
}

static void twin_log_softmax(double *y, const double *x, const float *gain,
                             const float *bias, int64_t w)
{
    double log_sum = log_sum_exp(x, w);

    (void)gain;
    (void)bias;
    for (int64_t j = 0; j < w; j++) {
        y[j] = x[j] - log_sum;
    }
}

/* ---- the kernels under one signature */

typedef struct row_case {
    const char *name;
    row_twin *twin;
    bool gain, bias;
} row_case;

static const row_case cases[] = {
    {"layer norm", twin_layer_norm, true, true},
    {"layer norm without bias", twin_layer_norm, true, false},
    {"layer norm without gain", twin_layer_norm, false, true},
    {"plain layer norm", twin_layer_norm, false, false},
    {"rms norm", twin_rms_norm, true, false},
    {"plain rms norm", twin_rms_norm, false, false},
    {"softmax", twin_softmax, false, false},
    {"log softmax", twin_log_softmax, false, false},
};
enum { CASES = sizeof cases / sizeof cases[0] };

/* kept (2 rows) holds mean and rstd. */
static void run_forward(const row_case *c, float *y, float *kept, const float *x,
                        const float *gain, const float *bias, int64_t rows, int64_t w)
{
    gain = c->gain ? gain : NULL;
    bias = c->bias ? bias : NULL;
    if (c->twin == twin_layer_norm) {
        il_k_layer_norm_forward(y, kept, kept + rows, x, gain, bias, rows, w, 1e-5f);
    } else if (c->twin == twin_rms_norm) {
        il_k_rms_norm_forward(y, kept + rows, x, gain, rows, w, 1e-5f);
    } else if (c->twin == twin_softmax) {
        il_k_softmax_rows(y, x, rows, w);
    } else {
        il_k_log_softmax_rows(y, x, rows, w);
    }
}

static void run_backward(const row_case *c, float *dx, float *dgain, float *dbias,
                         const float *dy, const float *x, const float *y,
                         const float *kept, const float *gain, int64_t rows, int64_t w)
{
    gain = c->gain ? gain : NULL;
    if (c->twin == twin_layer_norm) {
        il_k_layer_norm_backward(dx, c->gain ? dgain : NULL, c->bias ? dbias : NULL, dy,
                                 x, kept, kept + rows, gain, rows, w);
    } else if (c->twin == twin_rms_norm) {
        il_k_rms_norm_backward(dx, c->gain ? dgain : NULL, dy, x, kept + rows, gain,
                               rows, w);
    } else if (c->twin == twin_softmax) {
        il_k_softmax_backward(dx, dy, y, rows, w);
    } else {
        il_k_log_softmax_backward(dx, dy, y, rows, w);
    }
}

typedef struct row_data {
    float x[ROWS * WIDE], y[ROWS * WIDE], dy[ROWS * WIDE], dx[ROWS * WIDE];
    float gain[WIDE], bias[WIDE], dgain[WIDE], dbias[WIDE], kept[2 * ROWS];
    double in[WIDE], out[WIDE], up[WIDE], down[WIDE], want[ROWS * WIDE];
} row_data;

static row_data *row_data_draw(int64_t w)
{
    row_data *d = calloc(1, sizeof *d);

    ck_assert_ptr_nonnull(d);
    draw_floats(d->x, ROWS * w, 21, -3, 3);
    draw_floats(d->dy, ROWS * w, 22, -1, 1);
    draw_floats(d->gain, w, 23, 0.5, 1.5);
    draw_floats(d->bias, w, 24, -1, 1);
    return d;
}

START_TEST(rows_agree_with_double_precision)
{
    for (int k = 0; k < WIDTHS; k++) {
        int64_t w = widths[k];
        row_data *d = row_data_draw(w);

        for (int c = 0; c < CASES; c++) {
            for (int64_t r = 0; r < ROWS; r++) {
                for (int64_t j = 0; j < w; j++) {
                    d->in[j] = (double)d->x[r * w + j];
                }
                cases[c].twin(&d->want[r * w], d->in, cases[c].gain ? d->gain : NULL,
                              cases[c].bias ? d->bias : NULL, w);
            }
            run_forward(&cases[c], d->y, d->kept, d->x, d->gain, d->bias, ROWS, w);
            check_near(cases[c].name, w, d->y, d->want, ROWS * w, 2e-6);
        }
        free(d);
    }
}
END_TEST

START_TEST(row_gradients_agree_with_central_differences)
{
    const double step = 1e-5;

    for (int k = 0; k < WIDTHS && widths[k] <= 129; k++) {
        int64_t w = widths[k];
        row_data *d = row_data_draw(w);

        for (int c = 0; c < CASES; c++) {
            const float *gain = cases[c].gain ? d->gain : NULL;
            const float *bias = cases[c].bias ? d->bias : NULL;

            /* a width of one has no variance, and a slope that only eps makes finite */
            if (w == 1 && cases[c].twin == twin_layer_norm) {
                continue;
            }
            for (int64_t i = 0; i < ROWS * w; i++) {
                d->dx[i] = 1;
            }
            run_forward(&cases[c], d->y, d->kept, d->x, d->gain, d->bias, ROWS, w);
            run_backward(&cases[c], d->dx, d->dgain, d->dbias, d->dy, d->x, d->y,
                         d->kept, d->gain, ROWS, w);
            for (int64_t r = 0; r < ROWS; r++) {
                for (int64_t j = 0; j < w; j++) {
                    d->in[j] = (double)d->x[r * w + j];
                }
                for (int64_t j = 0; j < w; j++) {
                    double x = d->in[j];
                    double slope = 0;

                    d->in[j] = x + step;
                    cases[c].twin(d->up, d->in, gain, bias, w);
                    d->in[j] = x - step;
                    cases[c].twin(d->down, d->in, gain, bias, w);
                    d->in[j] = x;
                    for (int64_t i = 0; i < w; i++) {
                        slope += (double)d->dy[r * w + i] * (d->up[i] - d->down[i]) /
                                 (2 * step);
                    }
                    d->want[r * w + j] = 1 + slope;
                }
            }
            check_near(cases[c].name, w, d->dx, d->want, ROWS * w, 1e-5);
        }
        free(d);
    }
}
END_TEST

START_TEST(norms_give_gain_and_bias_their_gradients)
{
    const int64_t w = 129;
    row_data *d = row_data_draw(w);
    double dgain[129];
    double dbias[129];

    for (int c = 0; c < 2; c++) {
        const row_case *norm = &cases[c == 0 ? 0 : 4];

        for (int64_t j = 0; j < w; j++) {
            dgain[j] = dbias[j] = 2;
            d->dgain[j] = d->dbias[j] = 2;
        }
        for (int64_t r = 0; r < ROWS; r++) {
            for (int64_t j = 0; j < w; j++) {
                d->in[j] = (double)d->x[r * w + j];
            }
            norm->twin(d->out, d->in, NULL, NULL, w);
            for (int64_t j = 0; j < w; j++) {
                dgain[j] += (double)d->dy[r * w + j] * d->out[j];
                dbias[j] += (double)d->dy[r * w + j];
            }
        }
        run_forward(norm, d->y, d->kept, d->x, d->gain, d->bias, ROWS, w);
        /* without dx, which may be NULL */
        run_backward(norm, NULL, d->dgain, d->dbias, d->dy, d->x, d->y, d->kept,
                     d->gain, ROWS, w);
        check_near("dgain", w, d->dgain, dgain, w, 2e-6);
        if (norm->bias) {
            check_near("dbias", w, d->dbias, dbias, w, 2e-6);
        }
    }
    free(d);
}
END_TEST

START_TEST(a_row_has_the_same_bits_alone_and_in_place)
{
    for (int k = 0; k < WIDTHS; k++) {
        int64_t w = widths[k];
        row_data *d = row_data_draw(w);
        float *alone = floats(w);

        for (int c = 0; c < CASES; c++) {
            run_forward(&cases[c], d->y, d->kept, d->x, d->gain, d->bias, ROWS, w);
            for (int64_t r = 0; r < ROWS; r++) {
                float kept[2];

                memcpy(alone, d->x + r * w, (size_t)w * sizeof *alone);
                run_forward(&cases[c], alone, kept, alone, d->gain, d->bias, 1, w);
                ck_assert_msg(same_bits(alone, d->y + r * w, w), "%s, width %d, row %d",
                              cases[c].name, (int)w, (int)r);
            }
        }
        free(alone);
        free(d);
    }
}
END_TEST

START_TEST(nan_fills_its_row_and_no_other)
{
    const int64_t w = 33;
    row_data *d = row_data_draw(w);

    d->x[2 * w + 20] = NAN;
    for (int c = 0; c < CASES; c++) {
        run_forward(&cases[c], d->y, d->kept, d->x, d->gain, d->bias, ROWS, w);
        for (int64_t i = 0; i < ROWS * w; i++) {
            ck_assert_msg(!isnan(d->y[i]) == (i / w != 2), "%s at %d: %g",
                          cases[c].name, (int)i, (double)d->y[i]);
        }
    }
    free(d);
}
END_TEST

START_TEST(softmax_survives_what_would_overflow)
{
    float x[4] = {3e38f, -3e38f, 3e38f, -INFINITY};
    float y[4];

    il_k_softmax_rows(y, x, 1, 4);
    ck_assert(y[0] == 0.5f && y[1] == 0 && y[2] == 0.5f && y[3] == 0);
    il_k_log_softmax_rows(y, x, 1, 4);
    ck_assert(isinf(y[3]) && y[3] < 0 && y[0] == y[2]);
    for (int i = 0; i < 4; i++) {
        x[i] = -INFINITY;
    }
    il_k_softmax_rows(y, x, 1, 4);
    ck_assert(isnan(y[0]) && isnan(y[3]));
}
END_TEST

START_TEST(causal_softmax_is_softmax_to_the_diagonal)
{
    enum { T = 37 };
    const float scale = 0.125f;
    float scores[T * T];
    float p[T * T];
    float dp[T * T];

    draw_floats(scores, T * T, 9, -20, 20);
    draw_floats(dp, T * T, 10, -1, 1);
    for (int i = 0; i < T; i++) {
        for (int j = i + 1; j < T; j++) {
            scores[i * T + j] = NAN; /* neither read nor kept */
            dp[i * T + j] = NAN;
        }
    }
    memcpy(p, scores, sizeof p);
    il_k_causal_softmax(p, T, scale);
    for (int i = 0; i < T; i++) {
        float row[T];
        float want[T] = {0};
        float slope[T] = {0};

        /* the scale is a power of two, so scaling first changes no bit */
        for (int j = 0; j <= i; j++) {
            row[j] = scale * scores[i * T + j];
        }
        il_k_softmax_rows(want, row, 1, i + 1);
        ck_assert_msg(same_bits(&p[i * T], want, T), "row %d", i);
        il_k_softmax_backward(slope, &dp[i * T], want, 1, i + 1);
        for (int j = 0; j < T; j++) {
            scores[i * T + j] = scale * slope[j];
        }
    }
    il_k_causal_softmax_backward(dp, p, T, scale);
    for (int i = 0; i < T * T; i++) {
        ck_assert_msg(dp[i] == scores[i], "gradient %d: %g, expected %g", i,
                      (double)dp[i], (double)scores[i]);
    }
}
END_TEST

START_TEST(cross_entropy_and_its_gradient_agree_with_double_precision)
{
    for (int k = 0; k < WIDTHS; k++) {
        int64_t v = widths[k];
        row_data *d = row_data_draw(v);
        const int32_t targets[ROWS] = {0, (int32_t)v - 1, -1, (int32_t)v / 2, -100};
        const float drow[ROWS] = {1, -0.5f, 3, 0.25f, NAN};
        float loss[ROWS];
        float lean[ROWS];
        double want[ROWS] = {0};
        float *prob = d->y;

        for (int r = 0; r < ROWS; r++) {
            if (targets[r] < 0) {
                continue;
            }
            for (int64_t j = 0; j < v; j++) {
                d->in[j] = (double)d->x[r * v + j];
            }
            want[r] = log_sum_exp(d->in, v) - d->in[targets[r]];
            twin_softmax(d->out, d->in, NULL, NULL, v);
            for (int64_t j = 0; j < v; j++) {
                d->want[r * v + j] = (d->out[j] - (j == targets[r])) * (double)drow[r];
            }
        }
        il_k_cross_entropy_rows(lean, NULL, d->x, targets, ROWS, v);
        il_k_cross_entropy_rows(loss, prob, d->x, targets, ROWS, v);
        check_near("loss", v, loss, want, ROWS, 1e-6);
        ck_assert_msg(same_bits(loss, lean, ROWS), "width %d without prob", (int)v);
        il_k_cross_entropy_backward(d->dx, prob, targets, drow, ROWS, v);
        il_k_cross_entropy_grad(prob, prob, targets, drow, ROWS, v);
        check_near("gradient", v, prob, d->want, ROWS * v, 1e-6);
        for (int64_t i = 0; i < ROWS * v; i++) {
            ck_assert_msg(d->dx[i] == prob[i], "added %d of width %d", (int)i, (int)v);
        }
        /* the probabilities may take the place of the logits */
        il_k_cross_entropy_rows(lean, d->x, d->x, targets, ROWS, v);
        ck_assert(same_bits(loss, lean, ROWS));
        free(d);
    }
}
END_TEST

START_TEST(binary_cross_entropy_agrees_with_double_precision)
{
    const float x[] = {0, 1, -1, 30, -30, 100, -100, 0.001f, 5, 100, -100};
    const float t[] = {0.5f, 1, 0, 1, 1, 1, 0, 0.25f, 0.9f, 0, 1};
    enum { N = sizeof x / sizeof x[0] };
    float ones[N];
    float loss[N];
    float dx[N] = {0};

    for (int i = 0; i < N; i++) {
        ones[i] = 1;
    }
    il_k_bce_rows(loss, x, t, N);
    il_k_bce_backward(dx, ones, x, t, N);
    for (int i = 0; i < N; i++) {
        double p = 1 / (1 + exp(-(double)x[i]));
        double want = (double)t[i] * log1p(exp(-(double)x[i])) +
                      (1 - (double)t[i]) * log1p(exp((double)x[i]));

        ck_assert_msg(ulps_apart(loss[i], want) <= 6, "loss at %g: %.9g, expected %.9g",
                      (double)x[i], (double)loss[i], want);
        ck_assert_msg(fabs((double)dx[i] - (p - (double)t[i])) <= 2e-7, "slope at %g",
                      (double)x[i]);
    }
}
END_TEST

START_TEST(sums_agree_with_double_precision)
{
    enum { N = 1000, ODD = 333, W = 77 };
    float *x = floats(ODD * W);
    float *a = floats(ODD * W);
    float got[ODD];
    double want[ODD] = {0};
    double sum = 0;
    double dot = 0;

    draw_floats(x, ODD * W, 31, -1, 3);
    draw_floats(a, ODD * W, 32, -1, 1);
    for (int i = 0; i < N + 7; i++) {
        sum += (double)x[i];
        dot += (double)x[i] * (double)a[i];
    }
    ck_assert_double_eq_tol(il_k_sum(x, N + 7), sum, 1e-11);
    ck_assert_double_eq_tol(il_k_dot(x, a, N + 7), dot, 1e-11);
    ck_assert_double_eq(il_sum_squares(N, x), il_k_dot(x, x, N));
    ck_assert_double_eq(il_k_sum(x, 0), 0);
    for (int r = 0; r < ODD; r++) {
        want[r] = 0;
        for (int j = 0; j < W; j++) {
            want[r] += (double)x[r * W + j];
        }
    }
    il_k_row_sum(got, x, ODD, W);
    check_near("row sum", W, got, want, ODD, 1e-6);
    for (int op = 0; op < 3; op++) {
        for (int j = 0; j < W; j++) {
            got[j] = 1;
            want[j] = 1;
            for (int r = 0; r < ODD; r++) {
                double term = (double)x[r * W + j];

                want[j] += op == 0   ? term
                           : op == 1 ? -2 * term
                                     : term * (double)a[r * W + j];
            }
        }
        if (op == 0) {
            il_k_col_sum(got, x, ODD, W);
        } else if (op == 1) {
            il_k_col_axpy(got, -2, x, ODD, W);
        } else {
            il_k_col_dot(got, x, a, ODD, W);
        }
        check_near("column sum", W, got, want, W, 1e-5);
    }
    got[0] = 0;
    il_k_col_sum(got, x, N, 1);
    ck_assert_float_eq(got[0], (float)il_k_sum(x, N));
    got[0] = 0;
    il_k_col_dot(got, x, a, N, 1);
    ck_assert_float_eq(got[0], (float)il_k_dot(x, a, N));
    free(x);
    free(a);
}
END_TEST

/* The order a sum promises, spelled out a second time. */
START_TEST(a_row_sum_goes_by_sixteen_lanes_and_a_tree)
{
    float x[67];

    draw_floats(x, 67, 17, -1e3, 1e3);
    for (int n = 0; n <= 67; n++) {
        float lanes[16] = {0};
        float got = -1;
        float want;

        for (int i = 0; i < n; i++) {
            lanes[i % 16] += x[i];
        }
        for (int i = 0; i < 8; i++) {
            lanes[i] += lanes[i + 8];
        }
        want = ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) +
               ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
        il_k_row_sum(&got, x, 1, n);
        ck_assert_msg(same_bits(&got, &want, 1), "%d numbers: %.9g, expected %.9g", n,
                      (double)got, (double)want);
    }
}
END_TEST

START_TEST(a_column_sum_does_not_depend_on_the_other_columns)
{
    enum { R = 150, W = 131 };
    float *x = floats(R * W);
    float all[W] = {0};

    draw_floats(x, R * W, 41, -1, 1);
    il_k_col_sum(all, x, R, W);
    for (int j = 0; j + 1 < W; j += 13) {
        float two[2 * R];
        float got[2] = {0};

        for (int r = 0; r < R; r++) {
            two[2 * r] = x[r * W + j];
            two[2 * r + 1] = x[r * W + j + 1];
        }
        il_k_col_sum(got, two, R, 2);
        ck_assert_msg(same_bits(got, &all[j], 2), "columns from %d", j);
    }
    free(x);
}
END_TEST

typedef void arithmetic(float *y, const float *a, const float *b, int64_t rows,
                        int64_t w);

static float arithmetic_twin(int op, float y, float a, float b)
{
    return op == 0 ? a + b : op == 1 ? a - b : op == 2 ? a * b : y + a * b;
}

START_TEST(arithmetic_broadcasts_a_row_and_a_number)
{
    static arithmetic *const ops[] = {il_k_add, il_k_sub, il_k_mul, il_k_mul_add};
    static const int64_t shapes[] = {1, 3, 63}; /* rows of 63 numbers */
    enum { N = 63 };
    float a[N];
    float b[N];
    float before[N];
    float y[N];

    draw_floats(a, N, 51, -1, 1);
    draw_floats(b, N, 52, -1, 1);
    draw_floats(before, N, 53, -1, 1);
    for (int op = 0; op < 4; op++) {
        for (int shape = 0; shape < 3; shape++) {
            int64_t w = N / shapes[shape];

            memcpy(y, before, sizeof y);
            ops[op](y, a, b, shapes[shape], w);
            for (int i = 0; i < N; i++) {
                float want = arithmetic_twin(op, before[i], a[i], b[i % w]);

                ck_assert_msg(same_bits(&y[i], &want, 1), "op %d, rows of %d, at %d",
                              op, (int)w, i);
            }
        }
    }
}
END_TEST

START_TEST(rows_are_filled_gathered_and_scattered)
{
    const float b[3] = {1, 2, 3};
    const int32_t rows[4] = {2, 0, 2, 1};
    float y[12];
    float back[9] = {0};
    float x[9];

    il_k_bias_rows(y, b, 2, 3);
    ck_assert(same_bits(y, b, 3) && same_bits(y + 3, b, 3));
    il_k_bias_rows(y, NULL, 1, 3);
    ck_assert(y[0] == 0 && y[2] == 0 && y[3] == 1);
    draw_floats(x, 9, 61, -1, 1);
    il_k_gather_rows(y, x, rows, 4, 3);
    for (int i = 0; i < 4; i++) {
        ck_assert_msg(same_bits(&y[i * 3], &x[rows[i] * 3], 3), "row %d", i);
    }
    il_k_scatter_rows(back, y, rows, 4, 3);
    for (int i = 0; i < 9; i++) {
        float want = i / 3 == 2 ? x[i] + x[i] : x[i];

        ck_assert_msg(back[i] == want, "scattered %d", i);
    }
    il_k_row_spread(back, b, 3, 3);
    ck_assert(back[8] == x[8] + x[8] + 3 && back[0] == x[0] + 1);
    il_k_affine(y, x, 2, 0.5f, 9);
    ck_assert(y[8] == 2 * x[8] + 0.5f);
    il_k_axpy(y, -2, x, 9);
    ck_assert_float_eq_tol(y[8], 0.5f, 1e-6f);
}
END_TEST

START_TEST(sums_over_many_rows_are_in_double)
{
    enum { N = 1003 };
    float *x = floats(N);
    double w[N];
    double y[N];
    double dot = 0;

    draw_floats(x, N, 33, -1, 3);
    for (int i = 0; i < N; i++) {
        w[i] = 1.0 / (3 + i);
        y[i] = 1.0 / (7 + i);
        dot += w[i] * (double)x[i];
    }
    ck_assert_double_eq_tol(il_k_dot_double(w, x, N), dot, 1e-13);
    il_k_axpy_double(y, 1.0 / 3, x, N);
    for (int i = 0; i < N; i++) {
        ck_assert(y[i] == 1.0 / (7 + i) + 1.0 / 3 * (double)x[i]);
    }
    free(x);
}
END_TEST

/* Rows of up to sixteen go another way than longer ones, so one that ends in nothing
 * shows whether both ways add alike. */
START_TEST(a_short_row_has_the_bits_of_a_long_one_that_ends_in_nothing)
{
    enum { MANY = 21, LONG = 17 };
    float x[MANY * LONG];
    float y[2][MANY];
    float scale[2][2 * MANY];
    float grad[2][MANY * LONG];
    float dy[MANY];
    int32_t targets[MANY];

    draw_floats(dy, MANY, 5, -1, 1);
    for (int w = 1; w < LONG; w++) {
        float padded[MANY * LONG];

        draw_floats(x, MANY * w, 40 + (uint64_t)w, -8, 8);
        for (int i = 0; i < MANY * LONG; i++) {
            padded[i] = i % LONG < w ? x[i / LONG * w + i % LONG] : -INFINITY;
        }
        for (int i = 0; i < MANY; i++) {
            targets[i] = i % (w + 1) - 1;
        }
        il_k_cross_entropy_rows(y[0], grad[0], x, targets, MANY, w);
        il_k_cross_entropy_rows(y[1], grad[1], padded, targets, MANY, LONG);
        ck_assert_msg(same_bits(y[0], y[1], MANY), "cross-entropy of %d", w);
        for (int i = 0; i < MANY * w; i++) {
            ck_assert(same_bits(&grad[0][i], &grad[1][i / w * LONG + i % w], 1));
        }
        il_k_entropy_rows(y[0], scale[0], x, MANY, w);
        il_k_entropy_rows(y[1], scale[1], padded, MANY, LONG);
        ck_assert_msg(same_bits(y[0], y[1], MANY), "entropy of %d", w);
        memset(grad, 0, sizeof grad);
        il_k_entropy_backward(grad[0], dy, y[0], scale[0], x, MANY, w);
        il_k_entropy_backward(grad[1], dy, y[1], scale[1], padded, MANY, LONG);
        for (int i = 0; i < MANY * w; i++) {
            ck_assert(same_bits(&grad[0][i], &grad[1][i / w * LONG + i % w], 1));
        }
        for (int i = 0; i < MANY * LONG; i++) {
            padded[i] = i % LONG < w ? padded[i] : 0.0f;
        }
        il_k_row_sum(y[0], x, MANY, w);
        il_k_row_sum(y[1], padded, MANY, LONG);
        ck_assert_msg(same_bits(y[0], y[1], MANY), "sum of %d", w);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kernels_rows");
    TCase *tests = tcase_create("kernels_rows");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, rows_agree_with_double_precision);
    tcase_add_test(tests, row_gradients_agree_with_central_differences);
    tcase_add_test(tests, norms_give_gain_and_bias_their_gradients);
    tcase_add_test(tests, a_row_has_the_same_bits_alone_and_in_place);
    tcase_add_test(tests, nan_fills_its_row_and_no_other);
    tcase_add_test(tests, softmax_survives_what_would_overflow);
    tcase_add_test(tests, causal_softmax_is_softmax_to_the_diagonal);
    tcase_add_test(tests, cross_entropy_and_its_gradient_agree_with_double_precision);
    tcase_add_test(tests, binary_cross_entropy_agrees_with_double_precision);
    tcase_add_test(tests, sums_agree_with_double_precision);
    tcase_add_test(tests, a_row_sum_goes_by_sixteen_lanes_and_a_tree);
    tcase_add_test(tests, a_column_sum_does_not_depend_on_the_other_columns);
    tcase_add_test(tests, arithmetic_broadcasts_a_row_and_a_number);
    tcase_add_test(tests, rows_are_filled_gathered_and_scattered);
    tcase_add_test(tests, sums_over_many_rows_are_in_double);
    tcase_add_test(tests, a_short_row_has_the_bits_of_a_long_one_that_ends_in_nothing);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
