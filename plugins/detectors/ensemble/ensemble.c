/* Several detectors as one: the mean or the largest of what they say. Nothing is
 * learned; what weighs its members is a linear probe on them. */
#include <interloop/plugin.h>
#include <math.h>

typedef struct ensemble {
    bool largest;
    bool probabilities;
} ensemble;

static const char *const combinations[] = {"mean", "max", NULL};
static const char *const scales[] = {"logit", "probability", NULL};
static const il_param_spec params[] = {
    IL_PARAM_CHOICE("combine", "mean", combinations, "what becomes of the members"),
    IL_PARAM_CHOICE("scale", "logit", scales,
                    "what is averaged; of the largest both give the same")};

static il_status ensemble_create(const il_setup *s, void **self, il_error *err)
{
    ensemble *e = il_setup_new(s, sizeof *e);

    if (e == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "ensemble", "out of memory");
    }
    e->largest = il_setup_text(s, "combine")[1] == 'a';
    e->probabilities = il_setup_text(s, "scale")[0] == 'p';
    *self = e;
    return IL_OK;
}

/* ---- the largest of a row ------------------------------------------------------- */

/* (N,M) -> (N,1). */
static void largest_forward(void *state, const il_tensor *const *in, il_tensor *out)
{
    const int64_t m = il_width(in[0]);

    (void)state;
    for (int64_t i = 0; i < il_rows(in[0]); i++) {
        const float *z = il_f32(in[0]) + i * m;
        float most = z[0];

        for (int64_t k = 1; k < m; k++) {
            most = z[k] > most || z[k] != z[k] ? z[k] : most; /* NaN survives */
        }
        il_f32(out)[i] = most;
    }
}

/* To the first of those that are largest. */
static void largest_backward(const void *state, const il_tensor *const *in,
                             const il_tensor *out, const float *dout, float *const *din)
{
    const int64_t m = il_width(in[0]);

    (void)state;
    for (int64_t i = 0; din[0] != NULL && i < il_rows(in[0]); i++) {
        int64_t k = 0;

        while (k + 1 < m && il_f32(in[0])[i * m + k] != il_f32(out)[i]) {
            k++;
        }
        din[0][i * m + k] += dout[i];
    }
}

static const il_custom largest_op = {sizeof(il_custom), "ensemble_max", largest_forward,
                                     largest_backward};

/* ---- the mean of probabilities -------------------------------------------------- */

/* log(sigmoid(z)), which never overflows. */
static double log_sigmoid(double z)
{
    return z < 0 ? z - log1p(exp(z)) : -log1p(exp(-z));
}

/* log sum_k sigmoid(sign z_k), relative to the largest term. */
static double log_sum(const float *z, int64_t m, double sign)
{
    double most = -INFINITY;
    double sum = 0;

    for (int64_t k = 0; k < m; k++) {
        const double term = log_sigmoid(sign * z[k]);

        most = term > most ? term : most;
    }
    for (int64_t k = 0; k < m; k++) {
        sum += exp(log_sigmoid(sign * z[k]) - most);
    }
    return most + log(sum);
}

/* p = mean sigmoid(z_k);  log p/(1-p) = log sum sigmoid(z_k) - log sum sigmoid(-z_k).
 * (N,M) -> (N,1). */
static void odds_forward(void *state, const il_tensor *const *in, il_tensor *out)
{
    const int64_t m = il_width(in[0]);

    (void)state;
    for (int64_t i = 0; i < il_rows(in[0]); i++) {
        const float *z = il_f32(in[0]) + i * m;

        il_f32(out)[i] = (float)(log_sum(z, m, 1) - log_sum(z, m, -1));
    }
}

/* d/dz_k = sigmoid(z_k) sigmoid(-z_k) (1/sum sigmoid(z) + 1/sum sigmoid(-z)). */
static void odds_backward(const void *state, const il_tensor *const *in,
                          const il_tensor *out, const float *dout, float *const *din)
{
    const int64_t m = il_width(in[0]);

    (void)state;
    (void)out;
    for (int64_t i = 0; din[0] != NULL && i < il_rows(in[0]); i++) {
        const float *z = il_f32(in[0]) + i * m;
        const double up = log_sum(z, m, 1);
        const double down = log_sum(z, m, -1);

        for (int64_t k = 0; k < m; k++) {
            const double both = log_sigmoid(z[k]) + log_sigmoid(-z[k]);

            din[0][i * m + k] += dout[i] * (float)(exp(both - up) + exp(both - down));
        }
    }
}

static const il_custom odds_op = {sizeof(il_custom), "ensemble_odds", odds_forward,
                                  odds_backward};

/* ---- score ---------------------------------------------------------------------- */

/* (N,1) of every member -> (N,1). [work] */
static il_tensor *ensemble_score(const void *self, il_pass *pass, const il_reading *r)
{
    const ensemble *e = self;
    il_tensor *x = r->sites == 1 ? r->acts[0] : il_concat(pass, r->sites, r->acts);
    int64_t n = il_rows(x);

    if (e->largest || e->probabilities) {
        return il_custom_op(pass, e->largest ? &largest_op : &odds_op, NULL, 1, &x,
                            IL_SHAPE(n, 1));
    }
    x = il_affine(pass, il_row_sum(pass, x), 1.0f / (float)il_width(x), 0.0f);
    return il_reshape(pass, x, IL_SHAPE(n, 1));
}

static const il_detector_api api = {.struct_size = sizeof(il_detector_api),
                                    .reads = IL_READS_ROWS,
                                    .create = ensemble_create,
                                    .score = ensemble_score};

IL_PLUGIN("interloop", "1.0.0", "MIT", "The Interloop authors",
          "the mean or the largest of several detectors",
          IL_DETECTOR("ensemble", "the mean or the largest of several detectors", &api,
                      IL_PARAMS(params)))
