/* What PyTorch computed, as a fixture beside the script that made it: numbers by name,
 * and how far ours are from them. */
#ifndef TESTS_PLUGINS_TORCH_H
#define TESTS_PLUGINS_TORCH_H

#include "plugins/trial.h"
#include "formats/safetensors.h"

static il_safetensors *fixture;

/* tests/fixtures/torch/NAME.safetensors, or the file that IL_TORCH_FIXTURE names. */
static void fixture_open(const char *name)
{
    const char *given = getenv("IL_TORCH_FIXTURE");
    char path[512];
    il_error err = {.code = IL_OK};

    ck_assert_ptr_nonnull(getenv("IL_ROOT"));
    (void)snprintf(path, sizeof path, "%s/tests/fixtures/torch/%s.safetensors",
                   getenv("IL_ROOT"), name);
    ck_assert_msg(il_safetensors_open(&fixture, given != NULL ? given : path, &err) ==
                      IL_OK,
                  "%s", err.message);
}

static const il_safetensor *stored(const char *prefix, const char *name)
{
    char full[128];
    const il_safetensor *t;

    (void)snprintf(full, sizeof full, "%s%s", prefix, name);
    t = il_safetensors_find(fixture, full);
    ck_assert_msg(t != NULL, "no %s in the fixture", full);
    return t;
}

/* A copy of a stored tensor as floats; free it. */
static float *stored_floats(const char *prefix, const char *name, int64_t count)
{
    const il_safetensor *t = stored(prefix, name);
    float *out = malloc(t->bytes);

    ck_assert_uint_eq(t->bytes, (size_t)count * sizeof(float));
    memcpy(out, t->data, t->bytes);
    return out;
}

/* The largest difference, in units of the largest of theirs. */
IL_UNUSED static double apart(const float *ours, const char *prefix, const char *name,
                              int64_t count)
{
    float *theirs = stored_floats(prefix, name, count);
    double difference = 0.0;
    double largest = 0.0;

    for (int64_t i = 0; i < count; i++) {
        difference = fmax(difference, fabs((double)ours[i] - (double)theirs[i]));
        largest = fmax(largest, fabs((double)theirs[i]));
    }
    free(theirs);
    ck_assert_msg(largest > 0.0, "%s%s is all zero", prefix, name);
    return difference / largest;
}

/* Gives every parameter the value stored for it. */
IL_UNUSED static void fixture_fill(part *p)
{
    for (size_t i = 0; i < p->store->count; i++) {
        const il_stored *s = &p->store->items[i];
        const il_safetensor *t = stored("param.", s->name);

        ck_assert_int_eq(t->ndim, s->ndim);
        ck_assert_mem_eq(t->shape, s->shape, (size_t)s->ndim * sizeof s->shape[0]);
        memcpy(p->values[i], t->data, t->bytes);
    }
}

#endif
