/* The difference of the class means as a direction, with the bias at the midpoint. */
#include "../moments.h"

typedef struct probe {
    il_param weight; /* (1,W) */
    il_param bias;   /* (1) */
} probe;

/* [setup] */
static il_status probe_create(const il_setup *s, void **self, il_error *err)
{
    probe *p = il_setup_new(s, sizeof *p);

    if (p == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "mean_difference", "out of memory");
    }
    IL_TRY(il_setup_param(s, &p->weight, "weight", IL_SHAPE(1, moments_width(s)),
                          IL_INIT_ZERO, err));
    IL_TRY(il_setup_param(s, &p->bias, "bias", IL_SHAPE(1), IL_INIT_ZERO, err));
    *self = p;
    return IL_OK;
}

/* w = m1 - m0, b = -w . (m1 + m0) / 2: the logit is half the difference of the squared
 * distances to the two means. [work] */
static il_status probe_fit(const void *self, const il_fitting *f, il_error *err)
{
    const probe *p = self;
    size_t bytes = (size_t)f->width * sizeof(double);
    double *means[2] = {malloc(bytes + 1), malloc(bytes + 1)};
    float *weight = f->values[p->weight.id];
    il_status status = IL_OK;
    double bias = 0;
    bool apart = false;

    if (means[0] == NULL || means[1] == NULL) {
        status = il_error_set(err, IL_ERR_MEMORY, "mean_difference", "out of memory");
        goto out;
    }
    (void)moments_mean(means[0], f, MOMENTS_NEGATIVE);
    (void)moments_mean(means[1], f, MOMENTS_POSITIVE);
    for (int64_t c = 0; c < f->width; c++) {
        double w = means[1][c] - means[0][c];

        apart = apart || w != 0;
        bias -= 0.5 * w * (means[1][c] + means[0][c]);
        weight[c] = (float)w;
    }
    f->values[p->bias.id][0] = (float)bias;
    if (!apart) {
        status = il_error_set(err, IL_ERR_NUMERIC, "mean_difference",
                              "both classes have the same mean, which leaves no "
                              "direction between them");
    }
out:
    free(means[0]);
    free(means[1]);
    return status;
}

/* d m1 = dw - m1 db, d m0 = m0 db - dw, and every row moves its mean by one part in the
 * class's rows. [work] */
static il_status probe_fit_backward(const void *self, const il_fitting *f,
                                    const double *const *slopes, double *dx,
                                    il_error *err)
{
    const probe *p = self;
    const double *weight = slopes[p->weight.id];
    double bias = slopes[p->bias.id] != NULL ? slopes[p->bias.id][0] : 0;
    size_t bytes = (size_t)f->width * sizeof(double);
    double *means[2] = {malloc(bytes + 1), malloc(bytes + 1)};
    il_status status = IL_OK;
    int64_t n[2];

    if (means[0] == NULL || means[1] == NULL) {
        status = il_error_set(err, IL_ERR_MEMORY, "mean_difference", "out of memory");
        goto out;
    }
    n[0] = moments_mean(means[0], f, MOMENTS_NEGATIVE);
    n[1] = moments_mean(means[1], f, MOMENTS_POSITIVE);
    for (int64_t i = 0; i < f->rows; i++) {
        int k = f->labels[i];
        double sign = k == 1 ? 1.0 : -1.0;

        for (int64_t c = 0; c < f->width; c++) {
            dx[i * f->width + c] +=
                sign * ((weight != NULL ? weight[c] : 0) - bias * means[k][c]) /
                (double)n[k];
        }
    }
out:
    free(means[0]);
    free(means[1]);
    return status;
}

/* (N,width_i) of every site -> (N,1) logits. [work] */
static il_tensor *probe_score(const void *self, il_pass *pass, const il_reading *r)
{
    const probe *p = self;

    return il_linear(pass, moments_joined(pass, r), il_use(pass, p->weight),
                     il_use(pass, p->bias));
}

static void probe_linear(const void *self, il_param *weight, il_param *bias)
{
    const probe *p = self;

    *weight = p->weight;
    *bias = p->bias;
}

static const il_detector_api api = {.struct_size = sizeof(il_detector_api),
                                    .reads = IL_READS_ROWS,
                                    .create = probe_create,
                                    .score = probe_score,
                                    .linear = probe_linear,
                                    .fit = probe_fit,
                                    .fit_backward = probe_fit_backward};

IL_PLUGIN("interloop", "1.0.0", "MIT", "The Interloop authors",
          "difference of the class means on the activations of one or more sites",
          IL_DETECTOR("mean_difference", "from one class mean towards the other", &api,
                      IL_NO_PARAMS))
