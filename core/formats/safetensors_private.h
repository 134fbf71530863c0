/* What the reader and the writer of safetensors files share. */
#ifndef IL_FORMATS_SAFETENSORS_PRIVATE_H
#define IL_FORMATS_SAFETENSORS_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include "formats/safetensors.h"

/* The bytes that dtype and shape ask for; false when a size is negative or they do not
 * fit. */
bool il__safetensor_bytes(const il_safetensor *t, size_t *bytes);

/* A name cut and cleaned for a message: a file's control characters never reach a
 * terminal. Returns `out`. */
const char *il__safetensor_show(const char *name, char out[64]);

#endif
