/* Detectors in turn, the cheapest first: the next is asked only where those before it
 * were not sure. */
#include <interloop/plugin.h>
#include <math.h>

typedef struct cascade {
    double low, high; /* logits between which it is not sure */
    bool mean;
} cascade;

static const char *const scales[] = {"probability", "logit", NULL};
static const char *const combinations[] = {"last", "mean", NULL};
static const il_param_spec params[] = {
    IL_PARAM_REAL("low", "0.1", -1e6, 1e6, "", "at or below this it is sure of no"),
    IL_PARAM_REAL("high", "0.9", -1e6, 1e6, "", "at or above this it is sure of yes"),
    IL_PARAM_CHOICE("scale", "probability", scales, "what `low` and `high` are"),
    IL_PARAM_CHOICE(
        "combine", "last", combinations,
        "what counts of those asked: the last, or the mean of their logits")};

static il_status cascade_create(const il_setup *s, void **self, il_error *err)
{
    cascade *c = il_setup_new(s, sizeof *c);
    double low = il_setup_real(s, "low");
    double high = il_setup_real(s, "high");
    bool odds = il_setup_text(s, "scale")[0] == 'l';

    if (c == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "cascade", "out of memory");
    }
    if (!odds && (low <= 0 || high >= 1)) {
        return il_error_set(err, IL_ERR_INPUT, "cascade",
                            "`low` and `high` are probabilities between 0 and 1: got "
                            "%g and %g",
                            low, high);
    }
    if (low >= high) {
        return il_error_set(err, IL_ERR_INPUT, "cascade",
                            "expected `low` below `high`, got %g and %g", low, high);
    }
    c->low = odds ? low : log(low / (1 - low));
    c->high = odds ? high : log(high / (1 - high));
    c->mean = il_setup_text(s, "combine")[0] == 'm';
    *self = c;
    return IL_OK;
}

/* What the first `read` of a row say together. */
static double said(const cascade *c, int64_t read, const float *logits)
{
    double sum = 0;

    for (int64_t k = 0; c->mean && k < read; k++) {
        sum += logits[k];
    }
    return c->mean ? sum / (double)read : logits[read - 1];
}

static bool cascade_asks(const void *self, int32_t read, const float *logits)
{
    const cascade *c = self;
    const double z = said(c, read, logits);

    return z != z || (z > c->low && z < c->high);
}

/* How many of a row's m are asked. */
static int64_t asked(const cascade *c, int64_t m, const float *logits)
{
    int64_t read = 1;

    while (read < m && cascade_asks(c, (int32_t)read, logits)) {
        read++;
    }
    return read;
}

/* (N,M) -> (N,1). */
static void turn_forward(void *state, const il_tensor *const *in, il_tensor *out)
{
    const cascade *c = *(const cascade *const *)state;
    const int64_t m = il_width(in[0]);

    for (int64_t i = 0; i < il_rows(in[0]); i++) {
        const float *z = il_f32(in[0]) + i * m;

        il_f32(out)[i] = (float)said(c, asked(c, m, z), z);
    }
}

/* To those that counted; whom to ask is no function with a slope. */
static void turn_backward(const void *state, const il_tensor *const *in,
                          const il_tensor *out, const float *dout, float *const *din)
{
    const cascade *c = *(const cascade *const *)state;
    const int64_t m = il_width(in[0]);

    (void)out;
    for (int64_t i = 0; din[0] != NULL && i < il_rows(in[0]); i++) {
        const int64_t read = asked(c, m, il_f32(in[0]) + i * m);

        for (int64_t k = c->mean ? 0 : read - 1; k < read; k++) {
            din[0][i * m + k] += c->mean ? dout[i] / (float)read : dout[i];
        }
    }
}

static const il_custom turn_op = {sizeof(il_custom), "cascade", turn_forward,
                                  turn_backward};

/* (N,1) of every member -> (N,1). [work] */
static il_tensor *cascade_score(const void *self, il_pass *pass, const il_reading *r)
{
    const void **state = il_pass_alloc(pass, sizeof *state);
    il_tensor *x = r->sites == 1 ? r->acts[0] : il_concat(pass, r->sites, r->acts);

    if (state == NULL) {
        return x;
    }
    *state = self;
    return il_custom_op(pass, &turn_op, state, 1, &x, IL_SHAPE(il_rows(x), 1));
}

static const il_detector_api api = {.struct_size = sizeof(il_detector_api),
                                    .reads = IL_READS_ROWS,
                                    .create = cascade_create,
                                    .score = cascade_score,
                                    .asks = cascade_asks};

IL_PLUGIN("interloop", "1.0.0", "MIT", "The Interloop authors",
          "detectors in turn, the next only where those before are not sure",
          IL_DETECTOR("cascade", "detectors in turn, the cheapest first", &api,
                      IL_PARAMS(params)))
