/* How fast positions turn each pair of channels: the plain way (Su et al. 2021) and the
 * ways in which contexts have been stretched since. */
#include "decoder.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define TAU 6.28318530717958647692

/* Settings lie under "rope_parameters" in newer folders, in older ones under
 * "rope_scaling", beside the base. */
typedef struct settings {
    const values *v;
    const char *under;
} settings;

static const char *way(const settings *s, const char *name, char out[96])
{
    (void)snprintf(out, 96, "%s.%s", s->under, name);
    return out;
}

/* An optional number. */
static il_status real_of(const settings *s, const char *name, double *value,
                         il_error *err)
{
    char path[96];

    return value_real(s->v, way(s, name, path), *value, value, err);
}

static il_status need_real(const settings *s, const char *name, double *value,
                           il_error *err)
{
    char path[96];
    char got[64];

    if (!il_pretrained_real(s->v->from, way(s, name, path), value) || !(*value > 0.0)) {
        return il_error_set(err, IL_ERR_INPUT, s->v->file,
                            "%s: expected a number above 0, got %s", path,
                            value_shown(s->v, path, got));
    }
    return IL_OK;
}

/* Wavelengths beyond the old context are stretched, short ones stay, and between the
 * two bounds it goes from one to the other. */
static il_status turns_llama3(decoder *d, const settings *s, double factor,
                              il_error *err)
{
    double low;
    double high;
    double old;

    IL_TRY(need_real(s, "low_freq_factor", &low, err));
    IL_TRY(need_real(s, "high_freq_factor", &high, err));
    IL_TRY(need_real(s, "original_max_position_embeddings", &old, err));
    if (!(high > low)) {
        return il_error_set(err, IL_ERR_INPUT, s->v->file,
                            "%s.high_freq_factor: expected more than low_freq_factor",
                            s->under);
    }
    for (int64_t k = 0; k < d->pairs; k++) {
        const double rate = d->rates[k];
        const double wave = TAU / rate;
        double blend = (old / wave - low) / (high - low);

        blend = wave > old / low ? 0.0 : blend;
        blend = wave < old / high ? 1.0 : blend;
        d->rates[k] = (float)((1.0 - blend) * rate / factor + blend * rate);
    }
    return IL_OK;
}

static double yarn_scale(double factor, double m)
{
    return factor <= 1.0 ? 1.0 : 0.1 * m * log(factor) + 1.0;
}

/* Peng et al. 2023: pairs that turn often within the old context stay, those that do
 * not once are stretched, and cosines and sines grow a little. */
static il_status turns_yarn(decoder *d, const settings *s, double factor, double theta,
                            il_error *err)
{
    const double wide = 2.0 * (double)d->pairs;
    double fast = 32.0;
    double slow = 1.0;
    double old = (double)d->positions;
    double grow = 0.0;
    double m = 0.0;
    double m_all = 0.0;
    double low;
    double high;
    bool whole = true;
    char path[96];

    IL_TRY(real_of(s, "beta_fast", &fast, err));
    IL_TRY(real_of(s, "beta_slow", &slow, err));
    IL_TRY(real_of(s, "original_max_position_embeddings", &old, err));
    IL_TRY(real_of(s, "attention_factor", &grow, err));
    IL_TRY(real_of(s, "mscale", &m, err));
    IL_TRY(real_of(s, "mscale_all_dim", &m_all, err));
    IL_TRY(value_flag(s->v, way(s, "truncate", path), true, &whole, err));
    if (!(fast > 0.0) || !(slow > 0.0) || !(old > 0.0)) {
        return il_error_set(err, IL_ERR_INPUT, s->v->file,
                            "%s: expected betas and a context above 0", s->under);
    }
    if (grow == 0.0) {
        grow = m != 0.0 && m_all != 0.0
                   ? yarn_scale(factor, m) / yarn_scale(factor, m_all)
                   : yarn_scale(factor, 1.0);
    }
    d->turn_scale = (float)grow;
    low = wide * log(old / (fast * TAU)) / (2.0 * log(theta));
    high = wide * log(old / (slow * TAU)) / (2.0 * log(theta));
    low = fmax(whole ? floor(low) : low, 0.0);
    high = fmin(whole ? ceil(high) : high, wide - 1.0);
    high = high == low ? low + 0.001 : high;
    for (int64_t k = 0; k < d->pairs; k++) {
        const double rate = d->rates[k];
        const double ramp = fmin(fmax(((double)k - low) / (high - low), 0.0), 1.0);

        d->rates[k] = (float)(rate / factor * ramp + rate * (1.0 - ramp));
    }
    return IL_OK;
}

/* The settings' kind, NULL where they name none; refused where it is no text, or where
 * they are no object of settings for all layers alike. */
static il_status turns_kind(const settings *s, const char **kind, il_error *err)
{
    static const char *const apart[] = {"0", "full_attention", "sliding_attention"};
    const il_pretrained *from = s->v->from;
    char path[96];
    char got[64];

    for (size_t i = 0; i < sizeof apart / sizeof apart[0]; i++) {
        if (il_pretrained_has(from, way(s, apart[i], path))) {
            return il_error_set(err, IL_ERR_UNSUPPORTED, s->v->file,
                                "%s: expected one object for all layers, got '%s' in "
                                "it",
                                s->under, apart[i]);
        }
    }
    if (il_pretrained_has(from, s->under) && il_pretrained_count(from, s->under) < 0) {
        return il_error_set(err, IL_ERR_INPUT, s->v->file,
                            "%s: expected an object, got %s", s->under,
                            value_shown(s->v, s->under, got));
    }
    if (!il_pretrained_has(from, way(s, "rope_type", path))) {
        (void)way(s, "type", path);
    }
    *kind = il_pretrained_text(from, path);
    if (*kind == NULL && il_pretrained_has(from, path)) {
        return il_error_set(err, IL_ERR_INPUT, s->v->file,
                            "%s: expected the name of a kind, got %s", path,
                            value_shown(s->v, path, got));
    }
    return IL_OK;
}

static il_status turns_check(const decoder *d, const settings *s, il_error *err)
{
    bool fine = isfinite(d->turn_scale) && d->turn_scale > 0.0f;

    for (int64_t k = 0; k < d->pairs; k++) {
        fine = fine && isfinite(d->rates[k]);
    }
    return fine ? IL_OK
                : il_error_set(err, IL_ERR_INPUT, s->v->file,
                               "%s: expected finite rates and a finite scale above 0, "
                               "its numbers give others",
                               s->under);
}

il_status decoder_turns(decoder *d, const values *v, double fraction, double theta,
                        il_error *err)
{
    const il_pretrained *from = v->from;
    settings s = {.v = v,
                  .under = il_pretrained_has(from, "rope_parameters")
                               ? "rope_parameters"
                               : "rope_scaling"};
    const char *type;
    double factor = 1.0;
    char path[96];

    IL_TRY(turns_kind(&s, &type, err));
    IL_TRY(real_of(&s, "rope_theta", &theta, err));
    IL_TRY(real_of(&s, "partial_rotary_factor", &fraction, err));
    d->pairs = (int64_t)((double)d->head * fraction) / 2;
    d->turn_scale = 1.0f;
    if (!(theta > 1.0) || !(fraction > 0.0) || !(fraction <= 1.0) || d->pairs < 1 ||
        d->pairs > PAIRS_MAX || (int64_t)((double)d->head * fraction) % 2 != 0) {
        return il_error_set(
            err, IL_ERR_INPUT, v->file,
            "rotary positions: expected a base above 1 and an even part "
            "of each head's %lld channels, got base %g and part %g",
            (long long)d->head, theta, fraction);
    }
    for (int64_t k = 0; k < d->pairs; k++) {
        d->rates[k] = (float)(1.0 / pow(theta, (double)k / (double)d->pairs));
    }
    if (type == NULL || strcmp(type, "default") == 0) {
        if (type == NULL && il_pretrained_has(from, way(&s, "factor", path))) {
            return il_error_set(err, IL_ERR_INPUT, v->file,
                                "%s: expected a rope_type beside the factor", s.under);
        }
        return IL_OK;
    }
    /* Up to the folder's context the dynamic kind is the plain one, and further nobody
     * goes here. */
    if (strcmp(type, "dynamic") == 0) {
        return IL_OK;
    }
    if (strcmp(type, "linear") != 0 && strcmp(type, "llama3") != 0 &&
        strcmp(type, "yarn") != 0) {
        return il_error_set(err, IL_ERR_UNSUPPORTED, v->file,
                            "%s: rotary positions of the kind '%.40s' are not known "
                            "here; expected default, linear, dynamic, llama3 or yarn",
                            s.under, type);
    }
    IL_TRY(need_real(&s, "factor", &factor, err));
    if (strcmp(type, "llama3") == 0) {
        IL_TRY(turns_llama3(d, &s, factor, err));
    } else if (strcmp(type, "yarn") == 0) {
        IL_TRY(turns_yarn(d, &s, factor, theta, err));
    } else {
        for (int64_t k = 0; k < d->pairs; k++) {
            d->rates[k] = (float)((double)d->rates[k] / factor);
        }
    }
    return turns_check(d, &s, err);
}
