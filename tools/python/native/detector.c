#include "detector.h"

#include <stdlib.h>
#include <string.h>

PyObject *il_py_raise(il_status status, const il_error *err)
{
    PyObject *kind = status == IL_ERR_MEMORY        ? PyExc_MemoryError
                     : status == IL_ERR_UNSUPPORTED ? PyExc_NotImplementedError
                     : status == IL_ERR_INPUT || status == IL_ERR_SHAPE
                         ? PyExc_ValueError
                         : PyExc_RuntimeError;

    PyErr_Format(kind, "%s%s%s", err->where, err->where[0] != '\0' ? ": " : "",
                 err->message);
    return NULL;
}

/* ---- the host ------------------------------------------------------------------- */

void il_py_host_release(il_py_host *h)
{
    if (h == NULL || --h->users > 0) {
        return;
    }
    il_registry_destroy(h->registry);
    il_log_destroy(h->log);
    free(h);
}

static void host_forget(PyObject *capsule)
{
    il_py_host_release(PyCapsule_GetPointer(capsule, IL_PY_HOST));
}

static il_status host_fill(il_py_host *h, PyObject *folders, bool portable,
                           il_error *err)
{
    IL_TRY(il_blas_open(&h->blas, portable, err));
    IL_TRY(il_registry_create(&h->registry, h->log, err));
    for (Py_ssize_t i = 0; i < PyTuple_Size(folders); i++) {
        PyObject *bytes = PyUnicode_AsUTF8String(PyTuple_GetItem(folders, i));
        il_status status;

        if (bytes == NULL) {
            PyErr_Clear();
            return il_error_set(err, IL_ERR_INPUT, "plugin_path",
                                "expected folders as text");
        }
        status =
            il_registry_add_folder(h->registry, PyBytes_AsString(bytes), true, err);
        Py_DecRef(bytes);
        IL_TRY(status);
    }
    return il_registry_add_defaults(h->registry, err);
}

PyObject *il_py_host_open(PyObject *self, PyObject *args)
{
    PyObject *folders = NULL;
    int portable = 0;
    il_error err = {.code = IL_OK};
    il_py_host *h;
    il_status status;
    PyObject *capsule;

    (void)self;
    if (!PyArg_ParseTuple(args, "O!p", &PyTuple_Type, &folders, &portable)) {
        return NULL;
    }
    h = calloc(1, sizeof *h);
    if (h == NULL || (h->log = il_log_create()) == NULL) {
        free(h);
        return PyErr_NoMemory();
    }
    h->users = 1;
    status = host_fill(h, folders, portable != 0, &err);
    if (status != IL_OK) {
        il_py_host_release(h);
        return il_py_raise(status, &err);
    }
    capsule = PyCapsule_New(h, IL_PY_HOST, host_forget);
    if (capsule == NULL) {
        il_py_host_release(h);
    }
    return capsule;
}

/* ---- detectors ------------------------------------------------------------------ */

void il_py_detector_release(il_py_detector *d)
{
    if (d == NULL || --d->users > 0) {
        return;
    }
    il_asking_destroy(d->asking);
    il_alone_close(d->alone);
    il_py_host_release(d->host);
    free(d);
}

static void detector_forget(PyObject *capsule)
{
    il_py_detector_release(PyCapsule_GetPointer(capsule, IL_PY_DETECTOR));
}

PyObject *il_py_detector_wrap(il_py_host *h, il_alone *alone)
{
    il_py_detector *d = calloc(1, sizeof *d);
    il_error err = {.code = IL_OK};
    il_status status;
    PyObject *capsule;

    if (d == NULL) {
        il_alone_close(alone);
        return PyErr_NoMemory();
    }
    h->users++;
    *d = (il_py_detector){.users = 1, .host = h, .alone = alone};
    status = il_asking_create(&d->asking, alone->detector, h->blas, &err);
    if (status != IL_OK) {
        il_py_detector_release(d);
        return il_py_raise(status, &err);
    }
    capsule = PyCapsule_New(d, IL_PY_DETECTOR, detector_forget);
    if (capsule == NULL) {
        il_py_detector_release(d);
    }
    return capsule;
}

PyObject *il_py_load(PyObject *self, PyObject *args)
{
    PyObject *handle = NULL;
    const char *path = NULL;
    il_error err = {.code = IL_OK};
    il_alone *alone = NULL;
    il_status status;
    il_py_host *h;

    (void)self;
    if (!PyArg_ParseTuple(args, "Os", &handle, &path) ||
        (h = PyCapsule_GetPointer(handle, IL_PY_HOST)) == NULL) {
        return NULL;
    }
    status = il_alone_open(&alone, h->registry, path, h->log, &err);
    return status == IL_OK ? il_py_detector_wrap(h, alone) : il_py_raise(status, &err);
}

static il_py_detector *the_detector(PyObject *args)
{
    PyObject *handle = NULL;

    return PyArg_ParseTuple(args, "O", &handle)
               ? PyCapsule_GetPointer(handle, IL_PY_DETECTOR)
               : NULL;
}

PyObject *il_py_contract(PyObject *self, PyObject *args)
{
    il_py_detector *d = the_detector(args);
    json_t *json;
    char *text;
    PyObject *out;

    (void)self;
    if (d == NULL) {
        return NULL;
    }
    json = il_detector_contract(d->alone->detector);
    text = json != NULL ? json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    out = text != NULL ? PyUnicode_FromString(text) : PyErr_NoMemory();
    free(text);
    json_decref(json);
    return out;
}

/* A list of (name, tensor): its parameters, its scaling and its ids. */
PyObject *il_py_tensors(PyObject *self, PyObject *args)
{
    il_py_detector *d = the_detector(args);
    il_arena *arena;
    il_safetensor *items = NULL;
    size_t count = 0;
    size_t prefix;
    il_error err = {.code = IL_OK};
    il_status status;
    PyObject *list = NULL;

    (void)self;
    if (d == NULL) {
        return NULL;
    }
    arena = il_arena_create(4096);
    if (arena == NULL) {
        return PyErr_NoMemory();
    }
    prefix = strlen("detectors.") + strlen(d->alone->spec.name) + 1;
    status = il_detector_state(d->alone->detector, false, arena, &items, &count, &err);
    if (status == IL_OK) {
        list = PyList_New(0);
    }
    for (size_t i = 0; list != NULL && i < count; i++) {
        float *data = NULL;
        PyObject *pair;
        PyObject *capsule;

        if (items[i].dtype.code != IL_CODE_FLOAT || items[i].dtype.bits != 32) {
            continue; /* ids */
        }
        capsule = il_give(items[i].ndim, items[i].shape, &data);
        if (capsule != NULL) {
            memcpy(data, items[i].data, items[i].bytes);
        }
        pair = capsule != NULL ? Py_BuildValue("sN", items[i].name + prefix, capsule)
                               : NULL;
        if (pair == NULL || PyList_Append(list, pair) != 0) {
            Py_DecRef(list);
            list = NULL;
        }
        Py_DecRef(pair);
    }
    il_arena_destroy(arena);
    return status == IL_OK ? list : il_py_raise(status, &err);
}

PyObject *il_py_save(PyObject *self, PyObject *args)
{
    PyObject *handle = NULL;
    const char *path = NULL;
    il_error err = {.code = IL_OK};
    il_py_detector *d;
    il_status status;

    (void)self;
    if (!PyArg_ParseTuple(args, "Os", &handle, &path) ||
        (d = PyCapsule_GetPointer(handle, IL_PY_DETECTOR)) == NULL) {
        return NULL;
    }
    status = il_saved_write(d->alone->detector, path, &err);
    return status == IL_OK ? Py_BuildValue("") : il_py_raise(status, &err);
}

/* ---- asked ---------------------------------------------------------------------- */

typedef struct answered {
    il_py_detector *d;
    il_answer *answer;
    il_py_reading reading; /* borrowed by the answer */
} answered;

static void answered_close(answered *w)
{
    il_answer_release(w->answer);
    il_py_reading_drop(&w->reading);
    il_py_detector_release(w->d);
    free(w);
}

static void answer_forget(PyObject *capsule)
{
    answered_close(PyCapsule_GetPointer(capsule, IL_PY_ANSWER));
}

static il_status ask(answered *w, il_error *err)
{
    il_question q = il_py_question(&w->reading);
    il_status status;

    Py_BEGIN_ALLOW_THREADS status = il_ask(&w->answer, w->d->asking, &q, err);
    Py_END_ALLOW_THREADS return status;
}

static PyObject *logits_of(const answered *w)
{
    int64_t n = 0;
    const float *z = il_answer_logits(w->answer, &n);
    float *data = NULL;
    PyObject *capsule = il_give(1, &n, &data);

    if (capsule != NULL && n > 0) {
        memcpy(data, z, (size_t)n * sizeof *z);
    }
    return capsule;
}

/* (detector, acts, mask, lengths, tokens, keep) -> (logits, answer or None) */
PyObject *il_py_ask(PyObject *self, PyObject *args)
{
    PyObject *handle, *acts, *mask, *lengths, *tokens;
    int keep = 0;
    il_error err = {.code = IL_OK};
    il_py_detector *d;
    il_status status;
    answered *w;
    PyObject *logits;
    PyObject *capsule;

    (void)self;
    if (!PyArg_ParseTuple(args, "OOOOOp", &handle, &acts, &mask, &lengths, &tokens,
                          &keep) ||
        (d = PyCapsule_GetPointer(handle, IL_PY_DETECTOR)) == NULL) {
        return NULL;
    }
    w = calloc(1, sizeof *w);
    if (w == NULL) {
        return PyErr_NoMemory();
    }
    w->d = d;
    d->users++;
    if (il_py_reading_take(&w->reading, d->alone->detector, acts, mask, lengths,
                           tokens) != 0) {
        answered_close(w);
        return NULL;
    }
    status = ask(w, &err);
    if (status != IL_OK) {
        answered_close(w);
        return il_py_raise(status, &err);
    }
    logits = logits_of(w);
    if (logits == NULL || !keep) {
        answered_close(w);
        return logits != NULL ? Py_BuildValue("(NO)", logits, Py_None) : NULL;
    }
    capsule = PyCapsule_New(w, IL_PY_ANSWER, answer_forget);
    if (capsule == NULL) {
        answered_close(w);
        Py_DecRef(logits);
        return NULL;
    }
    return Py_BuildValue("(NN)", logits, capsule);
}

/* Tensors for the derivatives that are wanted, None for the others. */
static PyObject *slopes_of(answered *w, unsigned long long wanted, float **grads)
{
    const il_py_reading *r = &w->reading;
    PyObject *out = PyTuple_New(r->sites);

    for (Py_ssize_t i = 0; out != NULL && i < r->sites; i++) {
        PyObject *capsule = wanted >> i & 1
                                ? il_give(r->acts[i].ndim, r->acts[i].shape, &grads[i])
                                : Py_BuildValue("");

        if (capsule == NULL || PyTuple_SetItem(out, i, capsule) != 0) {
            Py_DecRef(out);
            out = NULL;
        }
    }
    return out;
}

/* (answer, seed, wanted) -> derivatives by site; bit i of wanted asks for site i */
PyObject *il_py_backward(PyObject *self, PyObject *args)
{
    PyObject *handle = NULL;
    PyObject *seed = NULL;
    unsigned long long wanted = 0;
    float *grads[IL_DETECTOR_SITES_MAX] = {NULL};
    il_error err = {.code = IL_OK};
    il_status status;
    il_taken taken;
    int64_t n = 0;
    answered *w;
    PyObject *out;

    (void)self;
    if (!PyArg_ParseTuple(args, "OOK", &handle, &seed, &wanted) ||
        (w = PyCapsule_GetPointer(handle, IL_PY_ANSWER)) == NULL ||
        il_take(&taken, seed, IL_CODE_FLOAT, 32, false, "seed") != 0) {
        return NULL;
    }
    (void)il_answer_logits(w->answer, &n);
    if (taken.ndim != 1 || taken.shape[0] != n) {
        il_taken_drop(&taken);
        return PyErr_Format(PyExc_ValueError, "seed: expected shape (%lld)",
                            (long long)n);
    }
    out = slopes_of(w, wanted, grads);
    if (out != NULL) {
        Py_BEGIN_ALLOW_THREADS status =
            il_answer_backward(w->answer, taken.data, grads, &err);
        Py_END_ALLOW_THREADS if (status != IL_OK)
        {
            Py_DecRef(out);
            out = il_py_raise(status, &err);
        }
    }
    il_taken_drop(&taken);
    return out;
}

/* (detector, logits) -> probabilities, as its calibration has them */
PyObject *il_py_probabilities(PyObject *self, PyObject *args)
{
    PyObject *handle = NULL;
    PyObject *logits = NULL;
    float *data = NULL;
    il_taken taken;
    il_py_detector *d;
    int64_t n = 1;
    PyObject *capsule;

    (void)self;
    if (!PyArg_ParseTuple(args, "OO", &handle, &logits) ||
        (d = PyCapsule_GetPointer(handle, IL_PY_DETECTOR)) == NULL ||
        il_take(&taken, logits, IL_CODE_FLOAT, 32, false, "logits") != 0) {
        return NULL;
    }
    for (int32_t i = 0; i < taken.ndim; i++) {
        n *= taken.shape[i];
    }
    capsule = il_give(taken.ndim, taken.shape, &data);
    for (int64_t i = 0; capsule != NULL && i < n; i++) {
        data[i] = (float)il_calibration_probability(&d->alone->detector->calibration,
                                                    ((const float *)taken.data)[i]);
    }
    il_taken_drop(&taken);
    return capsule;
}
