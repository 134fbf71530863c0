/* Group state: all that an instance has learnt is in its named parameters, which come
 * back from a file bit for bit, or not at all. */
#define _POSIX_C_SOURCE 200809L /* mkdtemp */
#include "check/check_private.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include "base/files.h"
#include "loop/state.h"

enum { FILE_LIMIT = 1 << 30 };
static const il_dtype f32 = {IL_CODE_FLOAT, 32, 1};

/* A folder of the trial's own. */
static il_status make_folder(char out[256], il_error *err)
{
    const char *base = getenv("TMPDIR");

    (void)snprintf(out, 256, "%.200s/il_check_XXXXXX", base != NULL ? base : "/tmp");
    return mkdtemp(out) != NULL
               ? IL_OK
               : il_error_set(err, IL_ERR_IO, out, "cannot make a folder");
}

static il_status save(const il_instance *i, const char *folder, const char *name,
                      il_error *err)
{
    const il_store *s = i->store;
    il_safetensor *items = calloc(s->count + 1, sizeof *items);
    il_status status;

    if (items == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, "", "out of memory");
    }
    for (size_t k = 0; k < s->count; k++) {
        items[k].name = s->items[k].name;
        items[k].dtype = f32;
        items[k].ndim = s->items[k].ndim;
        memcpy(items[k].shape, s->items[k].shape, sizeof items[k].shape);
        items[k].data = s->values + s->items[k].offset;
        items[k].bytes = (size_t)s->items[k].count * sizeof(float);
    }
    status = il_state_write(folder, name, items, s->count, NULL, err);
    free(items);
    return status;
}

static il_status load(il_instance *i, const char *folder, const char *name,
                      il_error *err)
{
    il_state *state = NULL;
    il_status status = il_state_read(&state, folder, name, err);

    for (size_t k = 0; status == IL_OK && k < i->store->count; k++) {
        const il_stored *item = &i->store->items[k];

        status = il_state_take(state, item->name, f32, item->ndim, item->shape,
                               i->store->values + item->offset, err);
    }
    il_state_destroy(state);
    return status;
}

static bool has_parameters(il__trial *t, const il_instance *i)
{
    if (i != NULL && i->store->count == 0) {
        (void)il__skip(t, "it has no parameters");
    }
    return i != NULL && i->store->count > 0;
}

/* An instance of another seed that takes over the parameters is the first one's equal:
 * so nothing that was drawn or learnt is kept elsewhere. */
static il_status comes_back(il__trial *t, il_error *err)
{
    const il__making other = {.seed = t->o->seed + 12345};
    il_instance *first = NULL;
    il_instance *second = NULL;
    il_text texts[2] = {{0}};
    char folder[256];
    il_status status;

    IL_TRY(il__subject_plain(t, &first, err));
    if (!has_parameters(t, first)) {
        return IL_OK;
    }
    IL_TRY(il__subject(t, &other, &second, err));
    IL_TRY(make_folder(folder, err));
    status = save(first, folder, "state", err);
    if (status == IL_OK) {
        status = load(second, folder, "state", err);
    }
    if (status == IL_OK && memcmp(first->store->values, second->store->values,
                                  (size_t)first->store->total * sizeof(float)) != 0) {
        status = il__found(err, "its parameters come back with other bits");
    }
    (void)il_folder_remove(folder, NULL);
    IL_TRY(status);
    IL_TRY(il__behave_plain(t, first, &texts[0], err));
    IL_TRY(il__behave_plain(t, second, &texts[1], err));
    return il__same(&texts[0], &texts[1],
                    "an instance of another seed behaves otherwise on the same "
                    "parameters: keep everything in parameters",
                    err);
}

/* ---- spoilt files -----------------------------------------------------------------
 */

typedef struct spoiling {
    const char *folder;
    il_instance *into;
} spoiling;

static unsigned char *empty(unsigned char *data, size_t *size)
{
    *size = 0;
    return data;
}

static unsigned char *cut(unsigned char *data, size_t *size)
{
    *size -= *size / 3 + 1;
    return data;
}

static unsigned char *flip(unsigned char *data, size_t *size)
{
    data[*size - 1 - *size / 5] ^= 0x10;
    return data;
}

static unsigned char *scramble(unsigned char *data, size_t *size)
{
    for (size_t k = 0; k < *size; k++) {
        data[k] = (unsigned char)(k * 2654435761u >> 13);
    }
    return data;
}

static const struct {
    const char *called;
    unsigned char *(*spoil)(unsigned char *data, size_t *size);
} ways[] = {
    {"empty", empty},
    {"cut short", cut},
    {"with a flipped bit", flip},
    {"of random bytes", scramble},
};

/* Spoils one file in every way, asks for the state, and puts the file back. */
static il_status spoil_file(void *user, const char *name, il_error *err)
{
    const spoiling *s = user;
    char *path = il_path_join(s->folder, name);
    char *held = NULL;
    size_t size = 0;

    IL_TRY(il_file_read(path, FILE_LIMIT, &held, &size, err));
    for (size_t k = 0; k < sizeof ways / sizeof ways[0]; k++) {
        unsigned char *copy = malloc(size + 1);
        size_t left = size;
        il_error why = {0};

        if (copy == NULL) {
            return il_error_set(err, IL_ERR_MEMORY, "", "out of memory");
        }
        memcpy(copy, held, size);
        copy = ways[k].spoil(copy, &left);
        IL_TRY(il_file_write(path, copy, left, err));
        free(copy);
        if (load(s->into, s->folder, "state", &why) == IL_OK) {
            return il__found(err, "its state is taken from a file '%s' that is %s",
                             name, ways[k].called);
        }
    }
    IL_TRY(il_file_write(path, held, size, err));
    free(held);
    free(path);
    return IL_OK;
}

static il_status refuses_spoilt(il__trial *t, il_error *err)
{
    il_instance *i = NULL;
    char folder[256];
    spoiling s = {.folder = folder};
    il_text before = {0};
    il_text after = {0};
    il_status status;

    IL_TRY(il__subject_plain(t, &i, err));
    if (!has_parameters(t, i)) {
        return IL_OK;
    }
    IL_TRY(il__behave_plain(t, i, &before, err));
    IL_TRY(make_folder(folder, err));
    s.into = i;
    status = save(i, folder, "state", err);
    if (status == IL_OK) {
        status = il_folder_list(folder, spoil_file, &s, err);
    }
    if (status == IL_OK) {
        status = load(i, folder, "state", err);
    }
    (void)il_folder_remove(folder, NULL);
    IL_TRY(status);
    IL_TRY(il__behave_plain(t, i, &after, err));
    return il__same(&before, &after, "it changes by states that were refused", err);
}

static const il__row rows[] = {
    {"another instance goes on from its saved parameters",
     IL__OF(IL_KIND_MODEL) | IL__OF(IL_KIND_DETECTOR), comes_back},
    {"a spoilt state is refused and changes nothing",
     IL__OF(IL_KIND_MODEL) | IL__OF(IL_KIND_DETECTOR), refuses_spoilt},
};

const il__group il__group_state = {"state", rows, sizeof rows / sizeof rows[0], true};
