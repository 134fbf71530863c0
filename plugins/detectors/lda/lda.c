/* Linear discriminant analysis: two Gaussians with one covariance, shrunk. */
#include "../moments.h"

typedef struct probe {
    il_param weight; /* (1,W) */
    il_param bias;   /* (1) */
    moments_shrinkage shrinkage;
    double amount;
} probe;

static const il_param_spec params[] = {MOMENTS_PARAMS};

/* [setup] */
static il_status probe_create(const il_setup *s, void **self, il_error *err)
{
    probe *p = il_setup_new(s, sizeof *p);

    if (p == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "lda", "out of memory");
    }
    p->shrinkage = moments_shrinkage_of(s);
    p->amount = il_setup_real(s, "amount");
    IL_TRY(il_setup_param(s, &p->weight, "weight", IL_SHAPE(1, moments_width(s)),
                          IL_INIT_ZERO, err));
    IL_TRY(il_setup_param(s, &p->bias, "bias", IL_SHAPE(1), IL_INIT_ZERO, err));
    *self = p;
    return IL_OK;
}

/* ---- the fit -------------------------------------------------------------------- */

typedef struct solver {
    double *mean[2]; /* (W) of each class */
    double *scale;   /* (W) standard deviations of a class */
    double *inverse; /* (W) of those */
    double *within;  /* (W,W) the classes' covariances, weighed by their rows */
    double *cov;     /* (W,W) one class's */
    double *w;       /* (W) */
} solver;

static bool solver_open(solver *v, int64_t width)
{
    size_t vector = (size_t)width * sizeof(double) + 1;
    size_t matrix = (size_t)(width * width) * sizeof(double) + 1;

    v->mean[0] = malloc(vector);
    v->mean[1] = malloc(vector);
    v->scale = malloc(vector);
    v->inverse = malloc(vector);
    v->w = malloc(vector);
    v->within = calloc(1, matrix);
    v->cov = malloc(matrix);
    return v->mean[0] != NULL && v->mean[1] != NULL && v->scale != NULL &&
           v->inverse != NULL && v->w != NULL && v->within != NULL && v->cov != NULL;
}

static void solver_close(solver *v)
{
    free(v->mean[0]);
    free(v->mean[1]);
    free(v->scale);
    free(v->inverse);
    free(v->w);
    free(v->within);
    free(v->cov);
}

/* Standard deviations of a class's channels; 1 for a channel that never changes, whose
 * variance is then zero whatever it is multiplied with. */
static void spread(solver *v, const il_fitting *f, int k, int64_t n)
{
    memset(v->scale, 0, (size_t)f->width * sizeof *v->scale);
    for (int64_t i = 0; i < f->rows; i++) {
        for (int64_t c = 0; f->labels[i] == k && c < f->width; c++) {
            double x = f->x[i * f->width + c] - v->mean[k][c];

            v->scale[c] += x * x;
        }
    }
    for (int64_t c = 0; c < f->width; c++) {
        double variance = v->scale[c] / (double)n;
        bool moves = variance > moments_rounding(n, v->mean[k][c]);

        v->scale[c] = moves ? sqrt(variance) : 1.0;
        v->inverse[c] = 1.0 / v->scale[c];
    }
}

/* A class's covariance in v->cov. Ledoit and Wolf's shrinkage is measured and applied
 * on channels of variance one, so that no channel's unit decides it. */
static bool class_covariance(solver *v, const probe *p, const il_fitting *f, int k,
                             int64_t n)
{
    bool own = p->shrinkage == MOMENTS_LEDOIT_WOLF;
    int64_t width = f->width;
    double fourth = 0;

    if (own) {
        spread(v, f, k, n);
    }
    if (!moments_covariance(v->cov, &fourth, f, (enum moments_class)k, v->mean[k],
                            own ? v->inverse : NULL)) {
        return false;
    }
    if (p->shrinkage != MOMENTS_NONE) {
        moments_shrink(v->cov,
                       own ? moments_ledoit_wolf(v->cov, fourth, n, width) : p->amount,
                       width);
    }
    for (int64_t a = 0; own && a < width; a++) {
        for (int64_t b = 0; b < width; b++) {
            v->cov[a * width + b] *= v->scale[a] * v->scale[b];
        }
    }
    return true;
}

/* w = C^-1 (m1 - m0), b = -w . (m1 + m0) / 2 + log(n1 / n0): the log odds of the class
 * (Hastie, Tibshirani and Friedman 2009, section 4.3). [work] */
static il_status probe_fit(const void *self, const il_fitting *f, il_error *err)
{
    const probe *p = self;
    int64_t width = f->width;
    solver v = {.w = NULL};
    bool whole = solver_open(&v, width);
    int64_t n[2] = {0, 0};
    il_status status = IL_OK;
    double bias;

    for (int k = 0; whole && k < 2; k++) {
        n[k] = moments_mean(v.mean[k], f, (enum moments_class)k);
        whole = class_covariance(&v, p, f, k, n[k]);
        for (int64_t i = 0; whole && i < width * width; i++) {
            v.within[i] += v.cov[i] * (double)n[k] / (double)f->rows;
        }
    }
    if (!whole) {
        status = il_error_set(err, IL_ERR_MEMORY, "lda", "out of memory");
        goto out;
    }
    if (!moments_cholesky(v.within, width)) {
        status = moments_singular("lda", f->rows, width, p->shrinkage, err);
        goto out;
    }
    for (int64_t c = 0; c < width; c++) {
        v.w[c] = v.mean[1][c] - v.mean[0][c];
    }
    moments_solve(v.w, v.within, width);
    bias = log((double)n[1] / (double)n[0]);
    for (int64_t c = 0; c < width; c++) {
        bias -= 0.5 * v.w[c] * (v.mean[1][c] + v.mean[0][c]);
        f->values[p->weight.id][c] = (float)v.w[c];
    }
    f->values[p->bias.id][0] = (float)bias;
out:
    solver_close(&v);
    return status;
}

/* ---- the score ------------------------------------------------------------------ */

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
                                    .fit = probe_fit};

IL_PLUGIN("interloop", "1.0.0", "MIT", "The Interloop authors",
          "linear discriminant analysis on the activations of one or more sites",
          IL_DETECTOR("lda", "two Gaussians with one covariance, shrunk", &api,
                      IL_PARAMS(params)))
