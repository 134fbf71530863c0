/* Scales of rows, and gates with straight-through gradients. */
#include "sae.h"

/* SAELens's, added to a deviation before it divides. */
#define LAYER_EPS 1e-5

/* What a row is divided by and, for layer norm, its mean. The deviation is Bessel's, as
 * PyTorch's std. */
static void row_scale(normalize how, const float *x, int64_t w, double *mean,
                      double *by)
{
    double sum = 0;
    double squares = 0;

    *mean = 0;
    if (how == LAYER_NORM) {
        for (int64_t c = 0; c < w; c++) {
            sum += (double)x[c];
        }
        *mean = sum / (double)w;
    }
    for (int64_t c = 0; c < w; c++) {
        double d = (double)x[c] - *mean;

        squares += d * d;
    }
    *by = how == LAYER_NORM ? sqrt(squares / (double)(w > 1 ? w - 1 : 1)) + LAYER_EPS
                            : sqrt(squares / (double)w);
}

/* How the divisor changes with each channel, d_c being the row less its mean. */
static double scale_slope(normalize how, double d, double by, int64_t w)
{
    return how == LAYER_NORM ? d / ((double)(w > 1 ? w - 1 : 1) *
                                    (by > LAYER_EPS ? by - LAYER_EPS : 1.0))
                             : d / ((double)w * by);
}

/* y = (x - mean) / by; rows of zeros stay. */
static void norm_forward(void *state, const il_tensor *const *in, il_tensor *out)
{
    normalize how = *(const normalize *)state;
    int64_t w = il_width(in[0]);

    for (int64_t r = 0; r < il_rows(in[0]); r++) {
        const float *x = il_f32(in[0]) + r * w;
        float *y = il_f32(out) + r * w;
        double mean;
        double by;

        row_scale(how, x, w, &mean, &by);
        for (int64_t c = 0; c < w; c++) {
            y[c] = by == 0.0 ? 0.0f : (float)(((double)x[c] - mean) / by);
        }
    }
}

/* dx = (dy - mean(dy) - y' sum(dy y)) / by, the mean for layer norm alone, y' being the
 * slope of `by`. */
static void norm_backward(const void *state, const il_tensor *const *in,
                          const il_tensor *out, const float *dout, float *const *din)
{
    normalize how = *(const normalize *)state;
    int64_t w = il_width(in[0]);

    for (int64_t r = 0; din[0] != NULL && r < il_rows(in[0]); r++) {
        const float *x = il_f32(in[0]) + r * w;
        const float *y = il_f32(out) + r * w;
        const float *dy = dout + r * w;
        double mean;
        double by;
        double sum = 0;
        double along = 0;

        row_scale(how, x, w, &mean, &by);
        for (int64_t c = 0; c < w; c++) {
            sum += (double)dy[c];
            along += (double)dy[c] * (double)y[c];
        }
        for (int64_t c = 0; by > 0.0 && c < w; c++) {
            double slope = scale_slope(how, (double)x[c] - mean, by, w);
            double common = how == LAYER_NORM ? sum / (double)w : 0.0;

            din[0][r * w + c] += (float)(((double)dy[c] - common - along * slope) / by);
        }
    }
}

/* y = a by(x) + mean(x): in[0] is a, in[1] x. */
static void unnorm_forward(void *state, const il_tensor *const *in, il_tensor *out)
{
    normalize how = *(const normalize *)state;
    int64_t w = il_width(in[1]);

    for (int64_t r = 0; r < il_rows(in[1]); r++) {
        double mean;
        double by;

        row_scale(how, il_f32(in[1]) + r * w, w, &mean, &by);
        for (int64_t c = 0; c < w; c++) {
            il_f32(out)[r * w + c] =
                (float)((double)il_f32(in[0])[r * w + c] * by + mean);
        }
    }
}

static void unnorm_backward(const void *state, const il_tensor *const *in,
                            const il_tensor *out, const float *dout, float *const *din)
{
    normalize how = *(const normalize *)state;
    int64_t w = il_width(in[1]);

    (void)out;
    for (int64_t r = 0; r < il_rows(in[1]); r++) {
        const float *a = il_f32(in[0]) + r * w;
        const float *x = il_f32(in[1]) + r * w;
        const float *dy = dout + r * w;
        double mean;
        double by;
        double sum = 0;
        double along = 0;

        row_scale(how, x, w, &mean, &by);
        for (int64_t c = 0; c < w; c++) {
            sum += (double)dy[c];
            along += (double)dy[c] * (double)a[c];
            if (din[0] != NULL) {
                din[0][r * w + c] += (float)((double)dy[c] * by);
            }
        }
        for (int64_t c = 0; din[1] != NULL && by > 0.0 && c < w; c++) {
            double slope = scale_slope(how, (double)x[c] - mean, by, w);

            din[1][r * w + c] +=
                (float)(along * slope + (how == LAYER_NORM ? sum / (double)w : 0.0));
        }
    }
}

static const il_custom norm = {sizeof(il_custom), "row scale", norm_forward,
                               norm_backward};
static const il_custom unnorm = {sizeof(il_custom), "row scale back", unnorm_forward,
                                 unnorm_backward};

il_tensor *sae_rows_in(const sae *s, il_pass *pass, il_tensor *x)
{
    normalize *how;

    if (s->normalize == NORMALIZE_NONE) {
        return x;
    }
    if (s->normalize == EXPECTED_AVERAGE) {
        return il_mul(pass, x, il_use(pass, s->scale));
    }
    how = il_pass_alloc(pass, sizeof *how);
    if (how != NULL) {
        *how = s->normalize;
    }
    return il_custom_op(pass, &norm, how, 1, &x, 2, x->shape);
}

/* y / scale, the scale being one number. */
static void shrink_forward(void *state, const il_tensor *const *in, il_tensor *out)
{
    (void)state;
    for (int64_t i = 0; i < il_count(out); i++) {
        il_f32(out)[i] = il_f32(in[0])[i] / il_f32(in[1])[0];
    }
}

static void shrink_backward(const void *state, const il_tensor *const *in,
                            const il_tensor *out, const float *dout, float *const *din)
{
    double along = 0;

    (void)state;
    for (int64_t i = 0; i < il_count(out); i++) {
        along += (double)dout[i] * (double)il_f32(out)[i];
        if (din[0] != NULL) {
            din[0][i] += dout[i] / il_f32(in[1])[0];
        }
    }
    if (din[1] != NULL) {
        din[1][0] -= (float)(along / (double)il_f32(in[1])[0]);
    }
}

static const il_custom shrink = {sizeof(il_custom), "scale back", shrink_forward,
                                 shrink_backward};

il_tensor *sae_rows_out(const sae *s, il_pass *pass, il_tensor *y, il_tensor *x)
{
    il_tensor *in[] = {y, x};
    normalize *how;

    if (s->normalize == NORMALIZE_NONE) {
        return y;
    }
    if (s->normalize == EXPECTED_AVERAGE) {
        in[1] = il_use(pass, s->scale);
        return il_custom_op(pass, &shrink, NULL, 2, in, 2, y->shape);
    }
    how = il_pass_alloc(pass, sizeof *how);
    if (how != NULL) {
        *how = s->normalize;
    }
    return il_custom_op(pass, &unnorm, how, 2, in, 2, y->shape);
}

/* ---- gates ---- */

static void above_forward(void *state, const il_tensor *const *in, il_tensor *out)
{
    int64_t w = il_width(in[0]);
    const float *t = il_f32(in[1]);

    (void)state;
    for (int64_t r = 0; r < il_rows(in[0]); r++) {
        const float *x = il_f32(in[0]) + r * w;
        float *y = il_f32(out) + r * w;

        for (int64_t c = 0; c < w; c++) {
            y[c] = x[c] <= t[c] ? 0.0f : x[c]; /* what is no number stays so */
        }
    }
}

/* Rajamanoharan et al. 2024, "Jumping ahead", eq. 11: d/dt = -t/eps K((x - t) / eps).
 */
static void above_backward(const void *state, const il_tensor *const *in,
                           const il_tensor *out, const float *dout, float *const *din)
{
    const float bandwidth = *(const float *)state;
    int64_t w = il_width(in[0]);
    const float *t = il_f32(in[1]);

    (void)out;
    for (int64_t r = 0; r < il_rows(in[0]); r++) {
        const float *x = il_f32(in[0]) + r * w;
        const float *dy = dout + r * w;

        for (int64_t c = 0; din[0] != NULL && c < w; c++) {
            din[0][r * w + c] += x[c] <= t[c] ? 0.0f : dy[c];
        }
        for (int64_t c = 0; bandwidth > 0 && din[1] != NULL && c < w; c++) {
            float z = (x[c] - t[c]) / bandwidth;

            din[1][c] -= z > -0.5f && z < 0.5f ? t[c] / bandwidth * dy[c] : 0.0f;
        }
    }
}

static void count_forward(void *state, const il_tensor *const *in, il_tensor *out)
{
    int64_t w = il_width(in[0]);
    const float *t = il_f32(in[1]);

    (void)state;
    for (int64_t r = 0; r < il_rows(in[0]); r++) {
        const float *x = il_f32(in[0]) + r * w;
        int64_t n = 0;

        for (int64_t c = 0; c < w; c++) {
            n += x[c] > t[c];
        }
        il_f32(out)[r] = (float)n;
    }
}

/* The same paper, eq. 12: d/dt = -1/eps K((x - t) / eps). */
static void count_backward(const void *state, const il_tensor *const *in,
                           const il_tensor *out, const float *dout, float *const *din)
{
    const float bandwidth = *(const float *)state;
    int64_t w = il_width(in[0]);
    const float *t = il_f32(in[1]);

    (void)out;
    for (int64_t r = 0; din[1] != NULL && r < il_rows(in[0]); r++) {
        const float *x = il_f32(in[0]) + r * w;

        for (int64_t c = 0; c < w; c++) {
            float z = (x[c] - t[c]) / bandwidth;

            din[1][c] -= z > -0.5f && z < 0.5f ? dout[r] / bandwidth : 0.0f;
        }
    }
}

static const il_custom above = {sizeof(il_custom), "above", above_forward,
                                above_backward};
static const il_custom count_above = {sizeof(il_custom), "count above", count_forward,
                                      count_backward};

static float *kept(il_pass *pass, float number)
{
    float *at = il_pass_alloc(pass, sizeof *at);

    if (at != NULL) {
        *at = number;
    }
    return at;
}

il_tensor *sae_above(il_pass *pass, il_tensor *pre, il_tensor *threshold,
                     float bandwidth)
{
    il_tensor *in[] = {pre, threshold};

    return il_custom_op(pass, &above, kept(pass, bandwidth), 2, in, 2, pre->shape);
}

il_tensor *sae_count_above(il_pass *pass, il_tensor *pre, il_tensor *threshold,
                           float bandwidth)
{
    il_tensor *in[] = {pre, threshold};

    return il_custom_op(pass, &count_above, kept(pass, bandwidth), 2, in, 1,
                        pre->shape);
}

static void open_forward(void *state, const il_tensor *const *in, il_tensor *out)
{
    (void)state;
    for (int64_t i = 0; i < il_count(out); i++) {
        il_f32(out)[i] = il_f32(in[1])[i] <= 0.0f ? 0.0f : il_f32(in[0])[i];
    }
}

static void open_backward(const void *state, const il_tensor *const *in,
                          const il_tensor *out, const float *dout, float *const *din)
{
    (void)state;
    for (int64_t i = 0; din[0] != NULL && i < il_count(out); i++) {
        din[0][i] += il_f32(in[1])[i] <= 0.0f ? 0.0f : dout[i];
    }
}

static const il_custom where_open = {sizeof(il_custom), "where open", open_forward,
                                     open_backward};

il_tensor *sae_where_open(il_pass *pass, il_tensor *x, il_tensor *open)
{
    il_tensor *in[] = {x, il_detach(pass, open)};

    return il_custom_op(pass, &where_open, NULL, 2, in, 2, x->shape);
}
