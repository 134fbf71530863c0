/* A polynomial of the activations, fitted order by order: each order is fitted with
 * those below it held, so that the polynomial cut short is a probe too. */
#include "../moments.h"

enum { ORDERS = 6, NEWTON_STEPS = 50 };

typedef struct probe {
    il_param center; /* (W) mean of the fitting rows */
    il_param scale;  /* (W) 1 / standard deviation there */
    il_param bias;   /* (1) */
    il_param linear; /* (1,W) */
    struct {
        il_param direction; /* (R,W) */
        il_param weight;    /* (1,R) */
    } order[ORDERS + 1];    /* from 2 on */
    int64_t orders;
    int64_t used; /* of those, by the score */
    int64_t rank;
    int64_t steps;
    double lr;
    double l2;
} probe;

static const il_param_spec params[] = {
    IL_PARAM_INT("order", "2", 1, ORDERS, "", "the highest power, all of them fitted"),
    IL_PARAM_INT("truncate", "0", 0, ORDERS, "",
                 "the highest power that is scored; 0: all that are fitted"),
    IL_PARAM_INT("rank", "8", 1, 4096, "", "directions in each order from 2 on"),
    IL_PARAM_INT("steps", "200", 1, 100000, "steps",
                 "of Adam, in each order from 2 on"),
    IL_PARAM_REAL("lr", "0.02", 1e-8, 10, "", "their learning rate"),
    IL_PARAM_REAL("l2", "0.001", 1e-8, 1e6, "",
                  "half of it times the squared parameters is added to the loss")};

/* [setup] */
static il_status declare_order(probe *p, const il_setup *s, int64_t k, int64_t width,
                               il_error *err)
{
    char name[32];

    (void)snprintf(name, sizeof name, "direction%d", (int)k);
    IL_TRY(il_setup_param(s, &p->order[k].direction, name, IL_SHAPE(p->rank, width),
                          IL_INIT_NORMAL(1.0 / sqrt((double)width)), err));
    (void)snprintf(name, sizeof name, "weight%d", (int)k);
    return il_setup_param(s, &p->order[k].weight, name, IL_SHAPE(1, p->rank),
                          IL_INIT_ZERO, err);
}

/* [setup] */
static il_status probe_create(const il_setup *s, void **self, il_error *err)
{
    probe *p = il_setup_new(s, sizeof *p);
    int64_t width = moments_width(s);

    if (p == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "polynomial_probe", "out of memory");
    }
    p->orders = il_setup_int(s, "order");
    p->used = il_setup_int(s, "truncate");
    p->rank = il_setup_int(s, "rank");
    p->steps = il_setup_int(s, "steps");
    p->lr = il_setup_real(s, "lr");
    p->l2 = il_setup_real(s, "l2");
    if (p->used > p->orders) {
        return il_error_set(err, IL_ERR_INPUT, "polynomial_probe",
                            "truncate is %lld and order %lld: expected no more than is "
                            "fitted",
                            (long long)p->used, (long long)p->orders);
    }
    p->used = p->used > 0 ? p->used : p->orders;
    IL_TRY(il_setup_param(s, &p->center, "center", IL_SHAPE(width), IL_INIT_ZERO, err));
    IL_TRY(il_setup_param(s, &p->scale, "scale", IL_SHAPE(width), IL_INIT_ONE, err));
    IL_TRY(il_setup_param(s, &p->bias, "bias", IL_SHAPE(1), IL_INIT_ZERO, err));
    IL_TRY(il_setup_param(s, &p->linear, "weight1", IL_SHAPE(1, width), IL_INIT_ZERO,
                          err));
    for (int64_t k = 2; k <= p->orders; k++) {
        IL_TRY(declare_order(p, s, k, width, err));
    }
    *self = p;
    return IL_OK;
}

/* ---- the fit -------------------------------------------------------------------- */

typedef struct fitter {
    const probe *p;
    const il_fitting *f;
    double *center; /* (W) */
    double *scale;
    double *row;    /* (W+1) a row standardized, then a one */
    double *logits; /* (N) of the orders so far */
    double *next;   /* (N) */
} fitter;

static const double *row_of(const fitter *t, int64_t i)
{
    for (int64_t c = 0; c < t->f->width; c++) {
        t->row[c] = (t->f->x[i * t->f->width + c] - t->center[c]) * t->scale[c];
    }
    return t->row;
}

static double dot(const double *a, const double *b, int64_t n)
{
    double sum[4] = {0, 0, 0, 0};
    int64_t i = 0;

    for (; i + 4 <= n; i += 4) {
        sum[0] += a[i] * b[i];
        sum[1] += a[i + 1] * b[i + 1];
        sum[2] += a[i + 2] * b[i + 2];
        sum[3] += a[i + 3] * b[i + 3];
    }
    for (; i < n; i++) {
        sum[0] += a[i] * b[i];
    }
    return sum[0] + sum[1] + sum[2] + sum[3];
}

static double power(double x, int64_t k)
{
    double y = 1;

    for (; k > 0; k--) {
        y *= x;
    }
    return y;
}

/* Mean over rows of softplus(z) - y z, without overflow. */
static double loss_of(const fitter *t, const double *logits)
{
    double sum = 0;

    for (int64_t i = 0; i < t->f->rows; i++) {
        double away = t->f->labels[i] != 0 ? -logits[i] : logits[i];

        sum += (away > 0 ? away : 0) + log1p(exp(-fabs(away)));
    }
    return sum / (double)t->f->rows;
}

/* Of the mean loss, by a row's logit. */
static double slope_of(const fitter *t, int64_t i, double logit)
{
    return (1.0 / (1.0 + exp(-logit)) - t->f->labels[i]) / (double)t->f->rows;
}

/* Channels to mean 0 and variance 1; one that never changes is only centred. */
static void standardize(fitter *t)
{
    const il_fitting *f = t->f;

    (void)moments_mean(t->center, f, MOMENTS_BOTH);
    memset(t->scale, 0, (size_t)f->width * sizeof *t->scale);
    for (int64_t i = 0; i < f->rows; i++) {
        for (int64_t c = 0; c < f->width; c++) {
            double x = f->x[i * f->width + c] - t->center[c];

            t->scale[c] += x * x / (double)f->rows;
        }
    }
    for (int64_t c = 0; c < f->width; c++) {
        bool moves = t->scale[c] > moments_rounding(f->rows, t->center[c]);

        t->scale[c] = moves ? 1.0 / sqrt(t->scale[c]) : 1.0;
        f->values[t->p->center.id][c] = (float)t->center[c];
        f->values[t->p->scale.id][c] = (float)t->scale[c];
    }
}

/* Logits of order 1 at w (W+1), into `out`; returns the loss with its penalty. */
static double linear_loss(const fitter *t, const double *w, double *out)
{
    int64_t width = t->f->width;

    for (int64_t i = 0; i < t->f->rows; i++) {
        out[i] = dot(row_of(t, i), w, width) + w[width];
    }
    return loss_of(t, out) + 0.5 * t->p->l2 * dot(w, w, width);
}

/* Slope and curvature of that at w, whose logits are t->logits. */
static void linear_expand(const fitter *t, const double *w, double *slope,
                          double *curve, double *four)
{
    int64_t width = t->f->width;
    int64_t dims = width + 1;
    int64_t waiting = 0;

    memset(slope, 0, (size_t)dims * sizeof *slope);
    memset(curve, 0, (size_t)(dims * dims) * sizeof *curve);
    for (int64_t i = 0; i < t->f->rows; i++) {
        const double *x = row_of(t, i);
        double p = 1.0 / (1.0 + exp(-t->logits[i]));
        double off = slope_of(t, i, t->logits[i]);
        double weight = sqrt(p * (1.0 - p) / (double)t->f->rows);

        for (int64_t c = 0; c < dims; c++) {
            slope[c] += off * x[c];
            four[waiting * dims + c] = weight * x[c];
        }
        if (++waiting == 4) {
            moments_outer(curve, four, waiting, dims);
            waiting = 0;
        }
    }
    moments_outer(curve, four, waiting, dims);
    for (int64_t c = 0; c < width; c++) {
        slope[c] += t->p->l2 * w[c];
        curve[c * dims + c] += t->p->l2;
    }
}

/* Order 1 is convex and solved by Newton's method; a step that would raise the loss is
 * halved. */
static il_status fit_linear(fitter *t, il_error *err)
{
    int64_t dims = t->f->width + 1;
    double *w = calloc((size_t)(7 * dims), sizeof *w);
    double *curve = malloc((size_t)(dims * dims) * sizeof *curve);
    il_status status = IL_OK;
    double *trial;
    double *slope;
    double now;

    if (w == NULL || curve == NULL) {
        status = il_error_set(err, IL_ERR_MEMORY, "polynomial_probe", "out of memory");
        goto out;
    }
    trial = w + dims;
    slope = w + 2 * dims;
    now = linear_loss(t, w, t->logits);
    for (int n = 0; n < NEWTON_STEPS; n++) {
        double share = 1.0;
        double next = now;

        linear_expand(t, w, slope, curve, w + 3 * dims);
        if (!moments_cholesky(curve, dims)) {
            status = il_error_set(err, IL_ERR_NUMERIC, "polynomial_probe",
                                  "order 1 has no optimum that can be told from its "
                                  "neighbours: give a larger `l2`");
            goto out;
        }
        moments_solve(slope, curve, dims);
        for (; share > 1e-6; share /= 2) {
            for (int64_t c = 0; c < dims; c++) {
                trial[c] = w[c] - share * slope[c];
            }
            next = linear_loss(t, trial, t->next);
            if (next <= now) {
                break;
            }
        }
        if (!(next <= now)) {
            break; /* rounding is all that is left */
        }
        memcpy(w, trial, (size_t)dims * sizeof *w);
        memcpy(t->logits, t->next, (size_t)t->f->rows * sizeof *t->logits);
        if (now - next < 1e-14) {
            break;
        }
        now = next;
    }
    for (int64_t c = 0; c < t->f->width; c++) {
        t->f->values[t->p->linear.id][c] = (float)w[c];
    }
    t->f->values[t->p->bias.id][0] = (float)w[dims - 1];
out:
    free(w);
    free(curve);
    return status;
}

/* The loss of the orders so far plus order k at `at`, R directions of W and then R
 * weights, and its slope; logits into t->next. */
static double order_loss(const fitter *t, int64_t k, const double *at, double *slope)
{
    int64_t width = t->f->width;
    int64_t rank = t->p->rank;
    int64_t count = rank * (width + 1);
    const double *weight = at + rank * width;
    double *along = slope + count; /* (R) scratch behind it */

    for (int64_t j = 0; j < count; j++) {
        slope[j] = t->p->l2 * at[j];
    }
    for (int64_t i = 0; i < t->f->rows; i++) {
        const double *x = row_of(t, i);
        double off;

        t->next[i] = t->logits[i];
        for (int64_t r = 0; r < rank; r++) {
            along[r] = dot(at + r * width, x, width);
            t->next[i] += weight[r] * power(along[r], k);
        }
        off = slope_of(t, i, t->next[i]);
        for (int64_t r = 0; r < rank; r++) {
            double below = off * power(along[r], k - 1);
            double by = below * weight[r] * (double)k;

            slope[rank * width + r] += below * along[r];
            for (int64_t c = 0; by != 0 && c < width; c++) {
                slope[r * width + c] += by * x[c];
            }
        }
    }
    return loss_of(t, t->next) + 0.5 * t->p->l2 * dot(at, at, count);
}

/* Adam from the directions that the detector holds and no weights. What counts is the
 * loss without the penalty: the best of all steps is kept, so that no order is worse
 * than the one below it. */
static il_status fit_order(fitter *t, int64_t k, il_error *err)
{
    const probe *p = t->p;
    int64_t cells = p->rank * t->f->width;
    int64_t count = cells + p->rank;
    float *direction = t->f->values[p->order[k].direction.id];
    float *weight = t->f->values[p->order[k].weight.id];
    double *at = calloc((size_t)(5 * count + p->rank), sizeof *at);
    double least = loss_of(t, t->logits);
    double *m;
    double *v;
    double *best;
    double *slope;

    if (at == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "polynomial_probe", "out of memory");
    }
    m = at + count;
    v = at + 2 * count;
    best = at + 3 * count;
    slope = at + 4 * count;
    for (int64_t j = 0; j < cells; j++) {
        at[j] = best[j] = direction[j];
    }
    for (int64_t step = 1; step <= p->steps + 1; step++) {
        double whole = order_loss(t, k, at, slope);
        double now = loss_of(t, t->next);

        if (!isfinite(whole)) {
            break;
        }
        if (now < least) {
            least = now;
            memcpy(best, at, (size_t)count * sizeof *best);
        }
        for (int64_t j = 0; j < count; j++) {
            m[j] += 0.1 * (slope[j] - m[j]);
            v[j] += 0.001 * (slope[j] * slope[j] - v[j]);
            at[j] -= p->lr * (m[j] / (1.0 - pow(0.9, (double)step))) /
                     (sqrt(v[j] / (1.0 - pow(0.999, (double)step))) + 1e-8);
        }
    }
    (void)order_loss(t, k, best, slope);
    memcpy(t->logits, t->next, (size_t)t->f->rows * sizeof *t->logits);
    for (int64_t j = 0; j < cells; j++) {
        direction[j] = (float)best[j];
    }
    for (int64_t r = 0; r < p->rank; r++) {
        weight[r] = (float)best[cells + r];
    }
    free(at);
    return IL_OK;
}

/* [work] */
static il_status probe_fit(const void *self, const il_fitting *f, il_error *err)
{
    size_t width = (size_t)f->width;
    size_t rows = (size_t)f->rows;
    double *block = malloc((3 * width + 1 + 2 * rows) * sizeof *block);
    fitter t = {.p = self, .f = f};
    il_status status;

    if (block == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "polynomial_probe", "out of memory");
    }
    t.center = block;
    t.scale = block + width;
    t.row = block + 2 * width;
    t.logits = block + 3 * width + 1;
    t.next = t.logits + rows;
    t.row[width] = 1.0;
    standardize(&t);
    status = fit_linear(&t, err);
    for (int64_t k = 2; status == IL_OK && k <= t.p->orders; k++) {
        status = fit_order(&t, k, err);
    }
    free(block);
    return status;
}

/* ---- the score ------------------------------------------------------------------ */

/* (N,width_i) of every site -> (N,1) logits. [work] */
static il_tensor *probe_score(const void *self, il_pass *pass, const il_reading *r)
{
    const probe *p = self;
    il_tensor *x = il_sub(pass, moments_joined(pass, r), il_use(pass, p->center));
    il_tensor *logits;

    x = il_mul(pass, x, il_use(pass, p->scale));
    logits = il_linear(pass, x, il_use(pass, p->linear), il_use(pass, p->bias));
    for (int64_t k = 2; k <= p->used; k++) {
        il_tensor *along =
            il_linear(pass, x, il_use(pass, p->order[k].direction), NULL);
        il_tensor *power = il_activate(pass, along, IL_ACT_SQUARE);

        for (int64_t j = 3; j <= k; j++) {
            power = il_mul(pass, power, along);
        }
        logits = il_add(pass, logits,
                        il_linear(pass, power, il_use(pass, p->order[k].weight), NULL));
    }
    return logits;
}

static const il_detector_api api = {.struct_size = sizeof(il_detector_api),
                                    .reads = IL_READS_ROWS,
                                    .create = probe_create,
                                    .score = probe_score,
                                    .fit = probe_fit};

IL_PLUGIN("interloop", "1.0.0", "MIT", "The Interloop authors",
          "polynomial probe, fitted order by order, on the activations of sites",
          IL_DETECTOR("polynomial_probe", "a polynomial that may be cut short", &api,
                      IL_PARAMS(params)))
