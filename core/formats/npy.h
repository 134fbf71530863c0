/* NumPy's .npy files: a magic, a version, a header that is a Python dictionary, one
 * array. Versions 1.0 to 3.0, as numpy/lib/format.py describes them.
 *
 * The reader treats every file as hostile: the header may be this dictionary and
 * nothing else, and the data has to be exactly what it says. Element types are numbers
 * and booleans, little-endian; objects, text, records and big-endian numbers are
 * refused with what to do. An array in Fortran order is turned as it is read. */
#ifndef IL_FORMATS_NPY_H
#define IL_FORMATS_NPY_H

#include "base/mapped.h"
#include "formats/array.h"

typedef struct il_npy {
    il_array array; /* in C order */
    /* ---- private ---- */
    il_mapped map;
    void *turned; /* what was in Fortran order */
} il_npy;

/* Opens and checks a file; zero-initialize *out, close it in any case. What is wrong
 * with the contents is IL_ERR_INPUT with the path, the place, what was expected and
 * what was found. */
il_status il_npy_open(il_npy *out, const char *path, il_error *err);
/* The same for what is never to be copied: an array in Fortran order is IL_ERR_INPUT.
 */
il_status il_npy_map(il_npy *out, const char *path, il_error *err);
/* The same as il_npy_open for bytes that lie in memory, as a member of an .npz does, and stay the
 * caller's until the array is closed; `where` goes into the error. */
il_status il_npy_parse(il_npy *out, const void *bytes, size_t size, const char *where,
                       il_error *err);
void il_npy_close(il_npy *npy);

/* Replaces `path`, all or nothing. bfloat16, which NumPy does not have, is
 * IL_ERR_INPUT, as are bytes that do not fit the shape. */
il_status il_npy_write(const char *path, const il_array *a, il_error *err);
/* Magic, version and header of an array, of a multiple of 64 bytes, malloc'ed: what a
 * file holds before the data. */
il_status il_npy_header(const il_array *a, char **out, size_t *size, const char *where,
                        il_error *err);

#endif
