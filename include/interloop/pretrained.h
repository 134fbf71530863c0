/* A folder of weights that somebody else trained: what its configuration says and which
 * tensors it holds. The host reads and checks the files; a model asks here, and
 * registers its parameters from the tensors (setup.h).
 *
 * Valid within `create`. [setup] throughout. */
#ifndef INTERLOOP_PRETRAINED_H
#define INTERLOOP_PRETRAINED_H

#include <stdbool.h>
#include "interloop/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct il_pretrained il_pretrained;

typedef struct il_pretrained_api {
    size_t struct_size;
    bool (*has)(const il_pretrained *p, const char *path);
    bool (*get_int)(const il_pretrained *p, const char *path, int64_t *value);
    bool (*get_real)(const il_pretrained *p, const char *path, double *value);
    bool (*get_flag)(const il_pretrained *p, const char *path, bool *value);
    const char *(*get_text)(const il_pretrained *p, const char *path);
    int64_t (*get_count)(const il_pretrained *p, const char *path);
    size_t (*tensor_count)(const il_pretrained *p);
    const char *(*tensor_name)(const il_pretrained *p, size_t i);
    bool (*tensor_shape)(const il_pretrained *p, const char *name, int32_t *ndim,
                         int64_t shape[IL_DIMS_MAX]);
} il_pretrained_api;

struct il_pretrained {
    const il_pretrained_api *api;
};

/* Values of the configuration by the way there: "rope_scaling.factor",
 * "layer_types.0". What is null counts as absent. A value is false, or NULL, where it
 * is absent or of another type; a whole number may be read as real. Texts live as long
 * as the create. */
static inline bool il_pretrained_has(const il_pretrained *p, const char *path)
{
    return p->api->has(p, path);
}
static inline bool il_pretrained_int(const il_pretrained *p, const char *path,
                                     int64_t *value)
{
    return p->api->get_int(p, path, value);
}
static inline bool il_pretrained_real(const il_pretrained *p, const char *path,
                                      double *value)
{
    return p->api->get_real(p, path, value);
}
static inline bool il_pretrained_flag(const il_pretrained *p, const char *path,
                                      bool *value)
{
    return p->api->get_flag(p, path, value);
}
static inline const char *il_pretrained_text(const il_pretrained *p, const char *path)
{
    return p->api->get_text(p, path);
}
/* Entries of a list or an object; -1 where there is neither. */
static inline int64_t il_pretrained_count(const il_pretrained *p, const char *path)
{
    return p->api->get_count(p, path);
}

/* The tensors of all its files, by name; `shape` is false for an unknown name. */
static inline size_t il_pretrained_tensor_count(const il_pretrained *p)
{
    return p->api->tensor_count(p);
}
static inline const char *il_pretrained_tensor_name(const il_pretrained *p, size_t i)
{
    return p->api->tensor_name(p, i);
}
static inline bool il_pretrained_tensor_shape(const il_pretrained *p, const char *name,
                                              int32_t *ndim, int64_t shape[IL_DIMS_MAX])
{
    return p->api->tensor_shape(p, name, ndim, shape);
}

#ifdef __cplusplus
}
#endif

#endif
