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
    double fourth;   /* the mean of |z|^4 over the class that was measured last */
    int64_t n[2];    /* rows of each class */
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

/* A class's covariance in v->cov as it is measured, and by how much to shrink it.
 * Ledoit and Wolf's shrinkage is measured and applied on channels of variance one, so
 * that no channel's unit decides it. */
static bool class_measure(solver *v, const probe *p, const il_fitting *f, int k,
                          int64_t n, double *amount)
{
    bool own = p->shrinkage == MOMENTS_LEDOIT_WOLF;

    if (own) {
        spread(v, f, k, n);
    }
    if (!moments_covariance(v->cov, &v->fourth, f, (enum moments_class)k, v->mean[k],
                            own ? v->inverse : NULL)) {
        return false;
    }
    *amount = own ? moments_ledoit_wolf(v->cov, v->fourth, n, f->width)
              : p->shrinkage == MOMENTS_FIXED ? p->amount
                                              : 0.0;
    return true;
}

/* Its covariance, shrunk, in v->cov. */
static bool class_covariance(solver *v, const probe *p, const il_fitting *f, int k,
                             int64_t n)
{
    int64_t width = f->width;
    double amount;

    if (!class_measure(v, p, f, k, n, &amount)) {
        return false;
    }
    if (p->shrinkage != MOMENTS_NONE) {
        moments_shrink(v->cov, amount, width);
    }
    for (int64_t a = 0; p->shrinkage == MOMENTS_LEDOIT_WOLF && a < width; a++) {
        for (int64_t b = 0; b < width; b++) {
            v->cov[a * width + b] *= v->scale[a] * v->scale[b];
        }
    }
    return true;
}

/* Means, and the Cholesky factor of the covariance within the classes. */
static il_status solver_measure(solver *v, const probe *p, const il_fitting *f,
                                il_error *err)
{
    int64_t width = f->width;

    for (int k = 0; k < 2; k++) {
        v->n[k] = moments_mean(v->mean[k], f, (enum moments_class)k);
        if (!class_covariance(v, p, f, k, v->n[k])) {
            return il_error_set(err, IL_ERR_MEMORY, "lda", "out of memory");
        }
        for (int64_t i = 0; i < width * width; i++) {
            v->within[i] += v->cov[i] * (double)v->n[k] / (double)f->rows;
        }
    }
    if (!moments_cholesky(v->within, width)) {
        return moments_singular("lda", f->rows, width, p->shrinkage, err);
    }
    for (int64_t c = 0; c < width; c++) {
        v->w[c] = v->mean[1][c] - v->mean[0][c];
    }
    moments_solve(v->w, v->within, width);
    return IL_OK;
}

/* w = C^-1 (m1 - m0), b = -w . (m1 + m0) / 2 + log(n1 / n0): the log odds of the class
 * (Hastie, Tibshirani and Friedman 2009, section 4.3). [work] */
static il_status probe_fit(const void *self, const il_fitting *f, il_error *err)
{
    const probe *p = self;
    solver v = {.w = NULL};
    il_status status = solver_open(&v, f->width)
                           ? solver_measure(&v, p, f, err)
                           : il_error_set(err, IL_ERR_MEMORY, "lda", "out of memory");

    if (status == IL_OK) {
        double bias = log((double)v.n[1] / (double)v.n[0]);

        for (int64_t c = 0; c < f->width; c++) {
            bias -= 0.5 * v.w[c] * (v.mean[1][c] + v.mean[0][c]);
            f->values[p->weight.id][c] = (float)v.w[c];
        }
        f->values[p->bias.id][0] = (float)bias;
    }
    solver_close(&v);
    return status;
}

/* ---- the fit, differentiated ---------------------------------------------------- */

/* What a class's shrinkage adds to the derivative: on entry slope (W,W) is that in its
 * shrunk covariance P = (1-a) R + a mean(diag R) I, on return that in R. *fourth gets
 * the derivative in the mean of |z|^4, from which Ledoit and Wolf's a is taken. */
static void shrink_backward(double *slope, double *fourth, const solver *v, double a,
                            bool measured, int64_t n, int64_t width)
{
    const double *r = v->cov;
    double level = moments_trace(r, width) / (double)width;
    double trace = moments_trace(slope, width);
    double norm = 0;
    double along = 0;
    double da;
    double per_norm = 0;
    double per_level = 0;

    *fourth = 0;
    for (int64_t i = 0; i < width * width; i++) {
        norm += r[i] * r[i];
        along += slope[i] * r[i];
    }
    da = level * trace - along;
    /* Held at 0 or 1 the amount does not move. */
    if (measured && a > 0 && a < 1) {
        double spread = norm / (double)width - level * level;
        double share = (double)n * (double)width;

        per_norm = -da * (1.0 / share + a / (double)width) / spread;
        per_level = da * a * 2.0 * level / spread;
        *fourth = da / (share * spread);
    }
    for (int64_t i = 0; i < width * width; i++) {
        slope[i] = (1.0 - a) * slope[i] + 2.0 * per_norm * r[i];
    }
    for (int64_t c = 0; c < width; c++) {
        slope[c * width + c] += (a * trace + per_level) / (double)width;
    }
}

/* Adds to dx what a class's rows do through its covariance; slope (W,W) is the
 * derivative in that, and is used up. */
static bool class_backward(solver *v, const probe *p, const il_fitting *f, int k,
                           double *slope, double *dx)
{
    bool own = p->shrinkage == MOMENTS_LEDOIT_WOLF;
    int64_t width = f->width;
    double n = (double)v->n[k];
    double fourth = 0;
    double amount = 0;
    double *scale = calloc(4 * (size_t)width + 1, sizeof *scale); /* d scale */
    double *mean = scale != NULL ? scale + width : NULL;          /* d mean */
    double *z = scale != NULL ? scale + 2 * width : NULL;
    double *dz = scale != NULL ? scale + 3 * width : NULL;

    if (scale == NULL || !class_measure(v, p, f, k, v->n[k], &amount)) {
        free(scale);
        return false;
    }
    for (int64_t a = 0; own && a < width; a++) {
        double level = moments_trace(v->cov, width) / (double)width;

        for (int64_t b = 0; b < width; b++) {
            double shrunk = (1.0 - amount) * v->cov[a * width + b] +
                            (a == b ? amount * level : 0.0);

            scale[a] += 2.0 * v->scale[b] * slope[a * width + b] * shrunk;
        }
    }
    for (int64_t i = 0; own && i < width * width; i++) {
        slope[i] *= v->scale[i / width] * v->scale[i % width];
    }
    shrink_backward(slope, &fourth, v, amount, own, v->n[k], width);
    for (int round = 0; round < (own ? 2 : 1); round++) {
        for (int64_t i = 0; i < f->rows; i++) {
            double square = 0;

            if (f->labels[i] != k) {
                continue;
            }
            for (int64_t c = 0; c < width; c++) {
                z[c] =
                    (f->x[i * width + c] - v->mean[k][c]) * (own ? v->inverse[c] : 1.0);
                square += z[c] * z[c];
            }
            if (round == 1) { /* mean and scale have all of their own now */
                for (int64_t c = 0; c < width; c++) {
                    dx[i * width + c] += (mean[c] + scale[c] * z[c]) / n;
                }
                continue;
            }
            for (int64_t a = 0; a < width; a++) {
                double sum = 0;

                for (int64_t b = 0; b < width; b++) {
                    sum += slope[a * width + b] * z[b];
                }
                dz[a] = (2.0 * sum + 4.0 * fourth * square * z[a]) / n *
                        (own ? v->inverse[a] : 1.0);
            }
            for (int64_t c = 0; c < width; c++) {
                dx[i * width + c] += dz[c];
                mean[c] -= dz[c];
                scale[c] -= dz[c] * z[c];
            }
        }
    }
    free(scale);
    return true;
}

/* With q = C^-1 (dw - db (m1 + m0) / 2): dC = -(q w^T + w q^T) / 2, and the means get
 * q - db w / 2 and -q - db w / 2. [work] */
static il_status probe_fit_backward(const void *self, const il_fitting *f,
                                    const double *const *slopes, double *dx,
                                    il_error *err)
{
    const probe *p = self;
    const double *weight = slopes[p->weight.id];
    double bias = slopes[p->bias.id] != NULL ? slopes[p->bias.id][0] : 0;
    int64_t width = f->width;
    solver v = {.w = NULL};
    double *q = calloc((size_t)width + 1, sizeof *q);
    double *slope = calloc((size_t)(width * width) + 1, sizeof *slope);
    bool whole = solver_open(&v, width) && q != NULL && slope != NULL;
    il_status status = whole ? solver_measure(&v, p, f, err)
                             : il_error_set(err, IL_ERR_MEMORY, "lda", "out of memory");

    if (status != IL_OK) {
        goto out;
    }
    for (int64_t c = 0; c < width; c++) {
        q[c] = (weight != NULL ? weight[c] : 0) -
               0.5 * bias * (v.mean[1][c] + v.mean[0][c]);
    }
    moments_solve(q, v.within, width);
    for (int64_t i = 0; i < f->rows; i++) {
        int k = f->labels[i];

        for (int64_t c = 0; c < width; c++) {
            dx[i * width + c] +=
                ((k == 1 ? q[c] : -q[c]) - 0.5 * bias * v.w[c]) / (double)v.n[k];
        }
    }
    for (int k = 0; k < 2 && whole; k++) {
        double share = (double)v.n[k] / (double)f->rows;

        for (int64_t i = 0; i < width * width; i++) {
            int64_t a = i / width;
            int64_t b = i % width;

            slope[i] = -0.5 * share * (q[a] * v.w[b] + v.w[a] * q[b]);
        }
        whole = class_backward(&v, p, f, k, slope, dx);
    }
    if (!whole) {
        status = il_error_set(err, IL_ERR_MEMORY, "lda", "out of memory");
    }
out:
    solver_close(&v);
    free(q);
    free(slope);
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
                                    .fit = probe_fit,
                                    .fit_backward = probe_fit_backward};

IL_PLUGIN("interloop", "1.0.0", "MIT", "The Interloop authors",
          "linear discriminant analysis on the activations of one or more sites",
          IL_DETECTOR("lda", "two Gaussians with one covariance, shrunk", &api,
                      IL_PARAMS(params)))
