/* Profiles of played episodes: position by position, what was true, what detectors said
 * of it, and what the environment tells of the agent; and histograms of logits. For
 * figures, not for judging. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "audit/played_private.h"
#include "detect/calibration.h"

enum { BINS = 60 };

static const double FROM = -15.0; /* logits; the outermost bins take the rest */
static const double WIDTH = 0.5;

json_t *il__played_histogram(const il_scores *s)
{
    int64_t counts[2][BINS] = {{0}};
    json_t *arrays[2] = {json_array(), json_array()};

    il_scores_histogram(s, FROM, WIDTH, BINS, counts[1], counts[0]);
    for (int k = 0; k < 2; k++) {
        for (int b = 0; b < BINS; b++) {
            json_array_append_new(arrays[k], json_integer(counts[k][b]));
        }
    }
    return json_pack("{s:f, s:f, s:o, s:o}", "from", FROM, "width", WIDTH, "positive",
                     arrays[1], "negative", arrays[0]);
}

/* Means by position over some of the episodes. */
typedef struct means {
    int64_t length;
    double *sums;    /* (L) */
    int64_t *counts; /* (L) */
} means;

static json_t *means_json(means *m)
{
    json_t *array = json_array();

    for (int64_t t = 0; t < m->length; t++) {
        json_array_append_new(array, m->counts[t] > 0
                                         ? json_real(m->sums[t] / (double)m->counts[t])
                                         : json_null());
        m->sums[t] = 0;
        m->counts[t] = 0;
    }
    return array;
}

/* Which episodes a part of the profile is of: where a label that stays the same all
 * episode long has this value. */
typedef struct choice {
    const char *label; /* NULL: all episodes */
    uint8_t value;
} choice;

static const uint8_t *bytes_of(const il_batch *batch, const char *name, int64_t *width)
{
    const il_tensor *t = il_batch_find(batch, name);

    if (t == NULL || t->dtype.code != IL_CODE_UINT || t->dtype.bits != 8) {
        return NULL;
    }
    *width = t->ndim == 2 ? t->shape[1] : 1;
    return il_u8(t);
}

static bool chosen(const choice *c, const il_batch *batch, int64_t row)
{
    int64_t width = 0;
    const uint8_t *x = c->label != NULL ? bytes_of(batch, c->label, &width) : NULL;

    return x == NULL || (x[row * width] != 0) == (c->value != 0);
}

static int64_t length_of(const il_batch *batch, int64_t row, int64_t most)
{
    const il_tensor *lengths = il_batch_find(batch, "lengths");

    return lengths != NULL && il_i32(lengths)[row] < most ? il_i32(lengths)[row] : most;
}

static json_t *field_profile(const il_played *set, const choice *c, const char *name,
                             means *m)
{
    for (size_t i = 0; i < il_recorded_chunks(set->episodes); i++) {
        const il_batch *batch = il_recorded_chunk(set->episodes, i, NULL);
        int64_t width = 0;
        const uint8_t *x = bytes_of(batch, name, &width);

        for (int64_t b = 0; x != NULL && b < il_batch_rows(batch); b++) {
            int64_t end = chosen(c, batch, b) ? length_of(batch, b, width) : 0;

            for (int64_t t = 0; t < end; t++) {
                m->sums[t] += x[b * width + t] != 0;
                m->counts[t]++;
            }
        }
    }
    return means_json(m);
}

static json_t *reading_profile(const il_played *set, const choice *c,
                               const il_verdicts *v, means *m)
{
    int64_t row = 0;

    for (size_t i = 0; i < il_recorded_chunks(set->episodes); i++) {
        int64_t first = 0;
        const il_batch *batch = il_recorded_chunk(set->episodes, i, &first);
        int64_t end = (first + il_batch_rows(batch)) * m->length;

        for (; row < v->acts->rows.count && v->acts->rows.rows[row] < end; row++) {
            int64_t at = v->acts->rows.rows[row];

            if (chosen(c, batch, at / m->length - first)) {
                m->sums[at % m->length] +=
                    il_calibration_probability(v->scores.calibration, v->logits[row]);
                m->counts[at % m->length]++;
            }
        }
    }
    return means_json(m);
}

/* Whether a label has one value within each episode, and both over all of them. */
static bool is_constant(const il_played *set, const char *name)
{
    bool seen[2] = {false, false};

    for (size_t i = 0; i < il_recorded_chunks(set->episodes); i++) {
        const il_batch *batch = il_recorded_chunk(set->episodes, i, NULL);
        int64_t width = 0;
        const uint8_t *x = bytes_of(batch, name, &width);

        if (x == NULL) {
            return false;
        }
        for (int64_t b = 0; b < il_batch_rows(batch); b++) {
            int64_t end = length_of(batch, b, width);

            for (int64_t t = 1; t < end; t++) {
                if ((x[b * width + t] != 0) != (x[b * width] != 0)) {
                    return false;
                }
            }
            seen[x[b * width] != 0] = true;
        }
    }
    return seen[0] && seen[1];
}

static json_t *part_profile(const il_played *set, const choice *c, size_t count,
                            const il_detector *const *detectors,
                            const il_verdicts *verdicts, means *m)
{
    const il_instance *e = il_recorded_environment(set->episodes);
    json_t *fields = json_object();
    json_t *readings = json_object();

    for (int32_t f = e->own_fields; f < e->field_count; f++) {
        if (e->fields[f].role == IL_FIELD_LABEL || e->fields[f].role == IL_FIELD_MASK) {
            json_object_set_new(fields, e->fields[f].name,
                                field_profile(set, c, e->fields[f].name, m));
        }
    }
    for (size_t i = 0; i < count; i++) {
        json_object_set_new(readings, detectors[i]->spec->name,
                            reading_profile(set, c, &verdicts[i], m));
    }
    return json_pack("{s:o, s:o}", "fields", fields, "readings", readings);
}

json_t *il__played_profile(const il_played *set, size_t count,
                           const il_detector *const *detectors,
                           const il_verdicts *verdicts)
{
    const il_instance *e = il_recorded_environment(set->episodes);
    means m = {.length = il_rollout_length(e)};
    choice all = {NULL, 0};
    json_t *profile = json_object();
    json_t *by = json_object();

    m.sums = calloc((size_t)m.length + 1, sizeof *m.sums);
    m.counts = calloc((size_t)m.length + 1, sizeof *m.counts);
    if (m.sums != NULL && m.counts != NULL) {
        json_object_set_new(profile, "all",
                            part_profile(set, &all, count, detectors, verdicts, &m));
        for (int32_t f = e->own_fields; f < e->field_count; f++) {
            const char *name = e->fields[f].name;
            choice yes = {name, 1};
            choice no = {name, 0};

            if (e->fields[f].role != IL_FIELD_LABEL || !is_constant(set, name)) {
                continue;
            }
            json_object_set_new(
                by, name,
                json_pack("{s:o, s:o}", "1",
                          part_profile(set, &yes, count, detectors, verdicts, &m), "0",
                          part_profile(set, &no, count, detectors, verdicts, &m)));
        }
    }
    json_object_set_new(profile, "by", by);
    free(m.sums);
    free(m.counts);
    return profile;
}
