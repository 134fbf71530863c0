#include "values.h"

#include <stdio.h>

const char *value_shown(const values *v, const char *name, char out[64])
{
    const char *text = il_pretrained_text(v->from, name);
    int64_t whole;
    double real;
    bool flag;

    if (text != NULL) {
        (void)snprintf(out, 64, "'%.40s'", text);
    } else if (il_pretrained_int(v->from, name, &whole)) {
        (void)snprintf(out, 64, "%lld", (long long)whole);
    } else if (il_pretrained_real(v->from, name, &real)) {
        (void)snprintf(out, 64, "%.9g", real);
    } else if (il_pretrained_flag(v->from, name, &flag)) {
        (void)snprintf(out, 64, "%s", flag ? "true" : "false");
    } else if (il_pretrained_count(v->from, name) >= 0) {
        (void)snprintf(out, 64, "a list or an object of %lld",
                       (long long)il_pretrained_count(v->from, name));
    } else {
        (void)snprintf(out, 64, "nothing");
    }
    return out;
}

il_status value_size(const values *v, const char *name, int64_t initial, int64_t max,
                     int64_t *value, il_error *err)
{
    char got[64];

    if (initial > 0 && !il_pretrained_has(v->from, name)) {
        *value = initial;
        return IL_OK;
    }
    if (!il_pretrained_int(v->from, name, value) || *value < 1 || *value > max) {
        return il_error_set(err, IL_ERR_INPUT, v->file,
                            "%s: expected a whole number from 1 to %lld, got %s", name,
                            (long long)max, value_shown(v, name, got));
    }
    return IL_OK;
}

il_status value_real(const values *v, const char *name, double initial, double *value,
                     il_error *err)
{
    char got[64];

    *value = initial;
    if (il_pretrained_has(v->from, name) && !il_pretrained_real(v->from, name, value)) {
        return il_error_set(err, IL_ERR_INPUT, v->file, "%s: expected a number, got %s",
                            name, value_shown(v, name, got));
    }
    return IL_OK;
}

il_status value_flag(const values *v, const char *name, bool initial, bool *value,
                     il_error *err)
{
    char got[64];

    *value = initial;
    if (il_pretrained_has(v->from, name) && !il_pretrained_flag(v->from, name, value)) {
        return il_error_set(err, IL_ERR_INPUT, v->file,
                            "%s: expected true or false, got %s", name,
                            value_shown(v, name, got));
    }
    return IL_OK;
}

il_status value_must_be(const values *v, const char *name, bool wanted, il_error *err)
{
    bool value;

    IL_TRY(value_flag(v, name, wanted, &value, err));
    if (value != wanted) {
        return il_error_set(err, IL_ERR_UNSUPPORTED, v->file,
                            "%s: expected %s, %s is not known here", name,
                            wanted ? "true" : "false", wanted ? "false" : "true");
    }
    return IL_OK;
}

il_status value_empty(const values *v, const char *name, il_error *err)
{
    bool flag = true;
    char got[64];

    if (!il_pretrained_has(v->from, name) || il_pretrained_count(v->from, name) == 0 ||
        (il_pretrained_flag(v->from, name, &flag) && !flag)) {
        return IL_OK;
    }
    return il_error_set(err, IL_ERR_UNSUPPORTED, v->file,
                        "%s: expected nothing there, what it asks for is not known "
                        "here, got %s",
                        name, value_shown(v, name, got));
}
