/* Activations as a call brings them. */
#include <string.h>
#include "native.h"

enum { CODE_INT = 0, CODE_UINT = 1, CODE_FLOAT = 2 };

static int wrong_shape(const char *what, const char *expected)
{
    PyErr_Format(PyExc_ValueError, "%s: expected shape %s", what, expected);
    return -1;
}

static int take_site(il_py_reading *r, const il_detector *d, Py_ssize_t i,
                     PyObject *capsule)
{
    const char *name = d != NULL ? d->spec->sites.items[i] : "activations";
    il_taken *t = &r->acts[i];
    int64_t width;

    if (il_take(t, capsule, CODE_FLOAT, 32, false, name) != 0) {
        return -1;
    }
    if (t->ndim != 2 && t->ndim != 3) {
        return wrong_shape(name, "(N,W) or (B,T,W)");
    }
    width = t->shape[t->ndim - 1];
    if (d != NULL && width != d->widths[i]) {
        PyErr_Format(PyExc_ValueError, "%s: expected a width of %lld, got %lld", name,
                     (long long)d->widths[i], (long long)width);
        return -1;
    }
    if (i > 0 && (t->shape[0] != r->batch || t->ndim != r->acts[0].ndim ||
                  (t->ndim == 3 && t->shape[1] != r->length))) {
        PyErr_Format(PyExc_ValueError,
                     "%s: expected as many rows as the first site has", name);
        return -1;
    }
    r->batch = t->shape[0];
    r->length = t->ndim == 3 ? t->shape[1] : 1;
    r->data[i] = t->data;
    r->sites = i + 1;
    return 0;
}

static bool is_matrix(const il_py_reading *r, const il_taken *t)
{
    return t->managed == NULL ||
           (t->shape[0] == r->batch &&
            (t->ndim == 2 ? t->shape[1] == r->length : t->ndim == 1 && r->length == 1));
}

int il_py_reading_take(il_py_reading *r, const il_detector *d, PyObject *acts,
                       PyObject *mask, PyObject *lengths, PyObject *tokens)
{
    Py_ssize_t n = PyTuple_Check(acts) ? PyTuple_Size(acts) : -1;

    memset(r, 0, sizeof *r);
    if (n < 1 || n > IL_DETECTOR_SITES_MAX ||
        (d != NULL && (size_t)n != d->site_count)) {
        PyErr_Format(PyExc_ValueError, "expected activations of %zu sites, got %zd",
                     d != NULL ? d->site_count : (size_t)1, n);
        return -1;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        if (take_site(r, d, i, PyTuple_GetItem(acts, i)) != 0) {
            return -1;
        }
    }
    if (il_take(&r->mask, mask, CODE_UINT, 8, true, "mask") != 0 ||
        il_take(&r->lengths, lengths, CODE_INT, 32, true, "lengths") != 0 ||
        il_take(&r->tokens, tokens, CODE_INT, 32, true, "tokens") != 0) {
        return -1;
    }
    if (!is_matrix(r, &r->mask)) {
        return wrong_shape("mask", "(B,T), as the activations have it");
    }
    if (!is_matrix(r, &r->tokens)) {
        return wrong_shape("tokens", "(B,T), as the activations have it");
    }
    if (r->lengths.managed != NULL &&
        (r->lengths.ndim != 1 || r->lengths.shape[0] != r->batch)) {
        return wrong_shape("lengths", "(B), as the activations have it");
    }
    return 0;
}

void il_py_reading_drop(il_py_reading *r)
{
    for (Py_ssize_t i = 0; i < IL_DETECTOR_SITES_MAX; i++) {
        il_taken_drop(&r->acts[i]);
    }
    il_taken_drop(&r->mask);
    il_taken_drop(&r->lengths);
    il_taken_drop(&r->tokens);
}

il_question il_py_question(const il_py_reading *r)
{
    return (il_question){.batch = r->batch,
                         .length = r->length,
                         .acts = r->data,
                         .mask = r->mask.data,
                         .lengths = r->lengths.data,
                         .tokens = r->tokens.data};
}
