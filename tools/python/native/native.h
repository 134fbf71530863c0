/* The Python extension `interloop._native`: detectors asked, differentiated, fitted and
 * judged on tensors of any library that speaks DLPack.
 *
 * Written against CPython's limited API of 3.9. Handles are capsules; the Python side
 * wraps them. Every function holds the GIL but while the core works. */
#ifndef IL_PYTHON_NATIVE_H
#define IL_PYTHON_NATIVE_H

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x03090000
#include <Python.h>
#include <stdbool.h>
#include "detect/alone.h"
#include "detect/asked.h"
#include "base/log.h"

/* ---- tensors -------------------------------------------------------------------- */

/* DLPack 0.8's structures, as its specification gives them. */
typedef struct il_dl_tensor {
    void *data;
    struct {
        int32_t type, id;
    } device;
    int32_t ndim;
    struct {
        uint8_t code, bits;
        uint16_t lanes;
    } dtype;
    int64_t *shape;
    int64_t *strides; /* in elements; NULL: row-major */
    uint64_t byte_offset;
} il_dl_tensor;

typedef struct il_dl_managed {
    il_dl_tensor tensor;
    void *context;
    void (*deleter)(struct il_dl_managed *self);
} il_dl_managed;

/* A tensor that was taken out of a capsule, to be given back by `il_taken_drop`. */
typedef struct il_taken {
    il_dl_managed *managed; /* NULL: none was given */
    const void *data;
    int32_t ndim;
    const int64_t *shape;
} il_taken;

/* Takes a tensor of the processor's memory, row-major, of the given DLPack type, out of
 * a capsule "dltensor". None is taken as no tensor where `may` says so. -1 with an
 * exception that names `what`. */
int il_take(il_taken *out, PyObject *capsule, uint8_t code, uint8_t bits, bool may,
            const char *what);
void il_taken_drop(il_taken *t); /* takes what took none */
/* A new tensor of f32 as a capsule; *data is its memory, for the caller to fill. NULL
 * with an exception. */
PyObject *il_give(int32_t ndim, const int64_t *shape, float **data);

/* ---- handles -------------------------------------------------------------------- */

/* Plugins and BLAS, shared by all detectors of a host. Counted under the GIL. */
typedef struct il_py_host {
    Py_ssize_t users;
    il_log *log;
    il_registry *registry;
    const il_blas *blas;
} il_py_host;

typedef struct il_py_detector {
    Py_ssize_t users; /* the capsule, and each answer */
    il_py_host *host;
    il_alone *alone;
    il_asking *asking; /* NULL before it is fitted */
} il_py_detector;

#define IL_PY_HOST     "interloop.host"
#define IL_PY_DETECTOR "interloop.detector"
#define IL_PY_ANSWER   "interloop.answer"

void il_py_host_release(il_py_host *h);
void il_py_detector_release(il_py_detector *d);
/* Takes over `alone`, in any case, and gives a capsule. */
PyObject *il_py_detector_wrap(il_py_host *h, il_alone *alone);
/* Raises what the core says; always NULL. */
PyObject *il_py_raise(il_status status, const il_error *err);

/* ---- activations ---------------------------------------------------------------- */

/* What a call is given to read: a tuple of activations, one a site, (N,W) or (B,T,W),
 * and tensors beside them, or None. */
typedef struct il_py_reading {
    il_taken acts[IL_DETECTOR_SITES_MAX];
    const float *data[IL_DETECTOR_SITES_MAX];
    Py_ssize_t sites;
    il_taken mask, lengths, tokens;
    int64_t batch, length;
} il_py_reading;

/* -1 with an exception; in any case to be given to il_py_reading_drop. `d` may be NULL:
 * then any number of sites of any width. */
int il_py_reading_take(il_py_reading *r, const il_detector *d, PyObject *acts,
                       PyObject *mask, PyObject *lengths, PyObject *tokens);
void il_py_reading_drop(il_py_reading *r);
/* The same as the core asks it; borrows the reading. */
il_question il_py_question(const il_py_reading *r);

/* ---- what the module offers ----------------------------------------------------- */

PyObject *il_py_fit(PyObject *self, PyObject *args, PyObject *words);
PyObject *il_py_measure(PyObject *self, PyObject *args, PyObject *words);

#endif
