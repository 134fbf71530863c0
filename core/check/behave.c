/* What an instance does, as bytes: the same bytes mean the same behaviour. */
#include "check/check_private.h"

#include <string.h>

static void add_floats(il_text *out, const il_tensor *t, int64_t rows, bool leave_first)
{
    const int64_t count = il_count(t);
    const int64_t skip = leave_first && rows > 0 ? count / rows : 0;

    il_text_add_bytes(out, (const char *)(il_f32(t) + skip),
                      (size_t)(count - skip) * sizeof(float));
}

static il_status expect_count(const char *what, const char *name, const il_tensor *t,
                              int64_t count, il_error *err)
{
    return t != NULL && t->data != NULL && il_count(t) == count
               ? IL_OK
               : il__found(err, "its %s '%s' has %lld numbers: expected %lld", what,
                           name, (long long)il_count(t), (long long)count);
}

static il_status add_gradients(il__run *r, il_text *out, il_error *err)
{
    float *grads[1024];

    for (size_t root = 0; root < r->root_count; root++) {
        IL_TRY(il__run_backward(r, root, grads, err));
        for (size_t b = 0; b < r->bits; b++) {
            il_text_add_bytes(out, (const char *)grads[b],
                              (size_t)r->counts[b] * sizeof(float));
        }
    }
    return IL_OK;
}

/* Outputs, sites and losses against what was declared. */
static il_status add_model(const il_instance *i, il__run *r, const il__act *act,
                           il_text *out, il_error *err)
{
    const int64_t positions = act->rows * act->length;

    for (size_t k = 0; k < i->output_count; k++) {
        il_tensor *x = il_pass_output(r->pass, i->outputs[k].name);

        IL_TRY(expect_count("output", i->outputs[k].name, x,
                            positions * i->outputs[k].width, err));
        add_floats(out, x, act->rows, act->leave_first);
    }
    for (size_t k = 0; k < i->site_count; k++) {
        il_tensor *x = il_pass_site(r->pass, (int32_t)k);

        if (x == NULL) {
            return il__found(err, "it hands no activation to its site '%s'",
                             i->sites[k].name);
        }
        add_floats(out, x, act->rows, act->leave_first);
    }
    for (size_t k = 0; k < r->root_count; k++) {
        IL_TRY(expect_count("loss", r->root_names[k], r->roots[k], positions, err));
        add_floats(out, r->roots[k], act->rows, act->leave_first);
    }
    return il_pass_status(r->pass, err);
}

static il_status add_detector(il__run *r, const il__act *act, il_text *out,
                              il_error *err)
{
    IL_TRY(expect_count("logits", "score", r->roots[0], act->rows * act->length, err));
    add_floats(out, r->roots[0], act->rows, act->leave_first);
    return IL_OK;
}

static il_status behave_in_pass(il__trial *t, const il_instance *i, const il__act *act,
                                il_text *out, il_error *err)
{
    il__run r;
    il_status status = il__run_open(&r, t, i, act, err);

    if (status == IL_OK) {
        status = il__run_forward(&r, false, err);
    }
    if (status == IL_OK) {
        status = i->offer->component->kind == IL_KIND_MODEL
                     ? add_model(i, &r, act, out, err)
                     : add_detector(&r, act, out, err);
    }
    if (status == IL_OK && act->gradients) {
        status = add_gradients(&r, out, err);
    }
    il__run_close(&r);
    return status;
}

static il_status behave_dataset(const il_instance *i, const il__act *act, il_text *out,
                                il_error *err)
{
    int32_t count = 0;
    const il_split *splits = il_instance_dataset(i)->splits(i->self, &count);

    for (int32_t s = 0; s < count; s++) {
        il_batch *batch = NULL;
        int64_t rows = splits[s].rows >= 0 && splits[s].rows < act->rows
                           ? splits[s].rows
                           : act->rows;

        IL_TRY(il__dataset_rows(i, s, 0, rows, &batch, err));
        il__batch_bytes(batch, out);
        il_guard_batch_destroy(batch);
    }
    return IL_OK;
}

il_status il__behave(il__trial *t, const il_instance *i, const il__act *act,
                     il_text *out, il_error *err)
{
    switch (i->offer->component->kind) {
    case IL_KIND_MODEL:
    case IL_KIND_DETECTOR:
        return behave_in_pass(t, i, act, out, err);
    case IL_KIND_DATASET:
        return behave_dataset(i, act, out, err);
    case IL_KIND_ENVIRONMENT:
        for (int64_t k = 0; k < act->rows; k++) {
            IL_TRY(il__episode(t, i, act->salt + (uint64_t)k, out, err));
        }
        return IL_OK;
    }
    return IL_OK;
}

il_status il__behave_plain(il__trial *t, const il_instance *i, il_text *out,
                           il_error *err)
{
    const il__act act = {
        .rows = IL__CHECK_ROWS, .length = IL__CHECK_LENGTH, .gradients = true};

    return il__behave(t, i, &act, out, err);
}

il_status il__same(const il_text *a, const il_text *b, const char *what, il_error *err)
{
    size_t at = 0;

    if (a->failed || b->failed) {
        return il_error_set(err, IL_ERR_MEMORY, "", "out of memory");
    }
    while (at < a->size && at < b->size && a->data[at] == b->data[at]) {
        at++;
    }
    return a->size == b->size && at == a->size
               ? IL_OK
               : il__found(err, "%s: byte %zu of %zu differs", what, at, a->size);
}
