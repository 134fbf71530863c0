#include "pipeline/fields.h"

#include <string.h>
#include "base/bits.h"

/* The most fields of an environment's own, the most positions of an episode and the
 * most bytes of a state: far above what anybody needs, low enough to catch garbage. */
enum {
    FIELDS_MAX = 32,
    LENGTH_MAX = 1 << 20,
    STATE_MAX = 1 << 24,
    WIDTH_MAX = 1 << 20
};

static const il_field steps_fields[] = {
    {"obs", IL_FIELD_INPUT, "observations (B,L,W) f32"},
    {"action", IL_FIELD_INPUT, "the action taken at each position, -1 for none"},
    {"lengths", IL_FIELD_INPUT, "positions before padding, (B) i32"},
    {"moves", IL_FIELD_WEIGHT, "1 where an action was taken"},
    {"acted", IL_FIELD_MASK, "where an action was taken"},
    {"episode", IL_FIELD_UNIT, "which episode it is"},
};
static const il_field text_fields[] = {
    {"tokens", IL_FIELD_INPUT, "prompt and answer, padded"},
    {"action", IL_FIELD_TARGET, "the token drawn for the next position, -1 for none"},
    {"lengths", IL_FIELD_INPUT, "tokens before padding, (B) i32"},
    {"moves", IL_FIELD_WEIGHT, "1 where the next token was drawn"},
    {"acted", IL_FIELD_MASK, "where the next token was drawn"},
    {"episode", IL_FIELD_UNIT, "which episode it is"},
};

#define COUNT(table) ((int32_t)(sizeof(table) / sizeof((table)[0])))

const il_field *il_instance_fields(const il_instance *rows, int32_t *count)
{
    *count = 0;
    if (rows->offer->component->kind == IL_KIND_ENVIRONMENT) {
        *count = rows->field_count;
        return rows->fields;
    }
    return il_instance_dataset(rows)->fields(rows->self, count);
}

const il_field *il_field_find(const il_instance *rows, const char *name)
{
    int32_t count = 0;
    const il_field *fields = il_instance_fields(rows, &count);

    for (int32_t i = 0; i < count; i++) {
        if (strcmp(fields[i].name, name) == 0) {
            return &fields[i];
        }
    }
    return NULL;
}

const char *il_field_of_role(const il_instance *rows, il_field_role role)
{
    int32_t count = 0;
    const il_field *fields = il_instance_fields(rows, &count);

    for (int32_t i = 0; i < count; i++) {
        if (fields[i].role == role) {
            return fields[i].name;
        }
    }
    return NULL;
}

int32_t il_split_find(const il_instance *rows, const char *name, int64_t *size)
{
    int32_t count = 0;
    const il_split *splits;

    if (rows->offer->component->kind == IL_KIND_ENVIRONMENT) {
        return -1;
    }
    splits = il_instance_dataset(rows)->splits(rows->self, &count);
    for (int32_t i = 0; i < count; i++) {
        if (strcmp(splits[i].name, name) == 0) {
            *size = splits[i].rows;
            return i;
        }
    }
    return -1;
}

void il_split_check(const il_instance *rows, const char *name, il_place place,
                    il_problems *problems)
{
    const char *names[64];
    const il_split *splits;
    int32_t count = 0;
    size_t n = 0;
    int64_t size = 0;

    if (name == NULL || rows == NULL ||
        rows->offer->component->kind != IL_KIND_DATASET ||
        il_split_find(rows, name, &size) >= 0) {
        return;
    }
    splits = il_instance_dataset(rows)->splits(rows->self, &count);
    for (int32_t i = 0; i < count && n < sizeof names / sizeof *names; i++) {
        names[n++] = splits[i].name;
    }
    il_problem_add_nearest(problems, place, name, names, n,
                           "the data has no split '%s'", name);
}

/* ---- what an environment says of itself ----------------------------------------- */

static il_status check_steps(const il_environment_shape *s, il_error *err)
{
    if (s->state_size < 0 || s->state_size > STATE_MAX || s->state_alignment < 1 ||
        s->state_alignment > 64 || (s->state_alignment & (s->state_alignment - 1))) {
        return il_error_set(err, IL_ERR_INPUT, "",
                            "its state has %lld bytes aligned to %lld: expected 0 to "
                            "%d, aligned to a power of two up to 64",
                            (long long)s->state_size, (long long)s->state_alignment,
                            STATE_MAX);
    }
    if (s->obs_width < 1 || s->obs_width > WIDTH_MAX || s->actions < 1 ||
        s->actions > WIDTH_MAX || s->steps < 1 || s->steps >= LENGTH_MAX) {
        return il_error_set(err, IL_ERR_INPUT, "",
                            "its shape cannot be: observations of width %d, %d "
                            "actions, %d steps; each is to be at least 1",
                            (int)s->obs_width, (int)s->actions, (int)s->steps);
    }
    return IL_OK;
}

static il_status check_text(const il_environment_shape *s, il_error *err)
{
    if (s->vocabulary < 1 || s->prompt_tokens < 1 || s->max_tokens < 1 ||
        s->vocabulary > 1 << 24 || s->prompt_tokens > LENGTH_MAX / 2 ||
        s->max_tokens > LENGTH_MAX / 2) {
        return il_error_set(err, IL_ERR_INPUT, "",
                            "its shape cannot be: %d tokens in the vocabulary, prompts "
                            "of up to %d, answers of up to %d; each is to be at least "
                            "1",
                            (int)s->vocabulary, (int)s->prompt_tokens,
                            (int)s->max_tokens);
    }
    if (s->pad < 0 || s->pad >= s->vocabulary || s->end < 0 ||
        s->end >= s->vocabulary) {
        return il_error_set(err, IL_ERR_INPUT, "",
                            "its pad token %d or end token %d is not among %d tokens",
                            (int)s->pad, (int)s->end, (int)s->vocabulary);
    }
    return IL_OK;
}

static bool role_fits(il_environment_form form, il_field_role role)
{
    switch (role) {
    case IL_FIELD_REWARD:
    case IL_FIELD_LABEL:
    case IL_FIELD_MASK:
        return true;
    case IL_FIELD_TARGET:
    case IL_FIELD_WEIGHT:
        return form == IL_ENVIRONMENT_TEXT; /* its judge writes whole fields */
    default:
        return false;
    }
}

static il_status check_field(const il_field *fields, int32_t known, const il_field *f,
                             il_environment_form form, il_error *err)
{
    if (f->name == NULL || f->name[0] == '\0') {
        return il_error_set(err, IL_ERR_INPUT, "", "one of its fields has no name");
    }
    for (int32_t i = 0; i < known; i++) {
        if (strcmp(fields[i].name, f->name) == 0) {
            return il_error_set(err, IL_ERR_INPUT, "",
                                "its field '%s' stands twice, or is one of those that "
                                "every environment has",
                                f->name);
        }
    }
    if (!role_fits(form, f->role)) {
        return il_error_set(err, IL_ERR_INPUT, "",
                            "its field '%s' has a role that an environment cannot "
                            "fill: expected a reward, a label or a mask",
                            f->name);
    }
    return IL_OK;
}

static il_status merge_fields(il_instance *e, const il_environment_api *api,
                              il_arena *arena, il_error *err)
{
    bool steps = api->form == IL_ENVIRONMENT_STEPS;
    int32_t before = steps ? COUNT(steps_fields) : COUNT(text_fields);
    int32_t count = 0;
    const il_field *own = api->fields(e->self, &count);
    bool labels = false;
    il_field *all;

    if (count < 0 || count > FIELDS_MAX || (count > 0 && own == NULL)) {
        return il_error_set(err, IL_ERR_INPUT, "",
                            "it lists %d fields: expected 0 to %d", (int)count,
                            FIELDS_MAX);
    }
    all = il_arena_calloc(arena, (size_t)(before + count), sizeof *all);
    if (all == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "", "out of memory");
    }
    memcpy(all, steps ? steps_fields : text_fields, (size_t)before * sizeof *all);
    for (int32_t i = 0; i < count; i++) {
        IL_TRY(check_field(all, before + i, &own[i], api->form, err));
        all[before + i] = own[i];
        labels =
            labels || own[i].role == IL_FIELD_LABEL || own[i].role == IL_FIELD_MASK;
    }
    if (steps && labels && !IL_HAS(api, labels)) {
        return il_error_set(err, IL_ERR_INPUT, "",
                            "it lists labels or masks and has no `labels` to fill "
                            "them");
    }
    e->fields = all;
    e->field_count = before + count;
    e->own_fields = before;
    return IL_OK;
}

il_status il_environment_learn(il_instance *environment, il_arena *arena, il_error *err)
{
    const il_environment_api *api = il_instance_environment(environment);
    il_environment_shape *shape = &environment->shape;

    memset(shape, 0, sizeof *shape);
    shape->struct_size = sizeof *shape;
    api->shape(environment->self, shape);
    IL_TRY(api->form == IL_ENVIRONMENT_STEPS ? check_steps(shape, err)
                                             : check_text(shape, err));
    return merge_fields(environment, api, arena, err);
}
