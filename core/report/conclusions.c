#include "report/conclusions.h"

#include <math.h>
#include <string.h>
#include "report/results_private.h"

static bool is(const json_t *object, const char *key, const char *value)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL && value != NULL && strcmp(text, value) == 0;
}

double il__number_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

/* ---- reading -------------------------------------------------------------------- */

static il_status check_claim(il__field_place at, const json_t *claim, il_error *err)
{
    static const char *const lists[] = {"run", "other", "difference"};
    const json_t *value;
    const char *text;

    IL_TRY(il__field_check_object(at, claim, err));
    IL_TRY(il__field_string(at, claim, "metric", true, &text, err));
    IL_TRY(il__field_string(at, claim, "versus", true, &text, err));
    IL_TRY(il__field_string(at, claim, "against", false, &text, err));
    IL_TRY(il__field_string(at, claim, "rank", false, &text, err));
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        IL_TRY(il__field_array(at, claim, lists[i], false, &value, err));
    }
    return il__field_object(at, claim, "alive", false, &value, err);
}

static il_status check_arm(il__field_place at, const json_t *arm, il_error *err)
{
    static const char *const texts[] = {"variant", "role", "twin", "sentence",
                                        "without"};
    const json_t *claims;
    const json_t *list;
    const char *text;

    IL_TRY(il__field_check_object(at, arm, err));
    IL_TRY(il__field_string(at, arm, "stage", true, &text, err));
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        IL_TRY(il__field_string(at, arm, texts[i], false, &text, err));
    }
    IL_TRY(il__field_array(at, arm, "tax", false, &list, err));
    IL_TRY(il__field_array(at, arm, "lost", false, &list, err));
    IL_TRY(il__field_object(at, arm, "outcome", false, &list, err));
    IL_TRY(il__field_array(at, arm, "claims", false, &claims, err));
    for (size_t i = 0; i < json_array_size(claims); i++) {
        IL_TRY(check_claim(at, json_array_get(claims, i), err));
    }
    return IL_OK;
}

il_status il__results_conclusions(il__results *r, il_error *err)
{
    const char *path = il_arena_printf(r->arena, "%s/conclusions.json", r->folder);
    il__field_place at = {path, ""};
    const json_t *part;

    if (path == NULL) {
        return il__results_no_memory(r->folder, err);
    }
    IL_TRY(il__results_document(r, path, true, &r->conclusions, err));
    if (r->conclusions == NULL) {
        return IL_OK;
    }
    IL_TRY(il__field_check_object(at, r->conclusions, err));
    IL_TRY(il__field_object(at, r->conclusions, "endpoint", false, &part, err));
    IL_TRY(il__field_object(at, r->conclusions, "selection", false, &part, err));
    IL_TRY(il__field_array(at, r->conclusions, "arms", false, &part, err));
    for (size_t i = 0; i < json_array_size(part); i++) {
        char place[32];

        (void)snprintf(place, sizeof place, "arms[%zu]", i);
        at.path = place;
        IL_TRY(check_arm(at, json_array_get(part, i), err));
    }
    return IL_OK;
}

/* ---- asking --------------------------------------------------------------------- */

const json_t *il__conclusion_of(const il__results *r, const il__result_arm *arm)
{
    const json_t *arms = json_object_get(r->conclusions, "arms");

    for (size_t i = 0; i < json_array_size(arms); i++) {
        const json_t *entry = json_array_get(arms, i);
        const char *variant = il__plan_variant(entry);

        if (is(entry, "stage", arm->stage) &&
            (variant == NULL || arm->variant == NULL
                 ? variant == arm->variant
                 : strcmp(variant, arm->variant) == 0)) {
            return entry;
        }
    }
    return NULL;
}

const json_t *il__claim_of(const json_t *entry, const char *metric, const char *versus)
{
    static const char *const parts[] = {"claims", "tax"};

    for (size_t p = 0; p < sizeof parts / sizeof parts[0]; p++) {
        const json_t *claims = json_object_get(entry, parts[p]);

        for (size_t i = 0; i < json_array_size(claims); i++) {
            const json_t *claim = json_array_get(claims, i);

            if (is(claim, "metric", metric) && is(claim, "versus", versus)) {
                return claim;
            }
        }
    }
    return NULL;
}

const json_t *il__claim_primary(const json_t *entry)
{
    const json_t *claims = json_object_get(entry, "claims");

    for (size_t i = 0; i < json_array_size(claims); i++) {
        if (is(json_array_get(claims, i), "rank", "primary")) {
            return json_array_get(claims, i);
        }
    }
    return NULL;
}

/* Whether a claim asks whether something is alive, of a metric (NULL: of any). */
static bool asks(const json_t *claim, const char *metric)
{
    return json_object_size(json_object_get(claim, "alive")) > 0 &&
           (metric == NULL || is(claim, "metric", metric));
}

const json_t *il__claim_alive(const il__results *r, const json_t *entry)
{
    const json_t *claims = json_object_get(entry, "claims");
    const json_t *endpoint = json_object_get(r->conclusions, "endpoint");
    const char *metric = json_string_value(json_object_get(endpoint, "metric"));

    if (asks(il__claim_primary(entry), NULL)) {
        return il__claim_primary(entry);
    }
    for (int any = metric == NULL; any < 2; any++) {
        for (size_t i = 0; i < json_array_size(claims); i++) {
            if (asks(json_array_get(claims, i), any ? NULL : metric)) {
                return json_array_get(claims, i);
            }
        }
    }
    return NULL;
}

il__alive il__alive_of(const json_t *claim)
{
    const json_t *alive = json_object_get(claim, "alive");
    double margin = il__number_of(alive, "margin");
    double high = il__number_of(claim, "high");

    /* One seed has no interval, and nothing can be held against a margin. */
    if (json_object_size(alive) == 0 || isnan(high)) {
        return IL__ALIVE_UNKNOWN;
    }
    if (json_is_true(json_object_get(alive, "holds"))) {
        return IL__ALIVE_SHOWN;
    }
    return high < -margin ? IL__ALIVE_FALLEN : IL__ALIVE_OPEN;
}
