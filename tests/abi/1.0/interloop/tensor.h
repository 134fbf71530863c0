/* Tensors as plugins see them: dense, row-major, in host memory.
 *
 * dtype and device use DLPack's codes, so that handing a tensor to another framework is
 * a copy of fields. Tensors are made by the host and borrowed by plugins; the host may
 * keep more behind the public part, so a plugin never copies or allocates one. */
#ifndef INTERLOOP_TENSOR_H
#define INTERLOOP_TENSOR_H

#include <stddef.h>
#include <stdint.h>

#define IL_DIMS_MAX 6

/* DLPack's DLDataType and the codes in use here. */
typedef struct il_dtype {
    uint8_t code;
    uint8_t bits;
    uint16_t lanes;
} il_dtype;

enum { IL_CODE_INT = 0, IL_CODE_UINT = 1, IL_CODE_FLOAT = 2, IL_CODE_BFLOAT = 4 };
enum { IL_DEVICE_CPU = 1 }; /* DLPack's kDLCPU */

typedef enum il_type {
    IL_F32,
    IL_I32,
    IL_U8,
    IL_I64
} il_type; /* what fields may hold */

typedef struct il_tensor {
    void *data; /* shape[0]*...*shape[ndim-1] elements; NULL in the empty tensor of a
                   failed op */
    int32_t device_type;
    int32_t device_id;
    il_dtype dtype;
    int32_t ndim;
    int64_t shape[IL_DIMS_MAX];
} il_tensor;

/* Elements of a tensor; 0 for NULL and for the empty tensor. [any] */
static inline int64_t il_count(const il_tensor *t)
{
    int64_t n = 1;

    if (t == NULL || t->data == NULL) {
        return 0;
    }
    for (int32_t i = 0; i < t->ndim; i++) {
        n *= t->shape[i];
    }
    return n;
}

/* Size of the last dimension (1 for a scalar), and how many rows of it there are. [any]
 */
static inline int64_t il_width(const il_tensor *t)
{
    return t != NULL && t->ndim > 0 ? t->shape[t->ndim - 1] : 1;
}
static inline int64_t il_rows(const il_tensor *t)
{
    int64_t w = il_width(t);

    return w > 0 ? il_count(t) / w : 0;
}

/* The data as one C type; the caller knows the dtype. [any] */
static inline float *il_f32(const il_tensor *t)
{
    return t != NULL ? (float *)t->data : NULL;
}
static inline int32_t *il_i32(const il_tensor *t)
{
    return t != NULL ? (int32_t *)t->data : NULL;
}
static inline uint8_t *il_u8(const il_tensor *t)
{
    return t != NULL ? (uint8_t *)t->data : NULL;
}
static inline int64_t *il_i64(const il_tensor *t)
{
    return t != NULL ? (int64_t *)t->data : NULL;
}

/* A shape where a function takes `int32_t ndim, const int64_t *shape`. */
#define IL_SHAPE(...)                                                                  \
    (int32_t)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)),               \
        (const int64_t[])                                                              \
    {                                                                                  \
        __VA_ARGS__                                                                    \
    }

#endif
