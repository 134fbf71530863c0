/* A model of a folder at work in a test: the stored cases, one of them opened with a
 * pass, and its forward pass on the case's own tokens. */
#ifndef HF_MODEL_H
#define HF_MODEL_H

#include "pipeline/batch.h"
#include "plugins/hf.h"
#include "tensor/pass.h"
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const cases[] = {
    "gpt2",         "gpt2_untied",   "neox",   "neox_serial", "llama",   "llama_tied",
    "llama_linear", "llama_dynamic", "llama3", "llama_yarn",  "mistral", "qwen2"};

enum { BATCH = 2, T = 12, VOCABULARY = 41 };

static il_pass *pass;
static float **values;
static float **grads;
static il_word *route;

static void model_close(void)
{
    for (size_t i = 0; model != NULL && i < model->store->count; i++) {
        free(grads != NULL ? grads[i] : NULL);
    }
    free(values);
    free(grads);
    free(route);
    values = NULL;
    grads = NULL;
    route = NULL;
    il_pass_destroy(pass);
    pass = NULL;
    hf_close();
}

static void open_folder(const char *folder, const char *more)
{
    const il_blas *blas = NULL;
    const size_t room = 1024;

    ck_assert_msg(make(folder, more) == IL_OK, "%s: %s", err.where, err.message);
    ck_assert_int_eq(il_blas_open(&blas, true, &err), IL_OK);
    ck_assert_int_eq(il_pass_create(&pass, blas, room, &err), IL_OK);
    ck_assert_uint_le(model->store->count, room);
    values = calloc(model->store->count, sizeof *values);
    grads = calloc(model->store->count, sizeof *grads);
    route = calloc(il_bits_words(room), sizeof *route);
    for (size_t i = 0; i < model->store->count; i++) {
        values[i] = model->store->values + model->store->items[i].offset;
        grads[i] = calloc((size_t)model->store->items[i].count, sizeof(float));
        il_bits_set(route, i);
    }
}

static void open_model(const char *name, const char *more)
{
    char folder[600];

    (void)snprintf(folder, sizeof folder, "%s/%s", fixtures(), name);
    open_folder(folder, more);
}

/* What the library computed. */
static il_safetensors *open_expected(const char *name)
{
    char path[700];
    il_safetensors *file = NULL;

    (void)snprintf(path, sizeof path, "%s/%s/expected.safetensors", fixtures(), name);
    ck_assert_msg(il_safetensors_open(&file, path, &err) == IL_OK, "%s", err.message);
    return file;
}

static const void *expected(const il_safetensors *file, const char *name, size_t bytes)
{
    const il_safetensor *t = il_safetensors_find(file, name);

    ck_assert_msg(t != NULL, "no %s in what is expected", name);
    ck_assert_uint_eq(t->bytes, bytes);
    return t->data;
}

static void forward(const il_safetensors *file)
{
    const il_scope scope = {.label = "model",
                            .store = model->store,
                            .values = (const float *const *)values};
    il_batch *b = NULL;
    void *data;

    ck_assert_int_eq(il_batch_create(&b, &err), IL_OK);
    il_batch_reset(b, BATCH);
    data = il_batch_add(b, "tokens", IL_I32, IL_SHAPE(BATCH, T));
    memcpy(data, expected(file, "tokens", sizeof(int32_t[BATCH * T])),
           sizeof(int32_t[BATCH * T]));
    data = il_batch_add(b, "next", IL_I32, IL_SHAPE(BATCH, T));
    memcpy(data, expected(file, "next", sizeof(int32_t[BATCH * T])),
           sizeof(int32_t[BATCH * T]));
    il_pass_begin(pass);
    il_pass_enter(pass, &scope);
    il_instance_model(model)->forward(model->self, pass, b);
    il_pass_leave(pass);
    ck_assert_msg(il_pass_status(pass, &err) == IL_OK, "%s: %s", err.where,
                  err.message);
    il_batch_destroy(b);
}

/* The largest difference of two lists. */
static double apart(const float *a, const float *b, int64_t n)
{
    double worst = 0.0;

    for (int64_t i = 0; i < n; i++) {
        const double d = fabs((double)a[i] - (double)b[i]);

        worst = d > worst || isnan(d) ? d : worst;
    }
    return worst;
}

static double largest(const float *a, int64_t n)
{
    double most = 0.0;

    for (int64_t i = 0; i < n; i++) {
        most = fmax(most, fabs((double)a[i]));
    }
    return most;
}

#endif
