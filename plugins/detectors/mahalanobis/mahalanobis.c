/* Mahalanobis distance to a Gaussian that was fitted to the negative rows. */
#include "../gaussian.h"

typedef struct probe {
    gaussian negatives;
    gaussian_unit unit;
    moments_shrinkage shrinkage;
    double amount;
} probe;

static const il_param_spec params[] = {MOMENTS_PARAMS};

/* [setup] */
static il_status probe_create(const il_setup *s, void **self, il_error *err)
{
    probe *p = il_setup_new(s, sizeof *p);

    if (p == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "mahalanobis", "out of memory");
    }
    p->shrinkage = moments_shrinkage_of(s);
    p->amount = il_setup_real(s, "amount");
    IL_TRY(gaussian_declare(&p->negatives, s, "center", "whiten", err));
    IL_TRY(gaussian_unit_declare(&p->unit, s, err));
    *self = p;
    return IL_OK;
}

/* Lee, Lee, Lee and Shin 2018, section 2.1, with one class. [work] */
static il_status probe_fit(const void *self, const il_fitting *f, il_error *err)
{
    const probe *p = self;
    double *distance = calloc((size_t)f->rows + 1, sizeof *distance);
    il_status status =
        distance != NULL
            ? gaussian_fit(&p->negatives, f, MOMENTS_NEGATIVE, p->shrinkage, p->amount,
                           1.0, distance, "mahalanobis", err)
            : il_error_set(err, IL_ERR_MEMORY, "mahalanobis", "out of memory");

    if (status == IL_OK) {
        status = gaussian_unit_fit(&p->unit, f, distance, "mahalanobis", err);
    }
    free(distance);
    return status;
}

/* (N,width_i) of every site -> (N,1) logits. [work] */
static il_tensor *probe_score(const void *self, il_pass *pass, const il_reading *r)
{
    const probe *p = self;

    return gaussian_logits(
        &p->unit, pass,
        gaussian_distance(&p->negatives, pass, moments_joined(pass, r)));
}

static const il_detector_api api = {.struct_size = sizeof(il_detector_api),
                                    .reads = IL_READS_ROWS,
                                    .create = probe_create,
                                    .score = probe_score,
                                    .fit = probe_fit};

IL_PLUGIN("interloop", "1.0.0", "MIT", "The Interloop authors",
          "distance from the negatives on the activations of one or more sites",
          IL_DETECTOR("mahalanobis", "squared distance to the negatives' Gaussian",
                      &api, IL_PARAMS(params)))
