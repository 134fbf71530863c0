#include "exchange/dictionary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/compiler.h"

static const double layer_norm_eps = 1e-5;

void il_dictionary_clear(il_dictionary *d)
{
    free(d->encoder);
    free(d->encoder_bias);
    free(d->decoder);
    free(d->decoder_bias);
    free(d->threshold);
    free(d->gate_bias);
    free(d->log_scale);
    free(d->site);
    free(d->model);
    json_decref(d->metadata);
    memset(d, 0, sizeof *d);
}

const char *il_dictionary_form_name(il_dictionary_form form)
{
    static const char *const names[] = {"standard", "topk", "jumprelu", "gated"};

    return names[form];
}

const char *il_dictionary_scaling_name(il_dictionary_scaling scaling)
{
    static const char *const names[] = {"none", "constant_norm_rescale", "layer_norm"};

    return names[scaling];
}

il_status il_dictionary_turn(il_dictionary *d, const char *where, il_error *err)
{
    float *out = malloc((size_t)(d->width * d->features) * sizeof *out);

    if (out == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, where, "out of memory");
    }
    for (int64_t f = 0; f < d->features; f++) {
        for (int64_t c = 0; c < d->width; c++) {
            out[f * d->width + c] = d->encoder[c * d->features + f];
        }
    }
    free(d->encoder);
    d->encoder = out;
    return IL_OK;
}

void il_dictionary_norms(const il_dictionary *d, double *norms)
{
    for (int64_t f = 0; f < d->features; f++) {
        const float *row = d->decoder + f * d->width;
        double sum = 0;

        for (int64_t c = 0; c < d->width; c++) {
            sum += (double)row[c] * row[c];
        }
        norms[f] = sqrt(sum);
    }
}

void il_dictionary_scale_features(il_dictionary *d, const double *factor)
{
    float *const biases[] = {d->encoder_bias, d->threshold, d->gate_bias};

    for (int64_t f = 0; f < d->features; f++) {
        float *in = d->encoder + f * d->width;
        float *out = d->decoder + f * d->width;

        for (int64_t c = 0; c < d->width; c++) {
            in[c] = (float)(in[c] * factor[f]);
            out[c] = factor[f] != 0 ? (float)(out[c] / factor[f]) : out[c];
        }
        for (size_t b = 0; b < sizeof biases / sizeof biases[0]; b++) {
            if (biases[b] != NULL) {
                biases[b][f] = (float)(biases[b][f] * factor[f]);
            }
        }
    }
}

void il_dictionary_scale_input(il_dictionary *d, double scale)
{
    for (int64_t i = 0; i < d->features * d->width; i++) {
        d->encoder[i] = (float)(d->encoder[i] * scale);
        d->decoder[i] = (float)(d->decoder[i] / scale);
    }
    for (int64_t c = 0; c < d->width; c++) {
        d->decoder_bias[c] = (float)(d->decoder_bias[c] / scale);
    }
}

/* What a row was scaled by: scaled = (x - shift) * by; unscaled = y * back + shift. */
typedef struct scaling {
    double shift, by, back;
} scaling;

static scaling scaling_of(const il_dictionary *d, const float *x)
{
    double sum = 0;
    double squares = 0;
    double mean, deviation;

    for (int64_t c = 0; c < d->width; c++) {
        sum += x[c];
        squares += (double)x[c] * x[c];
    }
    if (d->scaling == IL_DICTIONARY_RESCALED) {
        double by = sqrt((double)d->width) / sqrt(squares);

        return (scaling){0, by, 1 / by};
    }
    if (d->scaling == IL_DICTIONARY_PLAIN) {
        return (scaling){0, 1, 1};
    }
    mean = sum / (double)d->width;
    squares = 0;
    for (int64_t c = 0; c < d->width; c++) {
        squares += (x[c] - mean) * (x[c] - mean);
    }
    deviation = sqrt(squares / (double)(d->width - 1));
    return (scaling){mean, 1 / (deviation + layer_norm_eps), deviation};
}

typedef struct ranked {
    double value;
    int64_t feature;
} ranked;

static int ranked_compare(const void *a, const void *b)
{
    const ranked *x = a;
    const ranked *y = b;

    if (x->value != y->value) {
        return x->value > y->value ? -1 : 1;
    }
    return x->feature < y->feature ? -1 : x->feature > y->feature;
}

/* Sets all but the k largest to 0; of equals the earlier counts as larger. */
static void keep_largest(double *h, int64_t count, int64_t k, ranked *scratch)
{
    for (int64_t f = 0; f < count; f++) {
        scratch[f] = (ranked){h[f], f};
    }
    qsort(scratch, (size_t)count, sizeof *scratch, ranked_compare);
    for (int64_t i = k; i < count; i++) {
        h[scratch[i].feature] = 0;
    }
}

/* The features of one row that was scaled and centred, (F) into h. */
static void encode(const il_dictionary *d, const double *x, double *h, ranked *scratch)
{
    for (int64_t f = 0; f < d->features; f++) {
        const float *row = d->encoder + f * d->width;
        double sum = 0;
        bool open = true;

        for (int64_t c = 0; c < d->width; c++) {
            sum += x[c] * row[c];
        }
        if (d->form == IL_DICTIONARY_GATED) {
            open = sum + d->gate_bias[f] > 0;
            sum *= exp(d->log_scale[f]);
        }
        h[f] = sum + d->encoder_bias[f];
        if (d->form == IL_DICTIONARY_JUMPRELU) {
            open = h[f] > d->threshold[f];
        }
        h[f] = open ? h[f] : 0;
    }
    if (d->form == IL_DICTIONARY_TOPK) {
        keep_largest(h, d->features, d->k, scratch);
    }
    for (int64_t f = 0; f < d->features; f++) {
        h[f] = h[f] > 0 ? h[f] : 0;
    }
}

static void decode(const il_dictionary *d, const double *h, scaling s, double *y,
                   float *out)
{
    for (int64_t c = 0; c < d->width; c++) {
        y[c] = d->decoder_bias[c];
    }
    for (int64_t f = 0; f < d->features; f++) {
        const float *row = d->decoder + f * d->width;

        for (int64_t c = 0; h[f] != 0 && c < d->width; c++) {
            y[c] += h[f] * row[c];
        }
    }
    for (int64_t c = 0; c < d->width; c++) {
        out[c] = (float)(y[c] * s.back + s.shift);
    }
}

il_status il_dictionary_run(const il_dictionary *d, int64_t rows, const float *x,
                            float *features, float *output, il_error *err)
{
    double *row = calloc((size_t)(2 * d->width + d->features) + 1, sizeof *row);
    ranked *scratch = calloc((size_t)d->features + 1, sizeof *scratch);
    il_status status = IL_OK;

    if (row == NULL || scratch == NULL) {
        status = il_error_set(err, IL_ERR_MEMORY, "dictionary", "out of memory");
        rows = 0;
    }
    for (int64_t n = 0; n < rows; n++) {
        const float *in = x + n * d->width;
        double *y = row + d->width;
        double *h = y + d->width;
        scaling s = scaling_of(d, in);

        for (int64_t c = 0; c < d->width; c++) {
            row[c] = (in[c] - s.shift) * s.by - (d->centred ? d->decoder_bias[c] : 0.0);
        }
        encode(d, row, h, scratch);
        for (int64_t f = 0; features != NULL && f < d->features; f++) {
            features[n * d->features + f] = (float)h[f];
        }
        if (output != NULL) {
            decode(d, h, s, y, output + n * d->width);
        }
    }
    free(row);
    free(scratch);
    return status;
}
