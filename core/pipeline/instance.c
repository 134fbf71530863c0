/* The host's side of `create`: every slot of il_setup, and what becomes of what was
 * declared through it. */
#include "pipeline/instance.h"

#include <stdlib.h>
#include <string.h>
#include "pipeline/fields.h"

enum { DECLARED_MAX = 4096 };

/* The public part comes first: a setup pointer is a host pointer. Slots take a const
 * setup, yet the host behind it was never const. */
struct il_instance_host {
    il_setup setup;
    il_instance *instance;
    il_arena *arena; /* of the instance; texts, declarations, the instance's memory */
    il_facts *facts;
    il_log *log;
    const int64_t *site_widths;
    const int64_t *site_heads;
    int32_t site_count;
    uint64_t seed;
    const char *group;
    il_declared *lists[3]; /* sites, outputs, losses */
    size_t counts[3];
    size_t rooms[3];
    bool creating; /* the slots are for `create` alone */
    il_setup_fault *fault;
    il_error
        failure; /* of a slot that cannot return one, or whose error was passed over */
};

typedef struct il_instance_host host;

enum { SITES, OUTPUTS, LOSSES };
static const char *const list_names[] = {"site", "output", "loss"};

static host *host_of(const il_setup *s)
{
    return (host *)(uintptr_t)s;
}

static il_kind kind_of(const host *h)
{
    return h->instance->offer->component->kind;
}

static bool gives_rows(const host *h)
{
    return kind_of(h) == IL_KIND_DATASET || kind_of(h) == IL_KIND_ENVIRONMENT;
}

/* Puts an error into err and keeps it, so that a plugin cannot pass over it. */
static il_status fail(host *h, il_status code, il_error *err, const char *fmt, ...)
    IL_PRINTF(4, 5);
static il_status fail(host *h, il_status code, il_error *err, const char *fmt, ...)
{
    char message[IL_ERROR_MESSAGE_MAX];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    (void)il_error_set(&h->failure, code, "", "%s", message);
    return il_error_set(err, code, "", "%s", message);
}

/* Whether this call is the one that is to find no memory. */
static bool starved(host *h)
{
    return h->fault != NULL && ++h->fault->calls == h->fault->at;
}

static void *setup_new(const il_setup *s, size_t bytes)
{
    void *memory = starved(host_of(s))
                       ? NULL
                       : il_arena_calloc(host_of(s)->arena, bytes > 0 ? bytes : 1, 1);

    if (memory == NULL) {
        (void)fail(host_of(s), IL_ERR_MEMORY, NULL, "out of memory");
    }
    return memory;
}

/* The value of that name and type; NULL with the failure kept. */
static const il_param_value *value_of(const il_setup *s, const char *name,
                                      il_param_type type)
{
    host *h = host_of(s);
    const il_param_value *v =
        name != NULL
            ? il_param_value_find(h->instance->params, h->instance->param_count, name)
            : NULL;

    if (v == NULL) {
        (void)fail(h, IL_ERR_INTERNAL, NULL,
                   "asks for the parameter '%s', which its table does not have",
                   name != NULL ? name : "");
        return NULL;
    }
    if (v->spec->type != type &&
        !(type == IL_PARAM_TYPE_TEXT && v->spec->type == IL_PARAM_TYPE_CHOICE)) {
        (void)fail(
            h, IL_ERR_INTERNAL, NULL,
            "asks for the parameter '%s' as another type than its table gives it",
            name);
        return NULL;
    }
    return v;
}

static int64_t setup_int(const il_setup *s, const char *name)
{
    const il_param_value *v = value_of(s, name, IL_PARAM_TYPE_INT);

    return v != NULL ? v->integer : 0;
}

static double setup_real(const il_setup *s, const char *name)
{
    const il_param_value *v = value_of(s, name, IL_PARAM_TYPE_REAL);

    return v != NULL ? v->real : 0;
}

static bool setup_flag(const il_setup *s, const char *name)
{
    const il_param_value *v = value_of(s, name, IL_PARAM_TYPE_FLAG);

    return v != NULL && v->flag;
}

static const char *setup_text(const il_setup *s, const char *name)
{
    const il_param_value *v = value_of(s, name, IL_PARAM_TYPE_TEXT);

    return v != NULL && v->text != NULL ? v->text : "";
}

static uint64_t setup_seed(const il_setup *s)
{
    return host_of(s)->seed;
}

static bool setup_fact(const il_setup *s, const char *name, int64_t *value)
{
    const il_facts *facts = host_of(s)->facts;

    for (size_t i = 0; facts != NULL && name != NULL && i < facts->count; i++) {
        if (strcmp(facts->items[i].name, name) == 0) {
            *value = facts->items[i].value;
            return true;
        }
    }
    return false;
}

static void setup_publish(const il_setup *s, const char *name, int64_t value)
{
    host *h = host_of(s);
    il_facts *facts = h->facts;
    int64_t known;

    if (!gives_rows(h) || name == NULL || name[0] == '\0') {
        (void)fail(h, IL_ERR_UNSUPPORTED, NULL,
                   "publishes the fact '%s': only a dataset or an environment may, "
                   "under a name",
                   name != NULL ? name : "");
        return;
    }
    if (facts == NULL) {
        return;
    }
    if (setup_fact(s, name, &known)) {
        if (known != value) {
            (void)fail(h, IL_ERR_INPUT, NULL,
                       "publishes the fact '%s' as %lld, and it is %lld already", name,
                       (long long)value, (long long)known);
        }
        return;
    }
    if (facts->count == sizeof facts->items / sizeof facts->items[0] ||
        strlen(name) >= sizeof facts->items[0].name) {
        (void)fail(h, IL_ERR_UNSUPPORTED, NULL,
                   "publishes the fact '%.80s': expected at most %zu facts with names "
                   "below %zu bytes",
                   name, sizeof facts->items / sizeof facts->items[0],
                   sizeof facts->items[0].name);
        return;
    }
    strcpy(facts->items[facts->count].name, name);
    facts->items[facts->count++].value = value;
}

static void setup_group(const il_setup *s, const char *name)
{
    host *h = host_of(s);
    const char *copy =
        name != NULL && name[0] != '\0' ? il_arena_strdup(h->arena, name) : NULL;

    if (copy == NULL) {
        (void)fail(h, IL_ERR_INPUT, NULL, "names a group of parameters by no name");
        return;
    }
    h->group = copy;
}

static il_status setup_param(const il_setup *s, il_param *out, const char *name,
                             int32_t ndim, const int64_t *shape, il_init init,
                             il_error *err)
{
    host *h = host_of(s);
    il_store *store = h->instance->store;
    il_error why = {0};

    if (!h->creating || gives_rows(h)) {
        return fail(h, IL_ERR_UNSUPPORTED, err,
                    "parameters are for models and detectors, within `create`");
    }
    if (out == NULL || name == NULL || name[0] == '\0') {
        return fail(h, IL_ERR_INPUT, err, "a parameter needs a handle and a name");
    }
    if (starved(h)) {
        return fail(h, IL_ERR_MEMORY, err, "out of memory");
    }
    if (il_store_add(store, name, h->group, ndim, shape, init, &why) != IL_OK) {
        return fail(h, why.code, err, "parameter '%s': %s", name, why.message);
    }
    out->id = (int32_t)(store->count - 1);
    return IL_OK;
}

/* Adds to one of the three lists; the names of a list are unique. */
static il_status declare(host *h, int list, il_declared d, il_error *err)
{
    if (!h->creating || kind_of(h) != IL_KIND_MODEL) {
        return fail(h, IL_ERR_UNSUPPORTED, err,
                    "a %s is for models to declare, within `create`", list_names[list]);
    }
    if (d.name == NULL || d.name[0] == '\0' || (list != LOSSES && d.width < 1)) {
        return fail(
            h, IL_ERR_INPUT, err,
            "%s '%s': expected a name and a width of at least 1, got width %lld",
            list_names[list], d.name != NULL ? d.name : "", (long long)d.width);
    }
    if (starved(h)) {
        return fail(h, IL_ERR_MEMORY, err, "out of memory");
    }
    for (size_t i = 0; i < h->counts[list]; i++) {
        if (strcmp(h->lists[list][i].name, d.name) == 0) {
            return fail(h, IL_ERR_INPUT, err, "%s '%s' is declared twice",
                        list_names[list], d.name);
        }
    }
    if (h->counts[list] == DECLARED_MAX) {
        return fail(h, IL_ERR_UNSUPPORTED, err, "declares more than %d of %s",
                    DECLARED_MAX, list_names[list]);
    }
    if (h->counts[list] == h->rooms[list]) {
        size_t room = h->rooms[list] > 0 ? 2 * h->rooms[list] : 16;
        il_declared *grown = il_arena_calloc(h->arena, room, sizeof *grown);

        if (grown == NULL) {
            return fail(h, IL_ERR_MEMORY, err, "out of memory");
        }
        if (h->counts[list] > 0) {
            memcpy(grown, h->lists[list], h->counts[list] * sizeof *grown);
        }
        h->lists[list] = grown;
        h->rooms[list] = room;
    }
    d.name = il_arena_strdup(h->arena, d.name);
    if (d.weights != NULL) {
        d.weights = il_arena_strdup(h->arena, d.weights);
    }
    if (d.name == NULL) {
        return fail(h, IL_ERR_MEMORY, err, "out of memory");
    }
    h->lists[list][h->counts[list]++] = d;
    return IL_OK;
}

static il_status setup_site(const il_setup *s, il_site *out, const char *name,
                            int64_t width, il_error *err)
{
    host *h = host_of(s);

    IL_TRY(declare(h, SITES, (il_declared){.name = name, .width = width}, err));
    out->id = (int32_t)(h->counts[SITES] - 1);
    return IL_OK;
}

static il_status setup_pattern(const il_setup *s, il_site *out, const char *name,
                               int64_t heads, int64_t keys, il_error *err)
{
    host *h = host_of(s);

    if (heads < 1 || keys < 1 || heads > INT32_MAX / keys) {
        return fail(h, IL_ERR_INPUT, err,
                    "declares the pattern '%s' of %lld heads and %lld keys",
                    name != NULL ? name : "", (long long)heads, (long long)keys);
    }
    IL_TRY(declare(h, SITES,
                   (il_declared){.name = name, .width = heads * keys, .heads = heads},
                   err));
    out->id = (int32_t)(h->counts[SITES] - 1);
    return IL_OK;
}

static il_status setup_output(const il_setup *s, const char *name, int64_t width,
                              il_error *err)
{
    return declare(host_of(s), OUTPUTS, (il_declared){.name = name, .width = width},
                   err);
}

static il_status setup_loss(const il_setup *s, const char *name, const char *weights,
                            il_error *err)
{
    return declare(host_of(s), LOSSES, (il_declared){.name = name, .weights = weights},
                   err);
}

static il_status setup_pretrained(const il_setup *s, const il_pretrained **out,
                                  const char *folder, const char *config,
                                  const char *weights, il_error *err)
{
    host *h = host_of(s);
    il_instance *i = h->instance;
    il_error why = {0};

    if (!h->creating || kind_of(h) != IL_KIND_MODEL) {
        return fail(h, IL_ERR_UNSUPPORTED, err,
                    "folders of weights are for models, within `create`");
    }
    if (folder == NULL || folder[0] == '\0') {
        return fail(h, IL_ERR_INPUT, err, "a folder of weights needs a name");
    }
    if (i->opened_count == sizeof i->opened / sizeof i->opened[0]) {
        return fail(h, IL_ERR_UNSUPPORTED, err,
                    "opens more than %zu folders of weights",
                    sizeof i->opened / sizeof i->opened[0]);
    }
    if (starved(h)) {
        return fail(h, IL_ERR_MEMORY, err, "out of memory");
    }
    if (il_pretrained_open(&i->opened[i->opened_count], folder, config, weights,
                           &why) != IL_OK) {
        return fail(h, why.code, err, "%s: %s", why.where, why.message);
    }
    *out = i->opened[i->opened_count++];
    return IL_OK;
}

static il_status setup_param_from(const il_setup *s, il_param *out, const char *name,
                                  const il_pretrained *from, const char *tensor,
                                  int32_t ndim, const int64_t *shape, il_error *err)
{
    host *h = host_of(s);
    il_store *store = h->instance->store;
    il_error why = {0};
    size_t file = 0;
    const il_safetensor *t =
        from != NULL && tensor != NULL ? il_pretrained_find(from, tensor, &file) : NULL;
    il_store_source source;
    char expected[96];
    char got[96];

    if (!h->creating || kind_of(h) != IL_KIND_MODEL || out == NULL || name == NULL ||
        name[0] == '\0') {
        return fail(h, IL_ERR_UNSUPPORTED, err,
                    "parameters with a handle and a name are for models, within "
                    "`create`");
    }
    if (starved(h)) {
        return fail(h, IL_ERR_MEMORY, err, "out of memory");
    }
    if (t == NULL) {
        return fail(h, IL_ERR_INPUT, err, "%s has no tensor '%s'",
                    from != NULL ? il_pretrained_folder(from) : "nothing",
                    tensor != NULL ? tensor : "");
    }
    if (t->ndim != ndim || memcmp(t->shape, shape, (size_t)ndim * sizeof *shape) != 0) {
        return fail(h, IL_ERR_INPUT, err,
                    "%s: tensor '%s': expected the shape %s, got %s",
                    il_pretrained_path(from, file), tensor,
                    il_array_shape(ndim, shape, expected),
                    il_array_shape(t->ndim, t->shape, got));
    }
    source = (il_store_source){.data = t->data, .dtype = t->dtype};
    if (il_pretrained_plain(from, file) &&
        ((const char *)t->data - (const char *)il_pretrained_map(from, file)->data) %
                4 ==
            0) {
        source.map = il_pretrained_map(from, file);
        source.path = il_pretrained_path(from, file);
    }
    if (il_store_add_from(store, name, h->group, ndim, shape, &source, &why) != IL_OK) {
        return fail(h, why.code, err, "%s: tensor '%s': %s; got %s",
                    il_pretrained_path(from, file), tensor, why.message,
                    il_dtype_text(t->dtype, got));
    }
    out->id = (int32_t)(store->count - 1);
    return IL_OK;
}

static void setup_note(const il_setup *s, const char *name, const char *text)
{
    host *h = host_of(s);
    il_instance *i = h->instance;
    size_t at = 0;

    while (at < i->note_count && name != NULL && strcmp(i->notes[at].name, name) != 0) {
        at++;
    }
    if (!h->creating || name == NULL || text == NULL ||
        at == sizeof i->notes / sizeof i->notes[0]) {
        (void)fail(h, IL_ERR_UNSUPPORTED, NULL,
                   "leaves the note '%.80s': expected at most %zu with names and texts",
                   name != NULL ? name : "", sizeof i->notes / sizeof i->notes[0]);
        return;
    }
    i->notes[at].name = il_arena_strdup(h->arena, name);
    i->notes[at].text = il_arena_strdup(h->arena, text);
    if (starved(h) || i->notes[at].name == NULL || i->notes[at].text == NULL) {
        (void)fail(h, IL_ERR_MEMORY, NULL, "out of memory");
        return;
    }
    i->note_count += at == i->note_count;
}

static il_status setup_tokenizer(const il_setup *s, const il_tokens **out,
                                 const char *path, il_error *err)
{
    host *h = host_of(s);
    il_instance *i = h->instance;
    il_error why = {0};

    if (!h->creating || !gives_rows(h)) {
        return fail(h, IL_ERR_UNSUPPORTED, err,
                    "tokenizers are for datasets and environments, within `create`");
    }
    if (path == NULL || path[0] == '\0') {
        return fail(h, IL_ERR_INPUT, err, "a tokenizer needs a file or a folder");
    }
    if (i->tokenizer_count == sizeof i->tokenizers / sizeof i->tokenizers[0]) {
        return fail(h, IL_ERR_UNSUPPORTED, err, "opens more than %zu tokenizers",
                    sizeof i->tokenizers / sizeof i->tokenizers[0]);
    }
    if (starved(h)) {
        return fail(h, IL_ERR_MEMORY, err, "out of memory");
    }
    if (il_tokens_open(&i->tokenizers[i->tokenizer_count], path, &why) != IL_OK) {
        return fail(h, why.code, err, "%s: %s", why.where, why.message);
    }
    *out = i->tokenizers[i->tokenizer_count++];
    return IL_OK;
}

static il_status setup_tensors(const il_setup *s, const il_tensors **out,
                               const char *path, const char *naming, il_error *err)
{
    host *h = host_of(s);
    il_instance *i = h->instance;
    il_error why = {0};

    if (!h->creating || kind_of(h) == IL_KIND_DETECTOR) {
        return fail(h, IL_ERR_UNSUPPORTED, err,
                    "shards of tensors are for datasets, environments and models, "
                    "within `create`");
    }
    if (path == NULL || path[0] == '\0') {
        return fail(h, IL_ERR_INPUT, err, "shards of tensors need a file or a folder");
    }
    if (i->tensors_count == sizeof i->tensors / sizeof i->tensors[0]) {
        return fail(h, IL_ERR_UNSUPPORTED, err,
                    "opens more than %zu folders of tensors",
                    sizeof i->tensors / sizeof i->tensors[0]);
    }
    if (starved(h)) {
        return fail(h, IL_ERR_MEMORY, err, "out of memory");
    }
    if (il_tensors_open(&i->tensors[i->tensors_count], path, naming, gives_rows(h),
                        &why) != IL_OK) {
        return fail(h, why.code, err, "%s: %s", why.where, why.message);
    }
    *out = i->tensors[i->tensors_count++];
    return IL_OK;
}

static int32_t setup_site_count(const il_setup *s)
{
    return host_of(s)->site_count;
}

static int64_t setup_site_width(const il_setup *s, int32_t index)
{
    host *h = host_of(s);

    if (index < 0 || index >= h->site_count) {
        (void)fail(h, IL_ERR_INPUT, NULL, "asks for site %d, and it reads %d",
                   (int)index, (int)h->site_count);
        return 0;
    }
    return h->site_widths[index];
}

static int64_t setup_site_heads(const il_setup *s, int32_t index)
{
    const host *h = host_of(s);

    return index >= 0 && index < h->site_count ? h->site_heads[index] : 0;
}

static void setup_log(const il_setup *s, const char *line)
{
    const host *h = host_of(s);

    if (line != NULL) {
        il_log_write(h->log, IL_LOG_INFO, h->instance->label, "%s", line);
    }
}

static const il_setup_api setup_api = {
    .struct_size = sizeof setup_api,
    .new_instance = setup_new,
    .get_int = setup_int,
    .get_real = setup_real,
    .get_flag = setup_flag,
    .get_text = setup_text,
    .seed = setup_seed,
    .fact = setup_fact,
    .publish = setup_publish,
    .group = setup_group,
    .param = setup_param,
    .site = setup_site,
    .output = setup_output,
    .loss = setup_loss,
    .site_count = setup_site_count,
    .site_width = setup_site_width,
    .pattern = setup_pattern,
    .site_heads = setup_site_heads,
    .tokenizer = setup_tokenizer,
    .tensors = setup_tensors,
    .log = setup_log,
    .pretrained = setup_pretrained,
    .param_from = setup_param_from,
    .note = setup_note,
};

static void destroy_self(const il_component *c, void *self)
{
    void (*destroy)(void *) = NULL;

    if (c->kind == IL_KIND_MODEL && IL_HAS((const il_model_api *)c->api, destroy)) {
        destroy = ((const il_model_api *)c->api)->destroy;
    } else if (c->kind == IL_KIND_DATASET) {
        destroy = ((const il_dataset_api *)c->api)->destroy;
    } else if (c->kind == IL_KIND_ENVIRONMENT &&
               IL_HAS((const il_environment_api *)c->api, destroy)) {
        destroy = ((const il_environment_api *)c->api)->destroy;
    } else if (c->kind == IL_KIND_DETECTOR &&
               IL_HAS((const il_detector_api *)c->api, destroy)) {
        destroy = ((const il_detector_api *)c->api)->destroy;
    }
    if (destroy != NULL && self != NULL) {
        destroy(self);
    }
}

static il_status call_create(const il_component *c, const il_setup *s, void **self,
                             il_error *err)
{
    switch (c->kind) {
    case IL_KIND_MODEL:
        return ((const il_model_api *)c->api)->create(s, self, err);
    case IL_KIND_DATASET:
        return ((const il_dataset_api *)c->api)->create(s, self, err);
    case IL_KIND_DETECTOR:
        return ((const il_detector_api *)c->api)->create(s, self, err);
    case IL_KIND_ENVIRONMENT:
        return ((const il_environment_api *)c->api)->create(s, self, err);
    }
    return il_error_set(err, IL_ERR_UNSUPPORTED, "",
                        "cannot make a component of kind %d", (int)c->kind);
}

/* Runs `create`, and takes its failures and those of the slots for one. */
static il_status run_create(il_instance *i, il_error *err)
{
    const il_component *c = i->offer->component;
    host *h = i->host;
    void *self = NULL;
    il_status status;

    h->creating = true;
    status = call_create(c, &h->setup, &self, err);
    h->creating = false;
    if (status != IL_OK) {
        /* It left nothing; whether it also said why is another matter. */
        return il_error_set(err, status, "", "%s",
                            h->failure.code != IL_OK
                                ? h->failure.message
                                : "create failed without a reason");
    }
    if (h->failure.code == IL_OK && self == NULL) {
        (void)fail(h, IL_ERR_INTERNAL, NULL, "create gave no instance");
    }
    if (h->failure.code != IL_OK) {
        destroy_self(c, self);
        return il_error_set(err, h->failure.code, "", "%s", h->failure.message);
    }
    i->self = self;
    return IL_OK;
}

/* One line: id, version, the file's hash, and the params with all defaults. */
static il_status write_identity(il_instance *i, il_error *err)
{
    il_text text = {0};
    il_status status = IL_OK;

    il_text_addf(&text, "%s %s %s ", i->offer->id, i->offer->file->version,
                 i->offer->file->sha256);
    il_param_values_write(&text, i->params, i->param_count);
    i->identity = text.failed ? NULL : il_arena_strdup(i->host->arena, text.data);
    if (i->identity == NULL) {
        status = il_error_set(err, IL_ERR_MEMORY, "", "out of memory");
    }
    il_text_free(&text);
    return status;
}

/* An instance with its host, store and texts, before params and `create`. */
static il_status prepare(il_instance **out, const il_instance_input *in,
                         const il_offer *offer, il_error *err)
{
    il_instance *i = calloc(1, sizeof *i);
    host *h = calloc(1, sizeof *h);
    int64_t *widths;
    int64_t *heads;

    if (i == NULL || h == NULL || (h->arena = il_arena_create(1 << 13)) == NULL) {
        free(i);
        free(h);
        return il_error_set(err, IL_ERR_MEMORY, "", "out of memory");
    }
    *out = i; /* from here on il_instance_destroy releases it all */
    i->offer = offer;
    i->host = h;
    i->label = il_arena_strdup(h->arena, in->label);
    h->setup.api = &setup_api;
    h->instance = i;
    h->facts = in->facts;
    h->log = in->log;
    h->seed = in->seed;
    h->group = "model";
    h->site_count = in->site_count;
    h->fault = in->fault;
    widths = il_arena_calloc(h->arena, (size_t)in->site_count + 1, sizeof *widths);
    heads = il_arena_calloc(h->arena, (size_t)in->site_count + 1, sizeof *heads);
    if (i->label == NULL || widths == NULL || heads == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "", "out of memory");
    }
    if (in->site_count > 0) {
        memcpy(widths, in->site_widths, (size_t)in->site_count * sizeof *widths);
    }
    if (in->site_count > 0 && in->site_heads != NULL) {
        memcpy(heads, in->site_heads, (size_t)in->site_count * sizeof *heads);
    }
    h->site_widths = widths;
    h->site_heads = heads;
    return il_store_create(&i->store, err);
}

static il_status check_params(il_instance *i, const il_component_spec *spec,
                              il_problems *problems, il_error *err)
{
    const il_component *c = i->offer->component;
    il_param_value *values =
        il_arena_calloc(i->host->arena, c->param_count + 1, sizeof *values);
    char owner[320];

    if (values == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "", "out of memory");
    }
    i->params = values;
    i->param_count = c->param_count;
    (void)snprintf(owner, sizeof owner, "%s '%s'", il_kind_name(c->kind), i->offer->id);
    if (!il_params_check(i->host->arena, spec->params, owner, spec->place, c->params,
                         c->param_count, values, problems)) {
        return il_error_set(err, problems->no_memory ? IL_ERR_MEMORY : IL_ERR_INPUT, "",
                            "its params are wrong");
    }
    for (size_t p = 0; p < c->param_count; p++) {
        if (values[p].given && (values[p].spec->flags & IL_PARAM_DEPRECATED)) {
            il_log_write(i->host->log, IL_LOG_WARN, i->label,
                         "%s:%d: parameter `%s` is deprecated: %s",
                         values[p].place.file != NULL ? values[p].place.file : "",
                         values[p].place.line, values[p].spec->name,
                         values[p].spec->help);
        }
    }
    return IL_OK;
}

static void publish_lists(il_instance *i)
{
    host *h = i->host;

    i->sites = h->lists[SITES];
    i->site_count = h->counts[SITES];
    i->outputs = h->lists[OUTPUTS];
    i->output_count = h->counts[OUTPUTS];
    i->losses = h->lists[LOSSES];
    i->loss_count = h->counts[LOSSES];
}

static void place_text(il_place place, char *out, size_t size)
{
    if (place.line > 0) {
        (void)snprintf(out, size, "%s:%d:%d", place.file != NULL ? place.file : "",
                       place.line, place.column);
    } else {
        (void)snprintf(out, size, "%s", place.file != NULL ? place.file : "");
    }
}

il_status il_instance_make(il_instance **out, const il_offer *offer,
                           const il_component_spec *spec, const il_instance_input *in,
                           il_problems *problems, il_error *err)
{
    il_instance *i = NULL;
    il_error why = {0};
    char where[IL_ERROR_WHERE_MAX];
    il_status status = prepare(&i, in, offer, &why);

    place_text(spec->use_place.line > 0 ? spec->use_place : spec->place, where,
               sizeof where);
    if (status == IL_OK) {
        status = check_params(i, spec, problems, &why);
    }
    if (status == IL_OK) {
        status = write_identity(i, &why);
    }
    if (status == IL_OK) {
        status = run_create(i, &why);
    }
    if (status == IL_OK && offer->component->kind == IL_KIND_ENVIRONMENT) {
        status = il_environment_learn(i, i->host->arena, &why);
    }
    if (status == IL_OK && in->query_width > 0) {
        status = il_store_add(i->store, "pool.query", in->label,
                              IL_SHAPE(1, in->query_width), IL_INIT_ZERO, &why);
    }
    if (status == IL_OK && i->store->count > 0 && !in->bare) {
        status = il_store_fill(i->store, in->seed, &why);
    }
    if (status != IL_OK) {
        il_instance_destroy(i);
        return il_error_set(err, status, where, "%s '%s' %s: %s%s%s",
                            il_kind_name(offer->component->kind), offer->id,
                            offer->file->version, why.where,
                            why.where[0] != '\0' ? ": " : "", why.message);
    }
    i->host->fault = NULL; /* the caller's, and perhaps gone by now */
    publish_lists(i);
    *out = i;
    return IL_OK;
}

il_status il_instance_create(il_instance **out, const il_registry *registry,
                             il_kind kind, const il_component_spec *spec,
                             const il_instance_input *in, il_problems *problems,
                             il_error *err)
{
    const il_offer *offer = NULL;
    il_error why = {0};
    char where[IL_ERROR_WHERE_MAX];
    il_status status =
        il_registry_find(registry, kind, spec->use, spec->range, &offer, &why);

    if (status != IL_OK) {
        place_text(spec->use_place.line > 0 ? spec->use_place : spec->place, where,
                   sizeof where);
        return il_error_set(err, status, where, "%s", why.message);
    }
    return il_instance_make(out, offer, spec, in, problems, err);
}

void il_instance_destroy(il_instance *i)
{
    if (i != NULL) {
        destroy_self(i->offer->component, i->self);
        il_store_destroy(i->store);
        for (size_t k = 0; k < i->opened_count; k++) {
            il_pretrained_close(i->opened[k]);
        }
        for (size_t k = 0; k < i->tokenizer_count; k++) {
            il_tokens_close(i->tokenizers[k]);
        }
        for (size_t k = 0; k < i->tensors_count; k++) {
            il_tensors_close(i->tensors[k]);
        }
        il_arena_destroy(i->host->arena);
        free(i->host);
        free(i);
    }
}

il_status il_instance_address(il_instance *i, const char **out, il_error *err)
{
    /* A dataset's fingerprint speaks of its own. */
    size_t tensors = i->offer->component->kind == IL_KIND_MODEL ? i->tensors_count : 0;

    if (i->opened_count + tensors > 0 && i->address == NULL) {
        il_text text = {0};
        il_status status = IL_OK;

        il_text_add(&text, i->identity);
        for (size_t k = 0; k < i->opened_count && status == IL_OK; k++) {
            char hex[IL_HASH_HEX];

            status = il_pretrained_hash(i->opened[k], hex, err);
            il_text_addf(&text, " %s", hex);
        }
        for (size_t k = 0; k < tensors; k++) {
            il_text_addf(&text, " %s", il_tensors_hash(i->tensors[k]));
        }
        if (status == IL_OK && !text.failed) {
            i->address = il_arena_strdup(i->host->arena, text.data);
        }
        il_text_free(&text);
        if (i->address == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, i->label, "out of memory");
        }
    }
    *out = i->address != NULL ? i->address : i->identity;
    return IL_OK;
}

const char *il_instance_note(const il_instance *i, const char *name)
{
    for (size_t k = 0; k < i->note_count; k++) {
        if (strcmp(i->notes[k].name, name) == 0) {
            return i->notes[k].text;
        }
    }
    return NULL;
}

int64_t il_instance_site(const il_instance *i, const char *name)
{
    for (size_t s = 0; s < i->site_count; s++) {
        if (strcmp(i->sites[s].name, name) == 0) {
            return (int64_t)s;
        }
    }
    return -1;
}
