/* The host's side of `create`: every slot of il_setup. */
#include "pipeline/instance_private.h"

#include <stdlib.h>
#include <string.h>

enum { DECLARED_MAX = 4096 };

typedef struct il_instance_host host;

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
    if (d.name == NULL || d.name[0] == '\0' || (list != IL__LOSSES && d.width < 1)) {
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

    IL_TRY(declare(h, IL__SITES, (il_declared){.name = name, .width = width}, err));
    out->id = (int32_t)(h->counts[IL__SITES] - 1);
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
    IL_TRY(declare(h, IL__SITES,
                   (il_declared){.name = name, .width = heads * keys, .heads = heads},
                   err));
    out->id = (int32_t)(h->counts[IL__SITES] - 1);
    return IL_OK;
}

static il_status setup_output(const il_setup *s, const char *name, int64_t width,
                              il_error *err)
{
    return declare(host_of(s), IL__OUTPUTS, (il_declared){.name = name, .width = width},
                   err);
}

static il_status setup_loss(const il_setup *s, const char *name, const char *weights,
                            il_error *err)
{
    return declare(host_of(s), IL__LOSSES,
                   (il_declared){.name = name, .weights = weights}, err);
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

const il_setup_api il__setup_api = {
    .struct_size = sizeof il__setup_api,
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
