#include "formats/npz.h"

#include <stdlib.h>
#include <string.h>
#include "base/text.h"
#include "formats/npy.h"
#include "formats/safetensors_private.h"
#include "formats/zip.h"

static const char ending[] = ".npy";
enum { ENDING = sizeof ending - 1 };

typedef struct member {
    char *name;
    char *where; /* "path: name.npy", for errors */
    il_npy npy;
    bool parsed;
} member;

struct il_npz {
    il_zip *zip;
    member *members;
    size_t count;
};

static char *copied(const char *text, size_t size)
{
    char *copy = malloc(size + 1);

    if (copy != NULL) {
        memcpy(copy, text, size);
        copy[size] = '\0';
    }
    return copy;
}

static il_status read_names(il_npz *npz, const char *path, il_error *err)
{
    size_t count = il_zip_count(npz->zip);

    npz->members = calloc(count + 1, sizeof *npz->members);
    if (npz->members == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, path, "out of memory");
    }
    for (size_t i = 0; i < count; i++) {
        const char *name = il_zip_at(npz->zip, i)->name;
        size_t size = strlen(name);
        member *m = &npz->members[i];
        char shown[64];
        il_text where = {0};

        il__safetensor_show(name, shown);
        if (size <= ENDING || strcmp(name + size - ENDING, ending) != 0) {
            return il_error_set(err, IL_ERR_INPUT, path,
                                "member '%s': expected arrays alone, named NAME.npy",
                                shown);
        }
        npz->count = i + 1;
        m->name = copied(name, size - ENDING);
        il_text_addf(&where, "%s: %s", path, shown);
        m->where = where.data;
        if (m->name == NULL || where.failed) {
            return il_error_set(err, IL_ERR_MEMORY, path, "out of memory");
        }
    }
    return IL_OK;
}

il_status il_npz_open(il_npz **out, const char *path, il_error *err)
{
    il_npz *npz = calloc(1, sizeof *npz);
    il_status status;

    if (npz == NULL) {
        return il_error_set(err, IL_ERR_MEMORY, path, "out of memory");
    }
    status = il_zip_open(&npz->zip, path, err);
    if (status == IL_OK) {
        status = read_names(npz, path, err);
    }
    if (status != IL_OK) {
        il_npz_close(npz);
        return status;
    }
    *out = npz;
    return IL_OK;
}

void il_npz_close(il_npz *npz)
{
    if (npz == NULL) {
        return;
    }
    for (size_t i = 0; i < npz->count; i++) {
        il_npy_close(&npz->members[i].npy);
        free(npz->members[i].name);
        free(npz->members[i].where);
    }
    free(npz->members);
    il_zip_close(npz->zip);
    free(npz);
}

size_t il_npz_count(const il_npz *npz)
{
    return npz->count;
}

const char *il_npz_name(const il_npz *npz, size_t i)
{
    return npz->members[i].name;
}

bool il_npz_find(const il_npz *npz, const char *name, size_t *i)
{
    for (size_t k = 0; k < npz->count; k++) {
        if (strcmp(npz->members[k].name, name) == 0) {
            *i = k;
            return true;
        }
    }
    return false;
}

il_status il_npz_array(il_npz *npz, size_t i, const il_array **out, il_error *err)
{
    member *m = &npz->members[i];

    if (!m->parsed) {
        const void *data = NULL;

        IL_TRY(il_zip_data(npz->zip, i, &data, err));
        IL_TRY(il_npy_parse(&m->npy, data, (size_t)il_zip_at(npz->zip, i)->bytes,
                            m->where, err));
        m->parsed = true;
    }
    *out = &m->npy.array;
    return IL_OK;
}

il_status il_npz_write(const char *path, const il_npz_source *arrays, size_t count,
                       il_error *err)
{
    il_zip_source *members = calloc(count + 1, sizeof *members);
    char **owned = calloc(2 * count + 1, sizeof *owned); /* names and heads */
    il_status status = IL_OK;

    if (members == NULL || owned == NULL) {
        status = il_error_set(err, IL_ERR_MEMORY, path, "out of memory");
    }
    for (size_t i = 0; i < count && status == IL_OK; i++) {
        const il_array *a = &arrays[i].array;
        il_zip_source *m = &members[i];
        il_text name = {0};

        il_text_addf(&name, "%s%s", arrays[i].name, ending);
        owned[2 * i] = name.data;
        if (name.failed) {
            status = il_error_set(err, IL_ERR_MEMORY, path, "out of memory");
            break;
        }
        status = il_npy_header(a, &owned[2 * i + 1], &m->head_bytes, path, err);
        m->name = name.data;
        m->head = owned[2 * i + 1];
        m->data = a->data;
        m->data_bytes = a->bytes;
    }
    if (status == IL_OK) {
        status = il_zip_write(path, members, count, err);
    }
    for (size_t i = 0; owned != NULL && i < 2 * count; i++) {
        free(owned[i]);
    }
    free(owned);
    free(members);
    return status;
}
