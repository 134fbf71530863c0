/* A host for one component: opens a plugin as it lies in the build, configures it
 * from its own table of params, and records what it declares. Batches are plain
 * memory. What a test of a plugin stands on instead of a pipeline, so that it sees
 * the plugin alone. */
#ifndef TESTS_PLUGINS_HOST_H
#define TESTS_PLUGINS_HOST_H

#include <dlfcn.h>
#include <stdlib.h>
#include "interloop/plugin.h"
#include "pipeline/tensors.h"
#include "pipeline/tokens.h"
#include <check.h>

enum { HOST_PARAMS = 128, HOST_SITES = 128, HOST_VALUES = 16, HOST_FIELDS = 16 };

typedef struct host_param {
    char name[64];
    char group[64];
    int32_t ndim;
    int64_t shape[IL_DIMS_MAX];
    il_init init;
} host_param;

typedef struct host_site {
    char name[64];
    int64_t width;
} host_site;

typedef struct host {
    il_setup setup; /* first, so that slots find the host */
    const il_component *component;
    void *self;
    void *memory;
    il_error err;
    uint64_t seed;
    const char *values[HOST_VALUES][2]; /* name and text, before the table's default */
    struct {
        const char *name;
        int64_t value;
    } facts[HOST_VALUES];
    char group[64];
    host_param params[HOST_PARAMS];
    int32_t param_count;
    host_site sites[HOST_SITES];
    int32_t site_count;
    host_site outputs[HOST_VALUES];
    int32_t output_count;
    char loss[64];
    char loss_weights[64];
    char logged[160];       /* the last line */
    int64_t read_heads[4];  /* 0: it is no attention pattern */
    int64_t read_widths[4]; /* of the sites that a detector reads, up to the first 0 */
    il_tokens *tokens;      /* that it opened; the test closes it */
    il_tensors *tensors[4]; /* likewise; host_tensors_close */
    int32_t tensors_count;
} host;

/* ---- what a component asks of its setup ----------------------------------------- */

static host *host_of(const il_setup *s)
{
    return (host *)(uintptr_t)s;
}

static void *host_new(const il_setup *s, size_t bytes)
{
    host_of(s)->memory = calloc(1, bytes);
    ck_assert_ptr_nonnull(host_of(s)->memory);
    return host_of(s)->memory;
}

static const char *host_text(const il_setup *s, const char *name)
{
    const host *h = host_of(s);

    for (size_t i = 0; i < HOST_VALUES && h->values[i][0] != NULL; i++) {
        if (strcmp(h->values[i][0], name) == 0) {
            return h->values[i][1];
        }
    }
    for (size_t i = 0; i < h->component->param_count; i++) {
        if (strcmp(h->component->params[i].name, name) == 0) {
            return h->component->params[i].initial;
        }
    }
    ck_abort_msg("no param %s in the table", name);
    return NULL;
}

static int64_t host_int(const il_setup *s, const char *name)
{
    return strtoll(host_text(s, name), NULL, 10);
}

static double host_real(const il_setup *s, const char *name)
{
    return strtod(host_text(s, name), NULL);
}

static bool host_flag(const il_setup *s, const char *name)
{
    return strcmp(host_text(s, name), "true") == 0;
}

static uint64_t host_seed(const il_setup *s)
{
    return host_of(s)->seed;
}

static bool host_fact(const il_setup *s, const char *name, int64_t *value)
{
    const host *h = host_of(s);

    for (size_t i = 0; i < HOST_VALUES && h->facts[i].name != NULL; i++) {
        if (strcmp(h->facts[i].name, name) == 0) {
            *value = h->facts[i].value;
            return true;
        }
    }
    return false;
}

static void host_publish(const il_setup *s, const char *name, int64_t value)
{
    host *h = host_of(s);
    size_t i = 0;

    while (h->facts[i].name != NULL) {
        i++;
    }
    h->facts[i].name = name;
    h->facts[i].value = value;
}

static void host_group(const il_setup *s, const char *name)
{
    (void)snprintf(host_of(s)->group, sizeof host_of(s)->group, "%s", name);
}

static il_status host_add_param(const il_setup *s, il_param *out, const char *name,
                                int32_t ndim, const int64_t *shape, il_init init,
                                il_error *err)
{
    host *h = host_of(s);
    host_param *p = &h->params[h->param_count];

    (void)err;
    ck_assert_int_lt(h->param_count, HOST_PARAMS);
    (void)snprintf(p->name, sizeof p->name, "%s", name);
    (void)snprintf(p->group, sizeof p->group, "%s", h->group);
    p->ndim = ndim;
    memcpy(p->shape, shape, (size_t)ndim * sizeof *shape);
    p->init = init;
    out->id = h->param_count++;
    return IL_OK;
}

static il_status host_add_site(const il_setup *s, il_site *out, const char *name,
                               int64_t width, il_error *err)
{
    host *h = host_of(s);

    (void)err;
    ck_assert_int_lt(h->site_count, HOST_SITES);
    (void)snprintf(h->sites[h->site_count].name, sizeof h->sites[0].name, "%s", name);
    h->sites[h->site_count].width = width;
    out->id = h->site_count++;
    return IL_OK;
}

static il_status host_output(const il_setup *s, const char *name, int64_t width,
                             il_error *err)
{
    host *h = host_of(s);
    host_site *o = &h->outputs[h->output_count++];

    (void)err;
    ck_assert_int_le(h->output_count, HOST_VALUES);
    (void)snprintf(o->name, sizeof o->name, "%s", name);
    o->width = width;
    return IL_OK;
}

static il_status host_loss(const il_setup *s, const char *name, const char *weights,
                           il_error *err)
{
    (void)err;
    (void)snprintf(host_of(s)->loss, sizeof host_of(s)->loss, "%s", name);
    (void)snprintf(host_of(s)->loss_weights, sizeof host_of(s)->loss_weights, "%s",
                   weights);
    return IL_OK;
}

static int32_t host_site_count(const il_setup *s)
{
    int32_t n = 0;

    while (n < 4 && host_of(s)->read_widths[n] > 0) {
        n++;
    }
    return n;
}

static int64_t host_site_width(const il_setup *s, int32_t index)
{
    return host_of(s)->read_widths[index];
}

static void host_log(const il_setup *s, const char *line)
{
    (void)snprintf(host_of(s)->logged, sizeof host_of(s)->logged, "%s", line);
}

static il_status host_pattern(const il_setup *s, il_site *out, const char *name,
                              int64_t heads, int64_t keys, il_error *err)
{
    return host_add_site(s, out, name, heads * keys, err);
}

static int64_t host_site_heads(const il_setup *s, int32_t index)
{
    return host_of(s)->read_heads[index];
}

static il_status host_tokenizer(const il_setup *s, const il_tokens **out,
                                const char *path, il_error *err)
{
    il_tokens *t = NULL;

    IL_TRY(il_tokens_open(&t, path, err));
    host_of(s)->tokens = t;
    *out = t;
    return IL_OK;
}

static il_status host_tensors(const il_setup *s, const il_tensors **out,
                              const char *path, const char *naming, il_error *err)
{
    host *h = host_of(s);
    bool rows = h->component->kind != IL_KIND_MODEL;

    ck_assert_int_lt(h->tensors_count, 4);
    IL_TRY(il_tensors_open(&h->tensors[h->tensors_count], path, naming, rows, err));
    *out = h->tensors[h->tensors_count++];
    return IL_OK;
}

IL_UNUSED static void host_tensors_close(host *h)
{
    while (h->tensors_count > 0) {
        il_tensors_close(h->tensors[--h->tensors_count]);
    }
}

static const il_setup_api host_api = {.struct_size = sizeof(il_setup_api),
                                      .new_instance = host_new,
                                      .get_int = host_int,
                                      .get_real = host_real,
                                      .get_flag = host_flag,
                                      .get_text = host_text,
                                      .seed = host_seed,
                                      .fact = host_fact,
                                      .publish = host_publish,
                                      .group = host_group,
                                      .param = host_add_param,
                                      .site = host_add_site,
                                      .output = host_output,
                                      .loss = host_loss,
                                      .site_count = host_site_count,
                                      .site_width = host_site_width,
                                      .log = host_log,
                                      .pattern = host_pattern,
                                      .site_heads = host_site_heads,
                                      .tokenizer = host_tokenizer,
                                      .tensors = host_tensors};

/* ---- a component's life --------------------------------------------------------- */

/* Opens build/plugins/FILE.so and takes its component of that kind and name. */
IL_UNUSED static void host_open_in(host *h, const char *file, const char *name,
                                   il_kind kind)
{
    char path[512];
    void *object;
    const il_plugin *entry;

    memset(h, 0, sizeof *h);
    h->setup.api = &host_api;
    ck_assert_ptr_nonnull(getenv("IL_BUILD"));
    (void)snprintf(path, sizeof path, "%s/plugins/%s.so", getenv("IL_BUILD"), file);
    object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    ck_assert_msg(object != NULL, "%s", dlerror());
    entry = dlsym(object, "il_plugin_entry");
    ck_assert_ptr_nonnull(entry);
    ck_assert_str_eq(entry->space, "interloop");
    for (size_t i = 0; i < entry->component_count; i++) {
        if (strcmp(entry->components[i].name, name) == 0) {
            h->component = &entry->components[i];
        }
    }
    ck_assert_msg(h->component != NULL, "no %s in %s", name, path);
    ck_assert_int_eq(h->component->kind, kind);
}

/* The same where the component's name is the file's. */
IL_UNUSED static void host_open(host *h, const char *name, il_kind kind)
{
    host_open_in(h, name, name, kind);
}

IL_UNUSED static void host_set(host *h, const char *name, const char *text)
{
    size_t i = 0;

    while (h->values[i][0] != NULL && strcmp(h->values[i][0], name) != 0) {
        i++;
    }
    h->values[i][0] = name;
    h->values[i][1] = text;
}

IL_UNUSED static int32_t host_find_site(const host *h, const char *name)
{
    for (int32_t i = 0; i < h->site_count; i++) {
        if (strcmp(h->sites[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

/* ---- batches -------------------------------------------------------------------- */

typedef struct host_batch {
    il_batch batch; /* first, as above */
    int64_t rows;
    int count;
    char names[HOST_FIELDS][32];
    il_tensor fields[HOST_FIELDS];
    size_t bytes[HOST_FIELDS];
} host_batch;

static host_batch *host_batch_of(const il_batch *b)
{
    return (host_batch *)(uintptr_t)b;
}

static void *host_batch_add(il_batch *batch, const char *name, il_type type,
                            int32_t ndim, const int64_t *shape)
{
    static const il_dtype dtypes[] = {{IL_CODE_FLOAT, 32, 1},
                                      {IL_CODE_INT, 32, 1},
                                      {IL_CODE_UINT, 8, 1},
                                      {IL_CODE_INT, 64, 1}};
    host_batch *b = host_batch_of(batch);
    il_tensor *t = &b->fields[b->count];
    size_t bytes = dtypes[type].bits / 8;

    ck_assert_int_lt(b->count, HOST_FIELDS);
    ck_assert_int_eq(shape[0], b->rows);
    (void)snprintf(b->names[b->count], sizeof b->names[0], "%s", name);
    t->dtype = dtypes[type];
    t->device_type = IL_DEVICE_CPU;
    t->ndim = ndim;
    for (int32_t i = 0; i < ndim; i++) {
        t->shape[i] = shape[i];
        bytes *= (size_t)shape[i];
    }
    t->data = calloc(1, bytes);
    b->bytes[b->count++] = bytes;
    ck_assert_ptr_nonnull(t->data);
    return t->data;
}

static const il_tensor *host_batch_find(const il_batch *batch, const char *name)
{
    const host_batch *b = host_batch_of(batch);

    for (int i = 0; i < b->count; i++) {
        if (strcmp(b->names[i], name) == 0) {
            return &b->fields[i];
        }
    }
    return NULL;
}

static int64_t host_batch_rows(const il_batch *batch)
{
    return host_batch_of(batch)->rows;
}

static void host_batch_fail(il_batch *batch, il_status code, const char *message)
{
    (void)batch;
    ck_abort_msg("batch failed with %d: %s", (int)code, message);
}

static const il_batch_api host_batch_api = {.struct_size = sizeof(il_batch_api),
                                            .add = host_batch_add,
                                            .find = host_batch_find,
                                            .rows = host_batch_rows,
                                            .fail = host_batch_fail};

IL_UNUSED static void host_batch_open(host_batch *b, int64_t rows)
{
    memset(b, 0, sizeof *b);
    b->batch.api = &host_batch_api;
    b->rows = rows;
}

IL_UNUSED static void host_batch_close(host_batch *b)
{
    for (int i = 0; i < b->count; i++) {
        free(b->fields[i].data);
    }
}

#endif
