/* How much farther a row lies from the negatives than from the background of all rows:
 * what is far from everything alike is no sign of a class. */
#include "../gaussian.h"

typedef struct probe {
    gaussian negatives;
    gaussian background;
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
        return il_error_set(err, IL_ERR_MEMORY, "relative_mahalanobis",
                            "out of memory");
    }
    p->shrinkage = moments_shrinkage_of(s);
    p->amount = il_setup_real(s, "amount");
    IL_TRY(gaussian_declare(&p->negatives, s, "center", "whiten", err));
    IL_TRY(gaussian_declare(&p->background, s, "background_center", "background_whiten",
                            err));
    IL_TRY(gaussian_unit_declare(&p->unit, s, err));
    *self = p;
    return IL_OK;
}

/* Ren et al. 2021, section 3: the distance to a class less that to a Gaussian of all
 * rows. [work] */
static il_status probe_fit(const void *self, const il_fitting *f, il_error *err)
{
    static const char name[] = "relative_mahalanobis";
    const probe *p = self;
    double *distance = calloc((size_t)f->rows + 1, sizeof *distance);
    il_status status =
        distance != NULL
            ? gaussian_fit(&p->negatives, f, MOMENTS_NEGATIVE, p->shrinkage, p->amount,
                           1.0, distance, name, err)
            : il_error_set(err, IL_ERR_MEMORY, name, "out of memory");

    if (status == IL_OK) {
        status = gaussian_fit(&p->background, f, MOMENTS_BOTH, p->shrinkage, p->amount,
                              -1.0, distance, name, err);
    }
    if (status == IL_OK) {
        status = gaussian_unit_fit(&p->unit, f, distance, name, err);
    }
    free(distance);
    return status;
}

/* (N,width_i) of every site -> (N,1) logits. [work] */
static il_tensor *probe_score(const void *self, il_pass *pass, const il_reading *r)
{
    const probe *p = self;
    il_tensor *x = moments_joined(pass, r);

    return gaussian_logits(&p->unit, pass,
                           il_sub(pass, gaussian_distance(&p->negatives, pass, x),
                                  gaussian_distance(&p->background, pass, x)));
}

static const il_detector_api api = {.struct_size = sizeof(il_detector_api),
                                    .reads = IL_READS_ROWS,
                                    .create = probe_create,
                                    .score = probe_score,
                                    .fit = probe_fit};

IL_PLUGIN("interloop", "1.0.0", "MIT", "The Interloop authors",
          "distance from the negatives, less that from all rows, on activations",
          IL_DETECTOR("relative_mahalanobis",
                      "the negatives' distance less the background's", &api,
                      IL_PARAMS(params)))
