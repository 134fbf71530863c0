/* Tensors in and out by DLPack. */
#include <stdlib.h>
#include "native.h"

#define FRESH "dltensor"
#define USED  "used_dltensor"

enum { DLPACK_CPU = 1, DLPACK_FLOAT = 2, FLOAT_BITS = 32 };

static const char *const kinds[] = {"int", "uint", "float", "handle", "bfloat"};

static const char *kind_name(unsigned code)
{
    return code < sizeof kinds / sizeof kinds[0] ? kinds[code] : "unknown";
}

static bool row_major(const il_dl_tensor *t)
{
    int64_t expected = 1;

    for (int32_t i = 0; i < t->ndim; i++) {
        if (t->shape[i] == 0) {
            return true; /* without a number, strides mean nothing */
        }
    }
    for (int32_t i = t->ndim - 1; t->strides != NULL && i >= 0; i--) {
        if (t->shape[i] != 1 && t->strides[i] != expected) {
            return false;
        }
        expected *= t->shape[i];
    }
    return true;
}

int il_take(il_taken *out, PyObject *capsule, uint8_t code, uint8_t bits, bool may,
            const char *what)
{
    il_dl_managed *m;

    *out = (il_taken){.managed = NULL};
    if (may && capsule == Py_None) {
        return 0;
    }
    if (!PyCapsule_IsValid(capsule, FRESH)) {
        PyErr_Format(PyExc_TypeError, "%s: expected a DLPack capsule that nobody used",
                     what);
        return -1;
    }
    m = PyCapsule_GetPointer(capsule, FRESH);
    if (m->tensor.device.type != DLPACK_CPU) {
        PyErr_Format(PyExc_ValueError,
                     "%s: expected a tensor of the processor's memory, got one of "
                     "DLPack device %d",
                     what, (int)m->tensor.device.type);
        return -1;
    }
    if (m->tensor.dtype.code != code || m->tensor.dtype.bits != bits ||
        m->tensor.dtype.lanes != 1) {
        PyErr_Format(PyExc_TypeError, "%s: expected %s%u, got %s%u", what,
                     kind_name(code), (unsigned)bits, kind_name(m->tensor.dtype.code),
                     (unsigned)m->tensor.dtype.bits);
        return -1;
    }
    if (!row_major(&m->tensor)) {
        PyErr_Format(PyExc_ValueError, "%s: expected a row-major (contiguous) tensor",
                     what);
        return -1;
    }
    if (PyCapsule_SetName(capsule, USED) != 0) {
        return -1;
    }
    out->managed = m;
    out->data = (const char *)m->tensor.data + m->tensor.byte_offset;
    out->ndim = m->tensor.ndim;
    out->shape = m->tensor.shape;
    return 0;
}

void il_taken_drop(il_taken *t)
{
    if (t->managed != NULL && t->managed->deleter != NULL) {
        t->managed->deleter(t->managed);
    }
    t->managed = NULL;
}

/* ---- out ------------------------------------------------------------------------ */

typedef struct given {
    il_dl_managed managed; /* first */
    int64_t shape[IL_DIMS_MAX];
    float *data;
} given;

static void given_delete(il_dl_managed *m)
{
    given *g = (given *)m;

    free(g->data);
    free(g);
}

/* A capsule that nobody used still has its tensor. */
static void given_forget(PyObject *capsule)
{
    if (PyCapsule_IsValid(capsule, FRESH)) {
        given_delete(PyCapsule_GetPointer(capsule, FRESH));
    }
}

PyObject *il_give(int32_t ndim, const int64_t *shape, float **data)
{
    given *g = calloc(1, sizeof *g);
    int64_t n = 1;
    void *memory = NULL;
    PyObject *capsule;

    for (int32_t i = 0; i < ndim; i++) {
        n *= shape[i];
    }
    if (g == NULL ||
        posix_memalign(&memory, 64, ((size_t)n + 1) * sizeof(float)) != 0) {
        free(g);
        return PyErr_NoMemory();
    }
    g->data = memory;
    for (int32_t i = 0; i < ndim; i++) {
        g->shape[i] = shape[i];
    }
    g->managed.tensor.data = g->data;
    g->managed.tensor.device.type = DLPACK_CPU;
    g->managed.tensor.ndim = ndim;
    g->managed.tensor.dtype.code = DLPACK_FLOAT;
    g->managed.tensor.dtype.bits = FLOAT_BITS;
    g->managed.tensor.dtype.lanes = 1;
    g->managed.tensor.shape = g->shape;
    g->managed.deleter = given_delete;
    capsule = PyCapsule_New(&g->managed, FRESH, given_forget);
    if (capsule == NULL) {
        given_delete(&g->managed);
        return NULL;
    }
    *data = g->data;
    return capsule;
}
