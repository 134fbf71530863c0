/* Distance to the k-th nearest of the negative rows that were kept as anchors. */
#include "../gaussian.h"

typedef struct probe {
    il_param anchors; /* (A,W), as `normalize` has it; those past the count are zero */
    il_param count;   /* (1) anchors there are, at most A */
    gaussian_unit unit;
    int64_t room; /* A */
    int64_t k;
    bool normalize;
} probe;

static const il_param_spec params[] = {
    IL_PARAM_INT("k", "10", 1, 65536, "anchors", "the distance to the k-th nearest"),
    IL_PARAM_INT("anchors", "1024", 2, 1048576, "rows",
                 "negative rows to keep at most, evenly spaced among those there are"),
    IL_PARAM_FLAG("normalize", "true", "bring every row to length 1 first")};

/* [setup] */
static il_status probe_create(const il_setup *s, void **self, il_error *err)
{
    probe *p = il_setup_new(s, sizeof *p);

    if (p == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "knn", "out of memory");
    }
    p->k = il_setup_int(s, "k");
    p->room = il_setup_int(s, "anchors");
    p->normalize = il_setup_flag(s, "normalize");
    if (p->k >= p->room) {
        return il_error_set(err, IL_ERR_INPUT, "knn",
                            "k is %lld of %lld anchors: expected fewer, since an "
                            "anchor is not its own neighbour",
                            (long long)p->k, (long long)p->room);
    }
    IL_TRY(il_setup_param(s, &p->anchors, "anchors",
                          IL_SHAPE(p->room, moments_width(s)), IL_INIT_ZERO, err));
    IL_TRY(il_setup_param(s, &p->count, "count", IL_SHAPE(1), IL_INIT_ZERO, err));
    IL_TRY(gaussian_unit_declare(&p->unit, s, err));
    *self = p;
    return IL_OK;
}

/* ---- distances ------------------------------------------------------------------ */

/* |x - a|^2 for each of n anchors; skip `but`. Keeps the k least in `least`, a heap
 * with the largest first, with whose they are; returns that k-th anchor. */
static int64_t kth(const float *x, const float *anchors, int64_t n, int64_t width,
                   int64_t but, int64_t k, double *least, int64_t *whose)
{
    int64_t held = 0;

    for (int64_t a = 0; a < n; a++) {
        double sum = 0;
        int64_t at;

        if (a == but) {
            continue;
        }
        for (int64_t c = 0; c < width; c++) {
            double d = (double)x[c] - (double)anchors[a * width + c];

            sum += d * d;
        }
        if (held == k && !(sum < least[0])) {
            continue;
        }
        if (held < k) { /* up from the end */
            for (at = held++; at > 0 && least[(at - 1) / 2] < sum; at = (at - 1) / 2) {
                least[at] = least[(at - 1) / 2];
                whose[at] = whose[(at - 1) / 2];
            }
        } else { /* down from the top */
            for (at = 0; 2 * at + 1 < k;) {
                int64_t next = 2 * at + 1;

                next += next + 1 < k && least[next + 1] > least[next];
                if (!(least[next] > sum)) {
                    break;
                }
                least[at] = least[next];
                whose[at] = whose[next];
                at = next;
            }
        }
        least[at] = sum;
        whose[at] = a;
    }
    return whose[0];
}

/* ---- the fit -------------------------------------------------------------------- */

static bool normalized(float *out, const float *x, int64_t width, bool normalize)
{
    double square = 0;

    for (int64_t c = 0; c < width; c++) {
        square += (double)x[c] * (double)x[c];
    }
    for (int64_t c = 0; c < width; c++) {
        out[c] = normalize ? (float)(x[c] / sqrt(square)) : x[c];
    }
    return !normalize || square > 0;
}

/* The anchors, then the unit from each anchor's own distance to the others. [work] */
static il_status probe_fit(const void *self, const il_fitting *f, il_error *err)
{
    const probe *p = self;
    int64_t width = f->width;
    int64_t there = moments_count(f, MOMENTS_NEGATIVE);
    int64_t n = there < p->room ? there : p->room;
    float *anchors = f->values[p->anchors.id];
    double *least = malloc((size_t)p->k * sizeof *least + 1);
    int64_t *whose = malloc((size_t)p->k * sizeof *whose + 1);
    double *distance = calloc((size_t)n + 1, sizeof *distance);
    uint8_t *labels = calloc((size_t)n + 1, 1);
    il_fitting among = *f;
    il_status status = IL_OK;
    int64_t seen = 0;
    int64_t kept = 0;

    if (least == NULL || whose == NULL || distance == NULL || labels == NULL) {
        status = il_error_set(err, IL_ERR_MEMORY, "knn", "out of memory");
        goto out;
    }
    if (n <= p->k) {
        status = il_error_set(err, IL_ERR_INPUT, "knn",
                              "there are %lld negative rows to fit: expected more "
                              "than k, which is %lld",
                              (long long)n, (long long)p->k);
        goto out;
    }
    memset(anchors, 0, (size_t)(p->room * width) * sizeof *anchors);
    for (int64_t i = 0; i < f->rows; i++) {
        if (f->labels[i] != 0) {
            continue;
        }
        /* The kept-th of n, evenly spaced among those there are. */
        if (seen++ == kept * there / n &&
            !normalized(anchors + kept++ * width, f->x + i * width, width,
                        p->normalize)) {
            status = il_error_set(err, IL_ERR_NUMERIC, "knn",
                                  "row %lld to fit is all zero and cannot be brought "
                                  "to length 1: give `normalize: false`",
                                  (long long)i);
            goto out;
        }
    }
    f->values[p->count.id][0] = (float)n;
    for (int64_t a = 0; a < n; a++) {
        (void)kth(anchors + a * width, anchors, n, width, a, p->k, least, whose);
        distance[a] = sqrt(least[0]);
    }
    among.rows = n;
    among.labels = labels;
    status = gaussian_unit_fit(&p->unit, &among, distance, "knn", err);
out:
    free(least);
    free(whose);
    free(distance);
    free(labels);
    return status;
}

/* ---- the score ------------------------------------------------------------------ */

typedef struct nearest {
    int64_t k;
    int64_t *whose; /* (N) the k-th anchor of each row */
    double *least;  /* scratch, k of each */
    int64_t *order;
} nearest;

/* x (N,W), anchors (A,W), count (1) -> (N). */
static void nearest_forward(void *state, const il_tensor *const *in, il_tensor *out)
{
    nearest *s = state;
    int64_t width = il_width(in[0]);
    int64_t n = (int64_t)il_f32(in[2])[0];

    for (int64_t i = 0; i < il_rows(in[0]); i++) {
        s->whose[i] = -1;
        if (n > s->k) {
            s->whose[i] = kth(il_f32(in[0]) + i * width, il_f32(in[1]), n, width, -1,
                              s->k, s->least, s->order);
        }
        il_f32(out)[i] = s->whose[i] < 0 ? 0.0f : (float)sqrt(s->least[0]);
    }
}

/* The unit vector away from the k-th anchor; none on the anchor itself, where the
 * distance has no slope. */
static void nearest_backward(const void *state, const il_tensor *const *in,
                             const il_tensor *out, const float *dout, float *const *din)
{
    const nearest *s = state;
    int64_t width = il_width(in[0]);

    for (int64_t i = 0; i < il_rows(in[0]); i++) {
        float far = il_f32(out)[i];

        for (int64_t c = 0; s->whose[i] >= 0 && far > 0 && c < width; c++) {
            int64_t at = s->whose[i] * width + c;
            float slope =
                dout[i] * (il_f32(in[0])[i * width + c] - il_f32(in[1])[at]) / far;

            if (din[0] != NULL) {
                din[0][i * width + c] += slope;
            }
            if (din[1] != NULL) {
                din[1][at] -= slope;
            }
        }
    }
}

static const il_custom nearest_op = {.struct_size = sizeof(il_custom),
                                     .name = "knn",
                                     .forward = nearest_forward,
                                     .backward = nearest_backward};

/* (N,width_i) of every site -> (N,1) logits. [work] */
static il_tensor *probe_score(const void *self, il_pass *pass, const il_reading *r)
{
    const probe *p = self;
    il_tensor *x = moments_joined(pass, r);
    int64_t rows = il_rows(x);
    nearest *s = il_pass_alloc(pass, sizeof *s);
    il_tensor *in[3];

    if (s == NULL) {
        return x;
    }
    s->k = p->k;
    s->whose = il_pass_alloc(pass, (size_t)(rows + 1) * sizeof *s->whose);
    s->least = il_pass_alloc(pass, (size_t)p->k * sizeof *s->least);
    s->order = il_pass_alloc(pass, (size_t)p->k * sizeof *s->order);
    if (p->normalize) { /* over the root of the mean square, then of the width */
        x = il_affine(pass, il_rms_norm(pass, x, NULL, 1e-30f),
                      (float)(1.0 / sqrt((double)il_width(x))), 0.0f);
    }
    in[0] = x;
    in[1] = il_use(pass, p->anchors);
    in[2] = il_use(pass, p->count);
    x = il_custom_op(pass, &nearest_op, s, 3, in, IL_SHAPE(rows));
    return gaussian_logits(&p->unit, pass, x);
}

static const il_detector_api api = {.struct_size = sizeof(il_detector_api),
                                    .reads = IL_READS_ROWS,
                                    .create = probe_create,
                                    .score = probe_score,
                                    .fit = probe_fit};

IL_PLUGIN(
    "interloop", "1.0.0", "MIT", "The Interloop authors",
    "distance to the k-th nearest negative on the activations of one or more sites",
    IL_DETECTOR("knn", "distance to the k-th nearest anchor", &api, IL_PARAMS(params)))
