/* What the reader and the writer of .npy files share. */
#ifndef IL_FORMATS_NPY_PRIVATE_H
#define IL_FORMATS_NPY_PRIVATE_H

#include "formats/npy.h"

typedef struct il__npy_type {
    const char *name; /* NumPy's, with the byte order before it */
    il_dtype dtype;
} il__npy_type;

/* NULL for one that NumPy does not have. */
const il__npy_type *il__npy_type_of(il_dtype dtype);

#endif
