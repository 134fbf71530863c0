/* The plan and the certificates of a run folder, checked down to every value that
 * tables and charts will take. */
#include <string.h>
#include "report/results_private.h"

il_status il__results_no_memory(const char *where, il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, where, "out of memory");
}

il_status il__results_document(il__results *r, const char *path, bool optional,
                               const json_t **document, il_error *err)
{
    json_t *parsed;

    IL_TRY(il__field_read(path, optional, &parsed, err));
    if (parsed != NULL && json_array_append_new(r->documents, parsed) != 0) {
        return il__results_no_memory(path, err);
    }
    *document = parsed;
    return IL_OK;
}

/* The matrix source x reader of one entry: channels by name, each open or closed. */
static il_status check_pair(il__field_place at, const json_t *pair, il_error *err)
{
    const json_t *channels;
    const char *text;
    const char *name;
    json_t *channel;

    IL_TRY(il__field_check_object(at, pair, err));
    IL_TRY(il__field_string(at, pair, "source", true, &text, err));
    IL_TRY(il__field_string(at, pair, "reader", true, &text, err));
    IL_TRY(il__field_object(at, pair, "channels", true, &channels, err));
    json_object_foreach((json_t *)channels, name, channel)
    {
        const json_t *found;

        IL_TRY(il__field_object(at, channels, name, false, &found, err));
        if (found != NULL) {
            IL_TRY(il__field_check_flag(at, found, "open", err));
            IL_TRY(il__field_string(at, found, "path", false, &text, err));
        }
    }
    return IL_OK;
}

static il_status check_signals(il__field_place at, const json_t *entry, il_error *err)
{
    const json_t *signals;
    const json_t *groups;
    const json_t *updates;
    const char *text;

    IL_TRY(il__field_array(at, entry, "signals", false, &signals, err));
    IL_TRY(il__field_array(at, entry, "groups", false, &groups, err));
    IL_TRY(il__field_array(at, entry, "updates", false, &updates, err));
    IL_TRY(il__field_check_strings(at, groups, "groups", err));
    for (size_t i = 0; i < json_array_size(signals); i++) {
        const json_t *s = json_array_get(signals, i);

        IL_TRY(il__field_check_object(at, s, err));
        IL_TRY(il__field_string(at, s, "name", true, &text, err));
        IL_TRY(il__field_string(at, s, "channel", false, &text, err));
    }
    for (size_t i = 0; i < json_array_size(updates); i++) {
        const json_t *row = json_array_get(updates, i);

        if (json_array_size(row) != json_array_size(groups) ||
            json_array_size(updates) != json_array_size(signals)) {
            return il_error_set(err, IL_ERR_INPUT, at.file,
                                "%s.updates: expected a row for each of %zu signals "
                                "with a value for each of %zu groups",
                                at.path, json_array_size(signals),
                                json_array_size(groups));
        }
    }
    return IL_OK;
}

static il_status check_entry(il__field_place at, const json_t *entry, il_error *err)
{
    const json_t *list;
    const json_t *pressed;
    const json_t *demand = json_object_get(entry, "demand");
    const char *text;
    const char *key;
    json_t *value;

    IL_TRY(il__field_check_object(at, entry, err));
    IL_TRY(il__field_string(at, entry, "stage", true, &text, err));
    IL_TRY(il__field_string(at, entry, "variant", false, &text, err));
    IL_TRY(il__field_string(at, entry, "twin_of", false, &text, err));
    IL_TRY(il__field_string(at, entry, "placebo_of", false, &text, err));
    IL_TRY(il__field_check_flag(at, entry, "lowered", err));
    if (!json_is_string(demand)) {
        IL_TRY(il__field_array(at, entry, "demand", false, &list, err));
        IL_TRY(il__field_check_strings(at, list, "demand", err));
    }
    IL_TRY(check_signals(at, entry, err));
    IL_TRY(il__field_array(at, entry, "pairs", false, &list, err));
    for (size_t i = 0; i < json_array_size(list); i++) {
        IL_TRY(check_pair(at, json_array_get(list, i), err));
    }
    IL_TRY(il__field_object(at, entry, "pressed", false, &pressed, err));
    json_object_foreach((json_t *)pressed, key, value)
    {
        IL_TRY(il__field_array(at, pressed, key, false, &list, err));
        IL_TRY(il__field_check_strings(at, list, key, err));
    }
    return IL_OK;
}

il_status il__results_plan(il__results *r, il_error *err)
{
    const char *path = il_arena_printf(r->arena, "%s/plan.json", r->folder);
    il__field_place at = {path, ""};
    const json_t *plan;

    if (path == NULL) {
        return il__results_no_memory(r->folder, err);
    }
    IL_TRY(il__results_document(r, path, true, &plan, err));
    if (plan == NULL) {
        return IL_OK;
    }
    IL_TRY(il__field_check_object(at, plan, err));
    IL_TRY(il__field_array(at, plan, "variants", false, &r->plans, err));
    for (size_t i = 0; i < json_array_size(r->plans); i++) {
        char place[32];

        (void)snprintf(place, sizeof place, "variants[%zu]", i);
        at.path = place;
        IL_TRY(check_entry(at, json_array_get(r->plans, i), err));
    }
    return IL_OK;
}

il_status il__results_certificates(il__results *r, il_error *err)
{
    const char *path = il_arena_printf(r->arena, "%s/certificates.json", r->folder);

    if (path == NULL) {
        return il__results_no_memory(r->folder, err);
    }
    IL_TRY(il__results_document(r, path, true, &r->certificates, err));
    if (r->certificates != NULL && !json_is_array(r->certificates)) {
        return il_error_set(err, IL_ERR_INPUT, path, "expected an array");
    }
    for (size_t i = 0; i < json_array_size(r->certificates); i++) {
        const json_t *item = json_array_get(r->certificates, i);
        const char *text;
        int64_t seed;
        char place[32];

        (void)snprintf(place, sizeof place, "[%zu]", i);
        il__field_place at = {path, place};
        IL_TRY(il__field_check_object(at, item, err));
        IL_TRY(il__field_string(at, item, "stage", true, &text, err));
        IL_TRY(il__field_string(at, item, "variant", false, &text, err));
        IL_TRY(il__field_string(at, item, "tensor", false, &text, err));
        IL_TRY(il__field_string(at, item, "data", false, &text, err));
        IL_TRY(il__field_integer(at, item, "seed", &seed, err));
        IL_TRY(il__field_check_flag(at, item, "held", err));
    }
    return IL_OK;
}
