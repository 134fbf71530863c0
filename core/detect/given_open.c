/* Files and folders of shards that activations from elsewhere lie in. */
#include "detect/given_private.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/compiler.h"

il_status il__given_starved(il_error *err)
{
    return il_error_set(err, IL_ERR_MEMORY, "activations", "out of memory");
}

void il__given_close(il__given_file *o)
{
    il_npy_close(&o->npy);
    il_safetensors_close(o->file);
    if (!o->borrowed) {
        il_shards_close(o->shards);
    }
    free(o->path);
    memset(o, 0, sizeof *o);
}

static bool ends_in(const char *text, const char *end)
{
    size_t n = strlen(text);
    size_t m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0;
}

static bool is_folder(const char *path)
{
    struct stat s;

    return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

il_status il__given_open(il__given_file *o, const char *path, const char *naming,
                         il_error *err)
{
    char *hash;

    o->path = strdup(path);
    if (o->path == NULL) {
        return il__given_starved(err);
    }
    hash = strrchr(o->path, '#');
    if (hash != NULL) {
        *hash = '\0';
        o->tensor = hash + 1;
    }
    (void)snprintf(o->where, sizeof o->where, "%s", o->path);
    if (is_folder(o->path)) {
        return il_shards_open(&o->shards, o->path, naming, err);
    }
    if (ends_in(o->path, ".npy")) {
        if (o->tensor != NULL) {
            return il_error_set(err, IL_ERR_INPUT, o->path,
                                "an .npy file holds one array, without a name");
        }
        IL_TRY(il_npy_open(&o->npy, o->path, err));
        o->array = o->npy.array;
        return IL_OK;
    }
    if (!ends_in(o->path, ".safetensors")) {
        return il_error_set(err, IL_ERR_INPUT, o->path,
                            "expected a file that ends in .npy or .safetensors, "
                            "or a folder of shards");
    }
    return il_safetensors_open(&o->file, o->path, err);
}

static il_status take_column(il__given_file *o, const char *name, il_error *err)
{
    il_shards_column c;

    IL_TRY(il_shards_find(o->shards, name, &o->column, &c, err));
    o->array = (il_array){.dtype = c.dtype, .ndim = c.ndim};
    memcpy(o->array.shape, c.shape, sizeof c.shape);
    return il_array_size(c.dtype, c.ndim, c.shape, &o->array.bytes)
               ? IL_OK
               : il_error_set(err, IL_ERR_SHAPE, o->where, "too many rows");
}

il_status il__given_take(il__given_file *o, const char *name, il_error *err)
{
    const il_safetensor *t;

    (void)snprintf(o->where, sizeof o->where, "%s#%s", o->path, name);
    if (o->shards != NULL) {
        return take_column(o, name, err);
    }
    t = il_safetensors_find(o->file, name);
    if (t == NULL) {
        return il_error_set(err, IL_ERR_INPUT, o->path, "it lacks the tensor '%s'",
                            name);
    }
    o->array = il_safetensor_array(t);
    return IL_OK;
}

/* The array's values, malloc'ed: of a file, or of all shards. */
static void *column_room(const il__given_file *o, size_t size)
{
    size_t bytes;

    return il_mul_size((size_t)il_array_count(&o->array), size, &bytes)
               ? malloc(bytes + 1)
               : NULL;
}

il_status il__given_floats(const il__given_file *o, float **out, il_error *err)
{
    il_status status;

    if (o->shards == NULL) {
        return il_array_floats(out, &o->array, o->where, err);
    }
    *out = column_room(o, sizeof **out);
    status = *out != NULL ? il_shards_floats(o->shards, o->column, 0, o->array.shape[0],
                                             *out, err)
                          : il__given_starved(err);
    if (status != IL_OK) {
        free(*out);
        *out = NULL;
    }
    return status;
}

il_status il__given_wholes(const il__given_file *o, int64_t **out, il_error *err)
{
    il_status status;

    if (o->shards == NULL) {
        return il_array_wholes(out, &o->array, o->where, err);
    }
    *out = column_room(o, sizeof **out);
    status = *out != NULL ? il_shards_wholes(o->shards, o->column, 0, o->array.shape[0],
                                             *out, err)
                          : il__given_starved(err);
    if (status != IL_OK) {
        free(*out);
        *out = NULL;
    }
    return status;
}

il_status il__given_flags(const il__given_file *o, uint8_t **out, il_error *err)
{
    il_status status;

    if (o->shards == NULL) {
        return il_array_flags(out, &o->array, o->where, err);
    }
    *out = column_room(o, sizeof **out);
    status = *out != NULL ? il_shards_flags(o->shards, o->column, 0, o->array.shape[0],
                                            *out, err)
                          : il__given_starved(err);
    if (status != IL_OK) {
        free(*out);
        *out = NULL;
    }
    return status;
}
