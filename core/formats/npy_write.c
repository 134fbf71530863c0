/* The writer of .npy files: version 1.0, laid out as NumPy itself lays them out. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/files.h"
#include "base/text.h"
#include "formats/npy_private.h"

enum { ALIGN = 64, BEFORE = 10 }; /* bytes before the dictionary */

static il_status check(const il_array *a, const char *where, il_error *err)
{
    size_t bytes = 0;
    char type[16];

    if (il__npy_type_of(a->dtype) == NULL) {
        return il_error_set(err, IL_ERR_INPUT, where,
                            "NumPy has no element type %s: expected float32 or another "
                            "that it has",
                            il_dtype_text(a->dtype, type));
    }
    if (a->ndim < 0 || a->ndim > IL_DIMS_MAX ||
        !il_array_size(a->dtype, a->ndim, a->shape, &bytes) || bytes != a->bytes) {
        return il_error_set(err, IL_ERR_INPUT, where,
                            "expected %zu bytes by element type and shape, got %zu",
                            bytes, a->bytes);
    }
    return IL_OK;
}

il_status il_npy_header(const il_array *a, char **out, size_t *size, const char *where,
                        il_error *err)
{
    static const unsigned char start[8] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0};
    il_text t = {0};
    size_t room;
    char *bytes;

    IL_TRY(check(a, where, err));
    il_text_addf(&t, "{'descr': '%s', 'fortran_order': False, 'shape': (",
                 il__npy_type_of(a->dtype)->name);
    for (int32_t i = 0; i < a->ndim; i++) {
        il_text_addf(&t, "%s%" PRId64, i > 0 ? ", " : "", a->shape[i]);
    }
    il_text_add(&t, a->ndim == 1 ? ",), }" : "), }");
    room = (BEFORE + t.size + 1 + ALIGN - 1) / ALIGN * ALIGN;
    bytes = t.failed ? NULL : malloc(room);
    if (bytes == NULL) {
        il_text_free(&t);
        return il_error_set(err, IL_ERR_MEMORY, where, "out of memory");
    }
    memset(bytes, ' ', room);
    memcpy(bytes, start, sizeof start);
    bytes[8] = (char)((room - BEFORE) & 255);
    bytes[9] = (char)((room - BEFORE) >> 8);
    memcpy(bytes + BEFORE, t.data, t.size);
    bytes[room - 1] = '\n';
    il_text_free(&t);
    *out = bytes;
    *size = room;
    return IL_OK;
}

il_status il_npy_write(const char *path, const il_array *a, il_error *err)
{
    il_file_part parts[2] = {{NULL, 0}, {a->data, a->bytes}};
    char *header = NULL;
    il_status status = il_npy_header(a, &header, &parts[0].size, path, err);

    if (status == IL_OK) {
        parts[0].data = header;
        status = il_file_write_parts(path, parts, a->bytes > 0 ? 2 : 1, err);
    }
    free(header);
    return status;
}
