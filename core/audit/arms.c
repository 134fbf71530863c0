/* Arms: see arms.h. */
#include "audit/arms.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/files.h"
#include "loop/json.h"

static il_status no_memory(const char *where, il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, where, "out of memory");
}

static const char *text_of(const json_t *row, const char *key, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(row, key));

    return text != NULL ? text : otherwise;
}

static bool is_of(const json_t *row, const il_arm *arm)
{
    return strcmp(text_of(row, "stage", ""), arm->stage) == 0 &&
           strcmp(text_of(row, "variant", ""), arm->variant) == 0;
}

/* Whether a row is what others take for granted. */
static il_status check_row(const json_t *row, size_t number, const char *path,
                           il_error *err)
{
    uint64_t seed;
    const char *metric;
    json_t *value;

    if (!json_is_string(json_object_get(row, "stage")) ||
        !json_is_object(json_object_get(row, "metrics")) ||
        !il__json_seed_read(json_object_get(row, "seed"), &seed)) {
        return il_error_set(err, IL_ERR_INPUT, path,
                            "row %zu: expected a stage, a seed and metrics", number);
    }
    json_object_foreach(json_object_get(row, "metrics"), metric, value)
    {
        if (!json_is_number(value) && !json_is_null(value)) {
            return il_error_set(err, IL_ERR_INPUT, path,
                                "row %zu: expected a number for metric '%s'", number,
                                metric);
        }
    }
    return IL_OK;
}

/* Gathers the rows from `first` on that belong to the arm of that one. */
static bool gather(il_arm *arm, il_arena *arena, const json_t *rows, size_t first)
{
    const json_t *row = json_array_get(rows, first);
    size_t room = json_array_size(rows) - first;
    il_arm_row *out = il_arena_calloc(arena, room, sizeof *out);

    if (out == NULL) {
        return false;
    }
    arm->stage = text_of(row, "stage", "");
    arm->variant = text_of(row, "variant", "");
    arm->role = text_of(row, "role", "");
    arm->twin = text_of(row, "twin", NULL);
    arm->placebos = json_object_get(row, "placebos");
    arm->rows = out;
    for (size_t i = first; i < json_array_size(rows); i++) {
        const json_t *other = json_array_get(rows, i);

        if (is_of(other, arm)) {
            out[arm->count].state = text_of(other, "state", "");
            out[arm->count].metrics = json_object_get(other, "metrics");
            (void)il__json_seed_read(json_object_get(other, "seed"),
                                     &out[arm->count].seed); /* checked before */
            arm->count++;
        }
    }
    return true;
}

static il_status read_rows(il_arms *arms, const char *path, il_error *err)
{
    const json_t *rows = json_object_get(arms->summary, "rows");
    il_arm *items =
        il_arena_calloc(arms->arena, json_array_size(rows) + 1, sizeof *items);

    if (items == NULL) {
        return no_memory(path, err);
    }
    if (!json_is_array(rows)) {
        return il_error_set(err, IL_ERR_INPUT, path, "expected a list of rows");
    }
    arms->items = items;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);

        IL_TRY(check_row(row, i + 1, path, err));
        if (il_arms_find(arms, text_of(row, "stage", ""),
                         text_of(row, "variant", "")) == NULL) {
            if (!gather(&items[arms->count], arms->arena, rows, i)) {
                return no_memory(path, err);
            }
            arms->count++;
        }
    }
    return IL_OK;
}

il_status il_arms_read(il_arms *out, const char *folder, il_error *err)
{
    char *path = il_path_join(folder, "summary.json");
    il_arms arms = {.arena = il_arena_create(1 << 12)};
    il_status status;

    if (path == NULL || arms.arena == NULL) {
        free(path);
        il_arms_free(&arms);
        return no_memory(folder, err);
    }
    status = il__json_read(path, &arms.summary, err);
    if (status == IL_OK) {
        status = read_rows(&arms, path, err);
    }
    free(path);
    if (status != IL_OK) {
        il_arms_free(&arms);
        return status;
    }
    *out = arms;
    return IL_OK;
}

void il_arms_free(il_arms *arms)
{
    il_arena_destroy(arms->arena);
    json_decref(arms->summary);
    memset(arms, 0, sizeof *arms);
}

const il_arm *il_arms_find(const il_arms *arms, const char *stage, const char *variant)
{
    for (size_t i = 0; i < arms->count; i++) {
        if (strcmp(arms->items[i].stage, stage) == 0 &&
            strcmp(arms->items[i].variant, variant != NULL ? variant : "") == 0) {
            return &arms->items[i];
        }
    }
    return NULL;
}

const il_arm_row *il_arm_seed(const il_arm *arm, uint64_t seed)
{
    for (size_t i = 0; i < arm->count; i++) {
        if (arm->rows[i].seed == seed) {
            return &arm->rows[i];
        }
    }
    return NULL;
}

bool il_arm_metric(const il_arm_row *row, const char *metric, double *value)
{
    const json_t *found = json_object_get(row->metrics, metric);

    if (!json_is_number(found) || !isfinite(json_number_value(found))) {
        return false;
    }
    *value = json_number_value(found);
    return true;
}

const char *il_arm_name(const il_arm *arm)
{
    return arm->variant[0] != '\0' ? arm->variant : arm->stage;
}
