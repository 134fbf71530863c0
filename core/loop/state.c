#include "loop/state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/files.h"
#include "base/compiler.h"
#include "loop/json.h"

enum { STATE_VERSION = 1, STATE_READS_MAX = 100, STATE_JSON_MAX = 256 << 20 };

/* The tensors of a pair lie in either of two files, so that the one in use is never
 * written to. */
static const char *const slots[2] = {".safetensors", "-2.safetensors"};

static il_status out_of_memory(il_error *err, const char *where)
{
    return il_error_set(err, IL_ERR_MEMORY, where, "out of memory");
}

/* --- pairs -------------------------------------------------------------------------
 */

/* folder/NAME and an ending; malloc'ed. */
static char *pair_path(const char *folder, const char *name, const char *ending)
{
    char *base = il_path_join(folder, name);
    size_t room = base != NULL ? strlen(base) + strlen(ending) + 1 : 0;
    char *path = base != NULL ? malloc(room) : NULL;

    if (path != NULL) {
        (void)snprintf(path, room, "%s%s", base, ending);
    }
    free(base);
    return path;
}

/* Which slot a file name is; -1 for neither. */
static int slot_of(const char *name, const char *file)
{
    size_t length = strlen(name);

    if (file == NULL || strncmp(file, name, length) != 0) {
        return -1;
    }
    for (int i = 0; i < 2; i++) {
        if (strcmp(file + length, slots[i]) == 0) {
            return i;
        }
    }
    return -1;
}

/* The hash of what a JSON value says, however its file is laid out. */
static il_status json_hash(const json_t *json, const char *where, char hex[IL_HASH_HEX],
                           il_error *err)
{
    char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS |
                                      JSON_REAL_PRECISION(17) | JSON_ENCODE_ANY);

    if (text == NULL) {
        return out_of_memory(err, where);
    }
    il_hash_bytes(text, strlen(text), hex);
    free(text);
    return IL_OK;
}

/* What a killed writer left of this pair. */
static il_status leftover_remove(void *user, const char *name, il_error *err)
{
    const char *const *where = user; /* the folder, the pair's name */
    size_t length = strlen(name);
    char *path;

    if (strncmp(name, where[1], strlen(where[1])) != 0 || length < 4 ||
        strcmp(name + length - 4, ".tmp") != 0) {
        return IL_OK;
    }
    path = il_path_join(where[0], name);
    if (path == NULL) {
        return out_of_memory(err, where[0]);
    }
    (void)unlink(path); /* it takes room, and nothing else */
    free(path);
    return IL_OK;
}

/* The slot to write: the one that the pair on disk, if any can be read, does not use.
 */
static int slot_free(const char *path, const char *name)
{
    json_t *json = NULL;
    int slot = 0;

    if (il_file_exists(path) && il__json_read(path, &json, NULL) == IL_OK) {
        const char *file = json_string_value(json_object_get(json, "file"));

        slot = slot_of(name, file) == 0 ? 1 : 0;
    }
    json_decref(json);
    return slot;
}

/* The JSON of a pair whose tensors have been written; NULL when memory is out. */
static json_t *pair_json(const char *file, const char *sha256, const char *check,
                         const json_t *content)
{
    json_t *copy = content != NULL ? json_deep_copy(content) : json_object();

    return json_pack("{s:i, s:s, s:s, s:s, s:o}", "interloop_state", STATE_VERSION,
                     "file", file, "sha256", sha256, "check", check, "content", copy);
}

il_status il_state_write(const char *folder, const char *name,
                         const il_safetensor *tensors, size_t count, const json_t *json,
                         il_error *err)
{
    char sha256[IL_HASH_HEX];
    char check[IL_HASH_HEX];
    const char *where[2] = {folder, name};
    char *path = pair_path(folder, name, ".json");
    char *file = NULL;
    json_t *empty = json_object();
    json_t *whole = NULL;
    il_status status =
        path == NULL || empty == NULL ? out_of_memory(err, folder) : IL_OK;

    if (status == IL_OK) {
        status = il__name_check(folder, name, err);
    }
    if (status == IL_OK && json != NULL && !json_is_object(json)) {
        status = il_error_set(err, IL_ERR_INPUT, path, "expected a JSON object");
    }
    if (status != IL_OK || (status = il_folder_make(folder, err)) != IL_OK ||
        (status = il_folder_list(folder, leftover_remove, where, err)) != IL_OK ||
        (status = json_hash(json != NULL ? json : empty, path, check, err)) != IL_OK) {
        goto out;
    }
    file = pair_path(folder, name, slots[slot_free(path, name)]);
    if (file == NULL) {
        status = out_of_memory(err, folder);
        goto out;
    }
    status = il_safetensors_write(file, tensors, count, NULL, 0, err);
    if (status == IL_OK) {
        status = il_hash_file(file, sha256, err);
    }
    if (status == IL_OK) {
        whole = pair_json(strrchr(file, '/') + 1, sha256, check,
                          json != NULL ? json : empty);
        status =
            whole != NULL ? il__json_write(path, whole, err) : out_of_memory(err, path);
    }
out:
    json_decref(whole);
    json_decref(empty);
    free(file);
    free(path);
    return status;
}

bool il_state_exists(const char *folder, const char *name)
{
    char *path = pair_path(folder, name, ".json");
    bool exists = path != NULL && il_file_exists(path);

    free(path);
    return exists;
}

il_status il_state_remove(const char *folder, const char *name, il_error *err)
{
    /* The JSON first: without it there is no pair, whatever else is left. */
    const char *const endings[3] = {".json", slots[0], slots[1]};
    il_status status = il__name_check(folder, name, err);

    for (size_t i = 0; i < 3 && status == IL_OK; i++) {
        char *path = pair_path(folder, name, endings[i]);

        if (path == NULL) {
            status = out_of_memory(err, folder);
        } else if (unlink(path) != 0 && errno != ENOENT && errno != ENOTDIR) {
            status = il_error_set(err, IL_ERR_IO, path, "cannot remove: %s",
                                  strerror(errno));
        }
        free(path);
    }
    return status;
}

/* Takes apart the JSON of a pair. What is handed out is borrowed from `whole`. */
static il_status pair_parse(const json_t *whole, const char *path, const char *name,
                            int *slot, const char **sha256, json_t **content,
                            il_error *err)
{
    const json_t *version = json_object_get(whole, "interloop_state");
    const char *check = json_string_value(json_object_get(whole, "check"));
    char found[IL_HASH_HEX];

    if (!json_is_integer(version)) {
        return il_error_set(err, IL_ERR_INPUT, path,
                            "not a state: it has no number 'interloop_state'");
    }
    if (json_integer_value(version) != STATE_VERSION) {
        return il_error_set(err, IL_ERR_INPUT, path,
                            "expected a state of version %d, got %lld", STATE_VERSION,
                            (long long)json_integer_value(version));
    }
    *slot = slot_of(name, json_string_value(json_object_get(whole, "file")));
    *sha256 = json_string_value(json_object_get(whole, "sha256"));
    *content = json_object_get(whole, "content");
    if (*slot < 0 || *sha256 == NULL || !il__hash_valid(*sha256) || check == NULL ||
        !json_is_object(*content)) {
        return il_error_set(err, IL_ERR_INPUT, path,
                            "expected 'file' to be %s%s or %s%s, hashes in 'sha256' "
                            "and 'check', and an object in 'content'",
                            name, slots[0], name, slots[1]);
    }
    IL_TRY(json_hash(*content, path, found, err));
    if (strcmp(found, check) != 0) {
        return il_error_set(err, IL_ERR_INPUT, path,
                            "'content' was changed after it was written: expected "
                            "hash %.12s, got %.12s",
                            check, found);
    }
    return IL_OK;
}

/* Opens the pair whose JSON is `data`. */
static il_status pair_open(il_state *s, const char *folder, const char *name,
                           const char *data, size_t size, il_error *err)
{
    json_t *whole = NULL;
    json_t *content = NULL;
    const char *sha256 = "";
    char *file = NULL;
    int slot = 0;
    il_status status = il__json_parse(data, size, s->path, &whole, err);

    if (status != IL_OK) {
        return status;
    }
    status = pair_parse(whole, s->path, name, &slot, &sha256, &content, err);
    if (status != IL_OK) {
        goto out;
    }
    file = pair_path(folder, name, slots[slot]);
    if (file == NULL) {
        status = out_of_memory(err, folder);
        goto out;
    }
    if (!il_file_exists(file)) {
        status = il_error_set(err, IL_ERR_INPUT, file, "not there, but named by %s",
                              s->path);
        goto out;
    }
    status = il_hash_file(file, s->sha256, err);
    if (status == IL_OK && strcmp(s->sha256, sha256) != 0) {
        status = il_error_set(err, IL_ERR_INPUT, file,
                              "cut short or changed after it was written: expected "
                              "SHA-256 %.12s, got %.12s",
                              sha256, s->sha256);
    }
    if (status == IL_OK) {
        status = il_safetensors_open(&s->file, file, err);
    }
    if (status == IL_OK) {
        s->json = json_incref(content);
    }
out:
    free(file);
    json_decref(whole);
    return status;
}

/* One reading. *moved says that the JSON was replaced meanwhile, and that the outcome
 * says nothing: the writer may have gone on to the file that was being read. While the
 * JSON stays, its file does too. */
static il_status pair_read(il_state *s, const char *folder, const char *name,
                           bool *moved, il_error *err)
{
    char *before = NULL;
    char *after = NULL;
    size_t size;
    size_t size_after;
    il_status status;

    *moved = false;
    IL_TRY(il_file_read(s->path, STATE_JSON_MAX, &before, &size, err));
    status = pair_open(s, folder, name, before, size, err);
    if (il_file_read(s->path, STATE_JSON_MAX, &after, &size_after, NULL) == IL_OK) {
        *moved = size != size_after || memcmp(before, after, size) != 0;
    }
    free(after);
    free(before);
    return status;
}

il_status il_state_read(il_state **out, const char *folder, const char *name,
                        il_error *err)
{
    il_state *s = calloc(1, sizeof *s);
    il_error problem = {0};
    bool moved = true;
    il_status status = IL_OK;

    if (s != NULL) {
        s->path = pair_path(folder, name, ".json");
    }
    if (s == NULL || s->path == NULL) {
        il_state_destroy(s);
        return out_of_memory(err, folder);
    }
    for (int i = 0; i < STATE_READS_MAX && moved; i++) {
        il_safetensors_close(s->file);
        json_decref(s->json);
        s->file = NULL;
        s->json = NULL;
        problem.code = IL_OK;
        status = pair_read(s, folder, name, &moved, &problem);
    }
    if (status == IL_OK && moved) {
        status = il_error_set(&problem, IL_ERR_IO, s->path,
                              "replaced faster than it can be read");
    }
    if (status != IL_OK) {
        (void)il_error_set(err, status, problem.where, "%s", problem.message);
        il_state_destroy(s);
        return status;
    }
    *out = s;
    return IL_OK;
}

void il_state_destroy(il_state *s)
{
    if (s == NULL) {
        return;
    }
    il_safetensors_close(s->file);
    json_decref(s->json);
    free(s->path);
    free(s);
}

/* --- what a state holds ------------------------------------------------------------
 */

/* "F32 [3,4]" */
static void shape_text(il_dtype dtype, int32_t ndim, const int64_t *shape, char *out,
                       size_t room)
{
    const char *name = il_safetensors_dtype_name(dtype);
    size_t used = (size_t)snprintf(out, room, "%s [", name != NULL ? name : "?");

    for (int32_t i = 0; i < ndim && used < room; i++) {
        used += (size_t)snprintf(out + used, room - used, "%s%lld", i > 0 ? "," : "",
                                 (long long)shape[i]);
    }
    if (used < room) {
        (void)snprintf(out + used, room - used, "]");
    }
}

il_status il_state_take(const il_state *s, const char *name, il_dtype dtype,
                        int32_t ndim, const int64_t *shape, void *to, il_error *err)
{
    const il_safetensor *tensor = il_safetensors_find(s->file, name);
    bool same;

    if (tensor == NULL) {
        return il_error_set(err, IL_ERR_INPUT, s->path, "the state has no tensor '%s'",
                            name);
    }
    same = tensor->dtype.code == dtype.code && tensor->dtype.bits == dtype.bits &&
           tensor->dtype.lanes == dtype.lanes && tensor->ndim == ndim;
    for (int32_t i = 0; same && i < ndim; i++) {
        same = tensor->shape[i] == shape[i];
    }
    if (!same) {
        char expected[192];
        char got[192];

        shape_text(dtype, ndim, shape, expected, sizeof expected);
        shape_text(tensor->dtype, tensor->ndim, tensor->shape, got, sizeof got);
        return il_error_set(err, IL_ERR_INPUT, s->path,
                            "tensor '%s': expected %s, got %s", name, expected, got);
    }
    if (to != NULL && tensor->bytes > 0) {
        memcpy(to, tensor->data, tensor->bytes);
    }
    return IL_OK;
}

il_status il_state_int(const il_state *s, const char *key, int64_t *value,
                       il_error *err)
{
    const json_t *json = json_object_get(s->json, key);

    if (!json_is_integer(json)) {
        return il_error_set(err, IL_ERR_INPUT, s->path, "'%s': expected %s", key,
                            json == NULL ? "a whole number, and there is none"
                                         : "a whole number, got another kind");
    }
    *value = json_integer_value(json);
    return IL_OK;
}

il_status il_state_real(const il_state *s, const char *key, double *value,
                        il_error *err)
{
    const json_t *json = json_object_get(s->json, key);

    if (!json_is_number(json)) {
        return il_error_set(err, IL_ERR_INPUT, s->path, "'%s': expected %s", key,
                            json == NULL ? "a number, and there is none"
                                         : "a number, got another kind");
    }
    *value = json_number_value(json);
    return IL_OK;
}

/* --- lists -------------------------------------------------------------------------
 */

il_status il_state_add_all(il_state_list *list, const il_safetensor *items,
                           size_t count, il_error *err)
{
    if (count > list->room - list->count) {
        size_t room = 2 * list->room + count + 16;
        il_safetensor *grown = il_arena_calloc(list->arena, room, sizeof *grown);

        if (grown == NULL) {
            return out_of_memory(err, "state");
        }
        if (list->count > 0) {
            memcpy(grown, list->items, list->count * sizeof *grown);
        }
        list->items = grown;
        list->room = room;
    }
    for (size_t i = 0; i < count; i++) {
        il_safetensor item = items[i];

        item.name = il_arena_strdup(list->arena, item.name);
        if (item.name == NULL) {
            return out_of_memory(err, "state");
        }
        list->items[list->count++] = item;
    }
    return IL_OK;
}

il_status il_state_add(il_state_list *list, const char *name, il_dtype dtype,
                       int32_t ndim, const int64_t *shape, const void *data,
                       il_error *err)
{
    il_safetensor item = {name, dtype, ndim, {0}, data, dtype.bits / 8u};

    if (ndim < 0 || ndim > IL_DIMS_MAX) {
        return il_error_set(err, IL_ERR_SHAPE, name,
                            "expected at most %d dimensions, got %ld", IL_DIMS_MAX,
                            (long)ndim);
    }
    for (int32_t i = 0; i < ndim; i++) {
        item.shape[i] = shape[i];
        if (shape[i] < 0 || !il_mul_size(item.bytes, (size_t)shape[i], &item.bytes)) {
            return il_error_set(err, IL_ERR_SHAPE, name,
                                "dimension %ld cannot have size %lld", (long)i,
                                (long long)shape[i]);
        }
    }
    return il_state_add_all(list, &item, 1, err);
}

il_status il_state_add_f32(il_state_list *list, const char *name, const float *data,
                           int64_t count, il_error *err)
{
    const il_dtype f32 = {IL_CODE_FLOAT, 32, 1};

    return il_state_add(list, name, f32, 1, &count, data, err);
}
