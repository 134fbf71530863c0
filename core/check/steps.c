/* Whether a model that acts step by step is the model of the forward pass. */
#include "check/check_private.h"

#include <math.h>
#include <string.h>

/* Positions [at, at+count) of a field (B,L,...), under a name of its own. */
static bool add_part(il_batch *to, const il_batch *from, const char *name, int64_t at,
                     int64_t count)
{
    const il_tensor *t = il_batch_find(from, name);
    int64_t shape[IL_DIMS_MAX];
    size_t position;
    size_t row;
    char *data;

    if (t == NULL) {
        return true; /* of the other world */
    }
    memcpy(shape, t->shape, sizeof shape);
    shape[1] = count;
    position = t->dtype.bits / 8u * (t->ndim > 2 ? (size_t)t->shape[2] : 1);
    row = position * (size_t)t->shape[1];
    data = il_batch_add(to, name, t->dtype.code == IL_CODE_FLOAT ? IL_F32 : IL_I32,
                        t->ndim, shape);
    for (int64_t b = 0; data != NULL && b < t->shape[0]; b++) {
        memcpy(data + (size_t)(b * count) * position,
               (const char *)t->data + (size_t)b * row + (size_t)at * position,
               (size_t)count * position);
    }
    return data != NULL;
}

/* The action before each position, -1 where there was none. */
static bool add_previous(il_batch *to, const il_batch *from, int64_t at, int64_t count)
{
    const il_tensor *action = il_batch_find(from, "action");
    int32_t *data;

    if (action == NULL) {
        return true;
    }
    data = il_batch_add(to, "previous", IL_I32, IL_SHAPE(action->shape[0], count));
    for (int64_t b = 0; data != NULL && b < action->shape[0]; b++) {
        for (int64_t k = 0; k < count; k++) {
            data[b * count + k] =
                at + k > 0 ? il_i32(action)[b * action->shape[1] + at + k - 1] : -1;
        }
    }
    return data != NULL;
}

/* A declared output of the step against the same positions of the forward pass. */
static il_status compare(const il_instance *i, il__run *r, const il_text *outputs,
                         int64_t at, int64_t count, il_error *err)
{
    const float *whole = (const float *)(const void *)outputs->data;

    for (size_t k = 0; k < i->output_count; k++) {
        const int64_t width = i->outputs[k].width;
        const il_tensor *x = il_pass_output(r->pass, i->outputs[k].name);

        if (x == NULL || il_count(x) != IL__CHECK_ROWS * count * width) {
            return il__found(err,
                             "its step gives the output '%s' %lld numbers: expected "
                             "%lld",
                             i->outputs[k].name, (long long)il_count(x),
                             (long long)(IL__CHECK_ROWS * count * width));
        }
        for (int64_t e = 0; e < il_count(x); e++) {
            const int64_t b = e / (count * width);
            const double expected = (double)
                whole[b * IL__CHECK_LENGTH * width + at * width + e % (count * width)];
            const double got = (double)il_f32(x)[e];

            if (!(fabs(got - expected) <= 1e-4 + 1e-3 * fabs(expected))) {
                return il__found(err,
                                 "its step gives %g in the output '%s' at position "
                                 "%lld, and its forward pass %g",
                                 got, i->outputs[k].name,
                                 (long long)(at + e % (count * width) / width),
                                 expected);
            }
        }
        whole += IL__CHECK_ROWS * IL__CHECK_LENGTH * width;
    }
    return IL_OK;
}

/* Positions [at, at+count) in one call, as a prompt or an action comes. */
static il_status step_once(il__trial *t, const il_instance *i, il__run *r,
                           const il_text *outputs, float *carry, int64_t at,
                           int64_t count, il_error *err)
{
    il_batch *part = il_guard_batch(IL__CHECK_ROWS);
    const il_batch *whole = il__run_batch(r);

    if (part == NULL || !add_part(part, whole, "tokens", at, count) ||
        !add_part(part, whole, "obs", at, count) ||
        !add_previous(part, whole, at, count)) {
        return il_error_set(err, IL_ERR_MEMORY, "", "out of memory");
    }
    il_guard_batch_seal(part);
    il__note(t, "step at position %lld", (long long)at);
    IL_TRY(il__run_step(r, part, at, IL__CHECK_LENGTH, carry, err));
    IL_TRY(compare(i, r, outputs, at, count, err));
    il_guard_batch_destroy(part);
    return IL_OK;
}

/* Steps through the positions and holds each against the forward pass, with whatever is
 * bound to the pass. `memory` is of the carry, which begins with zeros. */
static il_status hold(il__trial *t, const il_instance *i, il__run *r, float *carry,
                      size_t bytes, il_error *err)
{
    il_text outputs = {0};

    IL_TRY(il__run_forward(r, false, err));
    for (size_t k = 0; k < i->output_count; k++) {
        const il_tensor *x = il_pass_output(r->pass, i->outputs[k].name);

        il_text_add_bytes(&outputs, (const char *)il_f32(x),
                          (size_t)il_count(x) * sizeof(float));
    }
    if (outputs.failed) {
        return il_error_set(err, IL_ERR_MEMORY, "", "out of memory");
    }
    memset(carry, 0, bytes);
    /* A text begins with a prompt of some tokens; an episode with one look. */
    for (int64_t at = 0; at < IL__CHECK_LENGTH;) {
        int64_t count = at == 0 && t->world == IL__WORLD_TEXT ? 3 : 1;

        IL_TRY(step_once(t, i, r, &outputs, carry, at, count, err));
        at += count;
    }
    il_text_free(&outputs);
    return il_guard_holds(carry, bytes, sizeof *carry)
               ? IL_OK
               : il__found(err, "its step writes past the edge of the carry");
}

/* An instance that acts, its run and its carry; *i is NULL where there is nothing to
 * try. */
static il_status open_steps(il__trial *t, il_instance **i, il__run *r, float **carry,
                            size_t *bytes, il_error *err)
{
    const il__act act = {.rows = IL__CHECK_ROWS, .length = IL__CHECK_LENGTH};
    const il_model_api *api;

    IL_TRY(il__subject_plain(t, i, err));
    if (*i == NULL) {
        return IL_OK;
    }
    api = il_instance_model(*i);
    if (!IL_HAS(api, step) || !IL_HAS(api, carry_width)) {
        *i = NULL;
        return il__skip(t, "it does not act step by step");
    }
    IL_TRY(il__run_open(r, t, *i, &act, err));
    *bytes = IL__CHECK_ROWS * (size_t)api->carry_width((*i)->self, IL__CHECK_LENGTH) *
             sizeof **carry;
    *carry = il_guard_alloc(*bytes, sizeof **carry);
    return *carry != NULL ? IL_OK
                          : il_error_set(err, IL_ERR_MEMORY, "", "out of memory");
}

il_status il__steps_like_forward(il__trial *t, il_error *err)
{
    il_instance *i = NULL;
    float *carry = NULL;
    size_t bytes = 0;
    il__run r;

    IL_TRY(open_steps(t, &i, &r, &carry, &bytes, err));
    return i != NULL ? hold(t, i, &r, carry, bytes, err) : IL_OK;
}

/* Halves what passes and moves it: no site is at rest under that. */
static il_tensor *disturb(const void *user, il_pass *pass, il_tensor *x,
                          const il_edit_at *at)
{
    (void)user;
    (void)at;
    return il_affine(pass, x, 0.5f, 0.25f);
}

il_status il__steps_like_forward_edited(il__trial *t, il_error *err)
{
    il_site_edit edit = {.tokens = "all", .marker = -1, .apply = disturb};
    const il_edit_at at = {.strength = 1.0f};
    il_instance *i = NULL;
    float *carry = NULL;
    size_t bytes = 0;
    il__run r;

    IL_TRY(open_steps(t, &i, &r, &carry, &bytes, err));
    for (size_t k = 0; i != NULL && k < i->site_count; k++) {
        il_status status;

        edit.site = (int32_t)k;
        il_pass_edits_clear(r.pass);
        IL_TRY(il_pass_edit(r.pass, &edit, &at, err));
        status = hold(t, i, &r, carry, bytes, err);
        if (status != IL_OK) {
            il_error inner = *err;

            err->code = IL_OK;
            return il_error_set(err, inner.code, inner.where,
                                "with what passes the site '%s' edited, %s",
                                i->sites[k].name, inner.message);
        }
    }
    return IL_OK;
}
