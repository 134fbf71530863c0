/* Losses of an arm: see arm_lost.h. */
#include "audit/arm_lost.h"

#include <math.h>
#include <string.h>
#include "audit/lost.h"
#include "loop/json.h"

/* A metric of a row; NaN when it was not measured. */
static double metric(const il_arm_row *row, const char *of, const char *part)
{
    double value = NAN;
    json_t *name = json_sprintf("%s.%s", of, part);

    if (row == NULL || name == NULL ||
        !il_arm_metric(row, json_string_value(name), &value)) {
        value = NAN;
    }
    json_decref(name);
    return value;
}

/* The refit's recall is taken where it is compared, which for episodes are those that
 * fitted neither: what it restores is added to the recall of all. */
static il_lost lost_of(const il_arm_row *row, const il_arm_row *twin, const char *of)
{
    double lost = metric(row, of, "lost");
    double now = metric(row, of, "tpr");
    const il_recalls recalls = {
        .then = now + lost, .now = now, .refit = now + metric(row, of, "restored")};

    return il_lost_of(&recalls, metric(twin, of, "lost"));
}

static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *detector_json(const il_arm *arm, const il_arm *twin, const char *of)
{
    static const char *const names[] = {"seeds", "lost", "stale", "gone", "hidden"};
    json_t *lists[5];
    json_t *out = json_pack("{s:s}", "of", of);
    double all = 0;
    double stale = 0;
    double hidden = 0;

    for (int k = 0; k < 5; k++) {
        lists[k] = json_array();
        json_object_set_new(out, names[k], lists[k]);
    }
    for (size_t i = 0; i < arm->count; i++) {
        const il_arm_row *row = &arm->rows[i];
        const il_arm_row *other = twin != NULL ? il_arm_seed(twin, row->seed) : NULL;
        il_lost l = lost_of(row, other, of);
        const double values[] = {l.lost, l.stale, l.gone, l.hidden};

        if (isnan(l.lost)) {
            continue;
        }
        json_array_append_new(lists[0], il__json_seed(row->seed));
        for (int k = 0; k < 4; k++) {
            json_array_append_new(lists[k + 1], number(values[k]));
        }
        all += l.lost;
        stale += l.stale;
        hidden += l.hidden;
    }
    json_object_set_new(out, "stale_share", number(all > 0 ? stale / all : NAN));
    json_object_set_new(out, "hidden_share", number(all > 0 ? hidden / all : NAN));
    return out;
}

json_t *il_arm_lost(const il_arm *arm, const il_arm *twin)
{
    static const char end[] = ".lost";
    json_t *out = json_array();
    const char *name;
    json_t *unused;

    if (out == NULL || arm->count == 0) {
        return out;
    }
    json_object_foreach((json_t *)arm->rows[0].metrics, name, unused)
    {
        size_t size = strlen(name);

        if (size >= sizeof end && strcmp(name + size - (sizeof end - 1), end) == 0 &&
            strchr(name, '@') == NULL) {
            json_t *of = json_stringn(name, size - (sizeof end - 1));
            json_t *own = json_sprintf("%s.own.lost", json_string_value(of));

            /* The plain name repeats the agent's own episodes. */
            if (json_object_get(arm->rows[0].metrics, json_string_value(own)) == NULL) {
                json_array_append_new(out,
                                      detector_json(arm, twin, json_string_value(of)));
            }
            json_decref(of);
            json_decref(own);
        }
    }
    return out;
}
