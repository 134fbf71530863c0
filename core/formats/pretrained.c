/* Folders of weights: see pretrained.h. */
#include "formats/pretrained.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/files.h"
#include "formats/safetensors_private.h"

typedef struct entry {
    const il_safetensor *tensor;
    size_t file;
} entry;

typedef struct shard {
    char *name;
    char *path;
    il_safetensors *file;
    bool plain;
} shard;

typedef struct folder {
    il_pretrained pub; /* first: what plugins hold is a pointer to it */
    char *path;
    char *config_name;
    json_t *config;
    char config_hash[IL_HASH_HEX];
    shard *shards;
    size_t shard_count;
    entry *entries; /* by name */
    size_t entry_count;
} folder;

static folder *folder_of(const il_pretrained *p)
{
    return (folder *)(uintptr_t)p;
}

static il_status no_memory(const char *path, il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, path, "out of memory");
}

/* ---- the configuration ---------------------------------------------------------- */

/* What stands at the end of a way like "rope_scaling.factor"; NULL where it ends
 * before, or at null. */
static const json_t *at_path(const il_pretrained *p, const char *path)
{
    const json_t *at = folder_of(p)->config;

    while (at != NULL && *path != '\0') {
        char key[128];
        size_t n = strcspn(path, ".");

        if (n == 0 || n >= sizeof key) {
            return NULL;
        }
        memcpy(key, path, n);
        key[n] = '\0';
        if (json_is_array(at)) {
            char *end;
            unsigned long i = strtoul(key, &end, 10);

            at = *end == '\0' ? json_array_get(at, i) : NULL;
        } else {
            at = json_object_get(at, key);
        }
        path += n + (path[n] == '.');
    }
    return json_is_null(at) ? NULL : at;
}

static bool config_has(const il_pretrained *p, const char *path)
{
    return at_path(p, path) != NULL;
}

static bool config_int(const il_pretrained *p, const char *path, int64_t *value)
{
    const json_t *at = at_path(p, path);

    if (!json_is_integer(at)) {
        return false;
    }
    *value = json_integer_value(at);
    return true;
}

static bool config_real(const il_pretrained *p, const char *path, double *value)
{
    const json_t *at = at_path(p, path);

    if (!json_is_number(at)) {
        return false;
    }
    *value = json_number_value(at);
    return true;
}

static bool config_flag(const il_pretrained *p, const char *path, bool *value)
{
    const json_t *at = at_path(p, path);

    if (!json_is_boolean(at)) {
        return false;
    }
    *value = json_is_true(at);
    return true;
}

static const char *config_text(const il_pretrained *p, const char *path)
{
    return json_string_value(at_path(p, path));
}

static int64_t config_count(const il_pretrained *p, const char *path)
{
    const json_t *at = at_path(p, path);

    if (json_is_array(at)) {
        return (int64_t)json_array_size(at);
    }
    return json_is_object(at) ? (int64_t)json_object_size(at) : -1;
}

/* ---- the tensors ---------------------------------------------------------------- */

static size_t tensor_count(const il_pretrained *p)
{
    return folder_of(p)->entry_count;
}

static const char *tensor_name(const il_pretrained *p, size_t i)
{
    const folder *f = folder_of(p);

    return i < f->entry_count ? f->entries[i].tensor->name : NULL;
}

static int entry_compare(const void *a, const void *b)
{
    return strcmp(((const entry *)a)->tensor->name, ((const entry *)b)->tensor->name);
}

const il_safetensor *il_pretrained_find(const il_pretrained *p, const char *name,
                                        size_t *file)
{
    const folder *f = folder_of(p);
    const il_safetensor wanted = {.name = name};
    const entry key = {.tensor = &wanted};
    const entry *found = f->entry_count > 0 ? bsearch(&key, f->entries, f->entry_count,
                                                      sizeof key, entry_compare)
                                            : NULL;

    if (found == NULL) {
        return NULL;
    }
    *file = found->file;
    return found->tensor;
}

static bool tensor_shape(const il_pretrained *p, const char *name, int32_t *ndim,
                         int64_t shape[IL_DIMS_MAX])
{
    size_t file;
    const il_safetensor *t = il_pretrained_find(p, name, &file);

    if (t == NULL) {
        return false;
    }
    *ndim = t->ndim;
    memcpy(shape, t->shape, sizeof t->shape);
    return true;
}

static const il_pretrained_api table = {
    .struct_size = sizeof table,
    .has = config_has,
    .get_int = config_int,
    .get_real = config_real,
    .get_flag = config_flag,
    .get_text = config_text,
    .get_count = config_count,
    .tensor_count = tensor_count,
    .tensor_name = tensor_name,
    .tensor_shape = tensor_shape,
};

/* ---- opening -------------------------------------------------------------------- */

/* A JSON object of at most `limit` bytes; `hash` of its text, or NULL. */
static il_status read_object(json_t **out, const char *path, size_t limit, char *hash,
                             il_error *err)
{
    char *data = NULL;
    size_t size;
    json_error_t why;
    json_t *json;
    char shown[64];

    IL_TRY(il_file_read(path, limit, &data, &size, err));
    json = json_loadb(data, size, JSON_REJECT_DUPLICATES, &why);
    if (hash != NULL) {
        il_hash_bytes(data, size, hash);
    }
    free(data);
    if (json == NULL && json_error_code(&why) == json_error_out_of_memory) {
        return no_memory(path, err);
    }
    if (json == NULL) {
        return il_error_set(err, IL_ERR_INPUT, path, "line %d: %s", why.line,
                            il__safetensor_show(why.text, shown));
    }
    if (!json_is_object(json)) {
        json_decref(json);
        return il_error_set(err, IL_ERR_INPUT, path, "expected a JSON object");
    }
    *out = json;
    return IL_OK;
}

/* Whether nearly all of a file's bytes are floats at whole floats. */
static bool is_plain(const il_safetensors *file)
{
    const il_mapped *map = il_safetensors_map(file);
    size_t floats = 0;

    for (size_t i = 0; i < il_safetensors_count(file); i++) {
        const il_safetensor *t = il_safetensors_at(file, i);
        size_t at = (size_t)((const char *)t->data - (const char *)map->data);

        if (t->dtype.code == IL_CODE_FLOAT && t->dtype.bits == 32 && at % 4 == 0) {
            floats += t->bytes;
        }
    }
    return floats > map->size / 8 * 7;
}

static il_status open_shard(folder *f, const char *name, il_error *err)
{
    shard *s = &f->shards[f->shard_count];

    s->name = strdup(name);
    s->path = il_path_join(f->path, name);
    f->shard_count++;
    if (s->name == NULL || s->path == NULL) {
        return no_memory(f->path, err);
    }
    IL_TRY(il_safetensors_open(&s->file, s->path, err));
    s->plain = is_plain(s->file);
    return IL_OK;
}

/* Whether a file of the index may be opened: one of this folder, by its own name. */
static bool plain_name(const char *name)
{
    static const char end[] = ".safetensors";
    size_t n = strlen(name);

    return n > sizeof end - 1 && n <= 200 && name[0] != '.' &&
           strchr(name, '/') == NULL && strchr(name, '\\') == NULL &&
           strcmp(name + n - (sizeof end - 1), end) == 0;
}

static int name_compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The index's files, each once and sorted, opened. */
static il_status open_listed(folder *f, const json_t *map, const char *path,
                             il_error *err)
{
    const char **names = calloc(json_object_size(map) + 1, sizeof *names);
    const char *tensor;
    json_t *value;
    size_t n = 0;
    size_t kept = 0;
    char shown[64];
    char shown_file[64];
    il_status status = names != NULL ? IL_OK : no_memory(path, err);

    json_object_foreach((json_t *)map, tensor, value)
    {
        const char *name = json_string_value(value);

        if (status == IL_OK && (name == NULL || !plain_name(name))) {
            status = il_error_set(
                err, IL_ERR_INPUT, path,
                "weight_map: '%s': expected the name of a .safetensors file in this "
                "folder, got '%s'",
                il__safetensor_show(tensor, shown),
                il__safetensor_show(name != NULL ? name : "", shown_file));
        }
        if (status == IL_OK) {
            names[n++] = name;
        }
    }
    if (status == IL_OK) {
        qsort(names, n, sizeof *names, name_compare);
        for (size_t i = 0; i < n; i++) {
            if (i == 0 || strcmp(names[i], names[kept - 1]) != 0) {
                names[kept++] = names[i];
            }
        }
        if (kept == 0 || kept > IL_PRETRAINED_FILES_MAX) {
            status = il_error_set(err, IL_ERR_INPUT, path,
                                  "weight_map: expected 1 to %d files, got %zu",
                                  IL_PRETRAINED_FILES_MAX, kept);
        }
    }
    if (status == IL_OK) {
        f->shards = calloc(kept, sizeof *f->shards);
        status = f->shards != NULL ? IL_OK : no_memory(path, err);
    }
    for (size_t i = 0; status == IL_OK && i < kept; i++) {
        status = open_shard(f, names[i], err);
        if (status == IL_ERR_IO) {
            il_error missing = *err;

            memset(err, 0, sizeof *err);
            status = il_error_set(err, IL_ERR_INPUT, path,
                                  "the index names '%s', which cannot be read: %s",
                                  names[i], missing.message);
        }
    }
    free(names);
    return status;
}

/* What the index says of each tensor is so. */
static il_status check_listed(const folder *f, const json_t *map, const char *path,
                              il_error *err)
{
    const char *tensor;
    json_t *value;
    char shown[64];

    json_object_foreach((json_t *)map, tensor, value)
    {
        size_t file = 0;
        const il_safetensor *t = il_pretrained_find(&f->pub, tensor, &file);

        if (t == NULL || strcmp(f->shards[file].name, json_string_value(value)) != 0) {
            return il_error_set(err, IL_ERR_INPUT, path,
                                "tensor '%s' is not in '%s', where the index has it",
                                il__safetensor_show(tensor, shown),
                                json_string_value(value));
        }
    }
    return IL_OK;
}

/* All tensors of all files by name, none of them twice. */
static il_status list_tensors(folder *f, il_error *err)
{
    size_t count = 0;
    char shown[64];

    for (size_t i = 0; i < f->shard_count; i++) {
        count += il_safetensors_count(f->shards[i].file);
    }
    f->entries = calloc(count + 1, sizeof *f->entries);
    if (f->entries == NULL) {
        return no_memory(f->path, err);
    }
    for (size_t i = 0; i < f->shard_count; i++) {
        for (size_t k = 0; k < il_safetensors_count(f->shards[i].file); k++) {
            f->entries[f->entry_count++] =
                (entry){.tensor = il_safetensors_at(f->shards[i].file, k), .file = i};
        }
    }
    qsort(f->entries, count, sizeof *f->entries, entry_compare);
    for (size_t i = 1; i < count; i++) {
        if (entry_compare(&f->entries[i - 1], &f->entries[i]) == 0) {
            return il_error_set(err, IL_ERR_INPUT, f->path,
                                "tensor '%s' stands in '%s' and in '%s'",
                                il__safetensor_show(f->entries[i].tensor->name, shown),
                                f->shards[f->entries[i - 1].file].name,
                                f->shards[f->entries[i].file].name);
        }
    }
    return IL_OK;
}

/* The files by their index. */
static il_status open_index(folder *f, const char *path, il_error *err)
{
    json_t *index = NULL;
    const json_t *map;
    il_status status = read_object(&index, path, IL_PRETRAINED_INDEX_MAX, NULL, err);

    if (status != IL_OK) {
        return status;
    }
    map = json_object_get(index, "weight_map");
    if (!json_is_object(map)) {
        status = il_error_set(err, IL_ERR_INPUT, path,
                              "weight_map: expected an object, tensor to file");
    }
    if (status == IL_OK) {
        status = open_listed(f, map, path, err);
    }
    if (status == IL_OK) {
        status = list_tensors(f, err);
    }
    if (status == IL_OK) {
        status = check_listed(f, map, path, err);
    }
    json_decref(index);
    return status;
}

static il_status open_weights(folder *f, const char *weights, il_error *err)
{
    char one[256];
    char many[300];
    char *path;
    char *index;
    il_status status;

    (void)snprintf(one, sizeof one, "%s.safetensors", weights);
    (void)snprintf(many, sizeof many, "%s.index.json", one);
    path = il_path_join(f->path, one);
    index = il_path_join(f->path, many);
    if (path == NULL || index == NULL) {
        status = no_memory(f->path, err);
    } else if (il_file_exists(path)) {
        f->shards = calloc(1, sizeof *f->shards);
        status = f->shards != NULL ? open_shard(f, one, err) : no_memory(path, err);
        if (status == IL_OK) {
            status = list_tensors(f, err);
        }
    } else if (il_file_exists(index)) {
        status = open_index(f, index, err);
    } else {
        status =
            il_error_set(err, IL_ERR_INPUT, f->path,
                         "expected '%s' or '%s'; weights in another format have to "
                         "be saved as safetensors first",
                         one, many);
    }
    free(path);
    free(index);
    return status;
}

il_status il_pretrained_open(il_pretrained **out, const char *path, const char *config,
                             const char *weights, il_error *err)
{
    folder *f = calloc(1, sizeof *f);
    char *config_path = il_path_join(path, config);
    il_status status = IL_OK;

    if (f != NULL) {
        f->pub.api = &table;
        f->path = strdup(path);
        f->config_name = strdup(config);
    }
    if (f == NULL || config_path == NULL || f->path == NULL || f->config_name == NULL) {
        status = no_memory(path, err);
    }
    if (status == IL_OK) {
        status = read_object(&f->config, config_path, IL_PRETRAINED_CONFIG_MAX,
                             f->config_hash, err);
    }
    if (status == IL_OK) {
        status = open_weights(f, weights, err);
    }
    free(config_path);
    if (status != IL_OK) {
        il_pretrained_close(f != NULL ? &f->pub : NULL);
        return status;
    }
    *out = &f->pub;
    return IL_OK;
}

void il_pretrained_close(il_pretrained *p)
{
    folder *f = folder_of(p);

    if (f == NULL) {
        return;
    }
    for (size_t i = 0; i < f->shard_count; i++) {
        il_safetensors_close(f->shards[i].file);
        free(f->shards[i].name);
        free(f->shards[i].path);
    }
    free(f->shards);
    free(f->entries);
    json_decref(f->config);
    free(f->config_name);
    free(f->path);
    free(f);
}

/* ---- what the host asks --------------------------------------------------------- */

const char *il_pretrained_folder(const il_pretrained *p)
{
    return folder_of(p)->path;
}

const char *il_pretrained_config_name(const il_pretrained *p)
{
    return folder_of(p)->config_name;
}

const json_t *il_pretrained_config(const il_pretrained *p)
{
    return folder_of(p)->config;
}

const il_mapped *il_pretrained_map(const il_pretrained *p, size_t file)
{
    return il_safetensors_map(folder_of(p)->shards[file].file);
}

const char *il_pretrained_path(const il_pretrained *p, size_t file)
{
    return folder_of(p)->shards[file].path;
}

bool il_pretrained_plain(const il_pretrained *p, size_t file)
{
    return folder_of(p)->shards[file].plain;
}

il_status il_pretrained_hash(const il_pretrained *p, char hex[IL_HASH_HEX],
                             il_error *err)
{
    const folder *f = folder_of(p);
    il_hash *hash = il_hash_create();

    if (hash == NULL) {
        return no_memory(f->path, err);
    }
    il_hash_text(hash, f->config_hash);
    for (size_t i = 0; i < f->shard_count; i++) {
        const il_mapped *map = il_safetensors_map(f->shards[i].file);
        char bulk[IL_HASH_HEX];

        il_hash_bulk(map->data, map->size, bulk);
        il_hash_text(hash, bulk);
    }
    il_hash_done(hash, hex);
    return IL_OK;
}
