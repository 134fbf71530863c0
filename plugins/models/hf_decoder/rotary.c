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
    const il_pretrained *from;
    const char *under;
} settings;

static const char *way(const settings *s, const char *name, char out[96])
{
    (void)snprintf(out, 96, "%s.%s", s->under, name);
    return out;
}

/* An optional number; false with the reason where it is none. */
static il_status real_of(const settings *s, const char *name, double *value,
                         il_error *err)
{
    char path[96];

    if (il_pretrained_has(s->from, way(s, name, path)) &&
        !il_pretrained_real(s->from, path, value)) {
        return il_error_set(err, IL_ERR_INPUT, "config.json", "%s: expected a number",
                            path);
    }
    return IL_OK;
}

static il_status need_real(const settings *s, const char *name, double *value,
                           il_error *err)
{
    char path[96];

    if (!il_pretrained_real(s->from, way(s, name, path), value) || !(*value > 0.0)) {
        return il_error_set(err, IL_ERR_INPUT, "config.json",
                            "%s: expected a number above 0", path);
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
        return il_error_set(err, IL_ERR_INPUT, "config.json",
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
    (void)il_pretrained_flag(s->from, way(s, "truncate", path), &whole);
    if (!(fast > 0.0) || !(slow > 0.0) || !(old > 0.0)) {
        return il_error_set(err, IL_ERR_INPUT, "config.json",
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

il_status decoder_turns(decoder *d, const il_pretrained *from, double fraction,
                        double theta, il_error *err)
{
    settings s = {.from = from,
                  .under = il_pretrained_has(from, "rope_parameters")
                               ? "rope_parameters"
                               : "rope_scaling"};
    const char *type;
    double factor = 1.0;
    char path[96];

    IL_TRY(real_of(&s, "rope_theta", &theta, err));
    IL_TRY(real_of(&s, "partial_rotary_factor", &fraction, err));
    d->pairs = (int64_t)((double)d->head * fraction) / 2;
    d->turn_scale = 1.0f;
    if (!(theta > 1.0) || !(fraction > 0.0) || !(fraction <= 1.0) || d->pairs < 1 ||
        d->pairs > PAIRS_MAX || (int64_t)((double)d->head * fraction) % 2 != 0) {
        return il_error_set(
            err, IL_ERR_INPUT, "config.json",
            "rotary positions: expected a base above 1 and an even part "
            "of each head's %lld channels, got base %g and part %g",
            (long long)d->head, theta, fraction);
    }
    for (int64_t k = 0; k < d->pairs; k++) {
        d->rates[k] = (float)(1.0 / pow(theta, (double)k / (double)d->pairs));
    }
    type = il_pretrained_text(from, way(&s, "rope_type", path));
    type = type == NULL ? il_pretrained_text(from, way(&s, "type", path)) : type;
    if (type == NULL || strcmp(type, "default") == 0) {
        if (type == NULL && il_pretrained_has(from, way(&s, "factor", path))) {
            return il_error_set(err, IL_ERR_INPUT, "config.json",
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
        return il_error_set(err, IL_ERR_UNSUPPORTED, "config.json",
                            "%s: rotary positions of the kind '%.40s' are not known "
                            "here; expected default, linear, dynamic, llama3 or yarn",
                            s.under, type);
    }
    IL_TRY(need_real(&s, "factor", &factor, err));
    if (strcmp(type, "llama3") == 0) {
        return turns_llama3(d, &s, factor, err);
    }
    if (strcmp(type, "yarn") == 0) {
        return turns_yarn(d, &s, factor, theta, err);
    }
    for (int64_t k = 0; k < d->pairs; k++) {
        d->rates[k] = (float)((double)d->rates[k] / factor);
    }
    return IL_OK;
}
