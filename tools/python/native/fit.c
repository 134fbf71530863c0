/* Detectors fitted and judged on tensors. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "native.h"
#include "detect/closed.h"
#include "detect/dictionary.h"
#include "detect/fit.h"
#include "detect/metrics.h"

/* Labelled activations as the core fits on them. */
typedef struct rows {
    il_py_reading reading;
    il_taken labels, documents;
    int64_t sites[IL_DETECTOR_SITES_MAX], widths[IL_DETECTOR_SITES_MAX];
    il_arena *arena;
    il_acts acts;
} rows;

static void rows_drop(rows *r)
{
    il_py_reading_drop(&r->reading);
    il_taken_drop(&r->labels);
    il_taken_drop(&r->documents);
    if (r->arena != NULL) {
        il_arena_destroy(r->arena);
    }
}

/* The label of a position: labels are (B) or, position by position, (B,T). */
static uint8_t label_at(const rows *r, int64_t b, int64_t t)
{
    const uint8_t *labels = r->labels.data;

    return labels[r->labels.ndim == 2 ? b * r->reading.length + t : b];
}

static int check_beside(const rows *r)
{
    const il_py_reading *g = &r->reading;
    const il_taken *l = &r->labels;
    const uint8_t *labels = l->data;
    int64_t n = l->ndim == 2 ? g->batch * g->length : g->batch;

    if (l->managed != NULL && (l->ndim < 1 || l->ndim > 2 || l->shape[0] != g->batch ||
                               (l->ndim == 2 && l->shape[1] != g->length))) {
        PyErr_SetString(PyExc_ValueError,
                        "labels: expected shape (B) or (B,T), as the activations "
                        "have it");
        return -1;
    }
    for (int64_t i = 0; labels != NULL && i < n; i++) {
        if (labels[i] > 1) {
            PyErr_Format(PyExc_ValueError, "labels[%lld]: expected 0 or 1, got %d",
                         (long long)i, (int)labels[i]);
            return -1;
        }
    }
    if (r->documents.managed != NULL &&
        (r->documents.ndim != 1 || r->documents.shape[0] != g->batch)) {
        PyErr_SetString(PyExc_ValueError,
                        "documents: expected shape (B), as the activations have it");
        return -1;
    }
    return 0;
}

/* Every scored position with its label and its document. */
static il_status fill(rows *r, bool pooled, il_error *err)
{
    const il_question g = il_py_question(&r->reading);
    const int64_t *ids = r->documents.data;
    size_t most = (size_t)(g.batch * g.length) + 1;
    il_scored *s = &r->acts.rows;

    *s = (il_scored){
        .batch = g.batch, .length = g.length, .lengths = g.lengths, .inputs = g.tokens};
    s->rows = il_arena_alloc(r->arena, most * sizeof *s->rows);
    s->documents = il_arena_alloc(r->arena, most * sizeof *s->documents);
    s->labels = r->labels.managed != NULL ? il_arena_alloc(r->arena, most) : NULL;
    if (s->rows == NULL || s->documents == NULL ||
        (r->labels.managed != NULL && s->labels == NULL)) {
        return il_error_set(err, IL_ERR_MEMORY, "rows", "out of memory");
    }
    for (int64_t b = 0; b < g.batch; b++) {
        for (int64_t t = 0; t < g.length; t++) {
            if (!il_question_scores(&g, b, t)) {
                continue;
            }
            s->rows[s->count] = (int32_t)(b * g.length + t);
            s->documents[s->count] = ids != NULL ? ids[b] : b;
            if (s->labels != NULL) {
                s->labels[s->count] = label_at(r, b, t);
            }
            s->count++;
        }
    }
    r->acts.gathered = g.length == 1 && s->count == g.batch && !pooled;
    return pooled ? il_scored_gather(s, r->arena, err) : IL_OK;
}

/* (acts, labels, documents, mask, lengths, tokens), or None for no rows. */
static int rows_take(rows *r, PyObject *tuple, const il_detector *d)
{
    PyObject *acts, *labels, *documents, *mask, *lengths, *tokens;

    if (!PyArg_ParseTuple(tuple, "OOOOOO", &acts, &labels, &documents, &mask, &lengths,
                          &tokens) ||
        il_py_reading_take(&r->reading, d, acts, mask, lengths, tokens) != 0 ||
        il_take(&r->labels, labels, IL_CODE_UINT, 8, true, "labels") != 0 ||
        il_take(&r->documents, documents, IL_CODE_INT, 64, true, "documents") != 0) {
        return -1;
    }
    r->arena = il_arena_create(1 << 14);
    if (r->arena == NULL) {
        (void)PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < r->reading.sites; i++) {
        r->sites[i] = i;
        r->widths[i] = r->reading.acts[i].shape[r->reading.acts[i].ndim - 1];
    }
    r->acts.site_count = (size_t)r->reading.sites;
    r->acts.sites = r->sites;
    r->acts.widths = r->widths;
    r->acts.data = r->reading.data;
    return check_beside(r);
}

/* ---- fit ------------------------------------------------------------------------ */

/* A dict of text to text as a component's params. NULL with an exception. */
static il_node *params_of(PyObject *dict, il_arena *arena)
{
    il_place place = {.file = "params"};
    il_node *map = il_node_map(arena, place);
    PyObject *key, *value;
    Py_ssize_t at = 0;

    while (map != NULL && PyDict_Next(dict, &at, &key, &value)) {
        PyObject *k = PyUnicode_AsUTF8String(key);
        PyObject *v = k != NULL ? PyUnicode_AsUTF8String(value) : NULL;
        il_place at_key = {
            .file = k != NULL ? il_arena_strdup(arena, PyBytes_AsString(k)) : NULL};
        il_node *scalar =
            v != NULL ? il_node_scalar(arena, PyBytes_AsString(v), false, at_key)
                      : NULL;

        if (scalar == NULL ||
            !il_node_add(arena, map, PyBytes_AsString(k), at_key, scalar)) {
            map = NULL;
        }
        Py_DecRef(k);
        Py_DecRef(v);
    }
    if (map == NULL && PyErr_Occurred() == NULL) {
        (void)PyErr_NoMemory();
    }
    return map;
}

/* Whether it has anything to learn; what combines the logits of others has not. */
static bool teaches(const il_detector *d)
{
    return il_instance_detector(d->instance)->recipe != NULL || il_detector_closed(d) ||
           il_detector_learns(d);
}

static il_status fit(il_alone *alone, const il_py_host *h, rows *fitting, rows *held,
                     uint64_t seed, il_error *err)
{
    il_detector *d = alone->detector;
    il_fit how = {.blas = h->blas, .log = h->log, .start = IL_FIT_FRESH, .seed = seed};

    if (fitting->labels.managed == NULL && !il_detector_learns(d)) {
        return il_error_set(err, IL_ERR_INPUT, "labels",
                            "expected labels: %s does not learn without",
                            d->instance->offer->id);
    }
    IL_TRY(fill(fitting, alone->spec.pooled, err));
    if (alone->spec.fit.method != NULL || teaches(d)) {
        IL_TRY(il_detector_fit(d, &fitting->acts, &how, err));
    } else {
        d->fitted = true; /* as it is to be */
    }
    if (alone->spec.threshold.kind == IL_THRESHOLD_RATE) {
        IL_TRY(fill(held, alone->spec.pooled, err));
        IL_TRY(il_detector_calibrate(d, h->blas, &held->acts, err));
    }
    return IL_OK;
}

PyObject *il_py_fit(PyObject *self, PyObject *args, PyObject *words)
{
    static const char *names[] = {"host",       "use", "params",  "sites", "rows",
                                  "held",       "fpr", "context", "pool",  "method",
                                  "steps",      "lr",  "l2",      "seed",  "label",
                                  "convention", NULL};
    PyObject *handle, *params, *sites, *given, *kept;
    il_alone_words w = {.l2 = -1, .lr = -1, .fpr = -1, .tokens = "all"};
    const char *site_names[IL_DETECTOR_SITES_MAX];
    PyObject *texts = NULL;
    rows fitting = {.arena = NULL};
    rows held = {.arena = NULL};
    il_error err = {.code = IL_OK};
    il_arena *arena = il_arena_create(4096);
    il_alone *alone = NULL;
    il_py_host *h = NULL;
    long long steps = 0;
    unsigned long long seed = 1;
    int context = 0;
    il_status status = IL_ERR_INTERNAL;
    bool ok;

    (void)self;
    ok = arena != NULL &&
         PyArg_ParseTupleAndKeywords(
             args, words, "OsO!O!O!Od$izzLddKzz", (char **)names, &handle, &w.use,
             &PyDict_Type, &params, &PyTuple_Type, &sites, &PyTuple_Type, &given, &kept,
             &w.fpr, &context, &w.pool, &w.method, &steps, &w.lr, &w.l2, &seed,
             &w.label, &w.convention) &&
         (h = PyCapsule_GetPointer(handle, IL_PY_HOST)) != NULL &&
         (w.params = params_of(params, arena)) != NULL &&
         rows_take(&fitting, given, NULL) == 0 &&
         (kept == Py_None || rows_take(&held, kept, NULL) == 0);
    if (ok && PyTuple_Size(sites) != fitting.reading.sites) {
        PyErr_Format(PyExc_ValueError, "expected names of %zd sites, got %zd",
                     fitting.reading.sites, PyTuple_Size(sites));
        ok = false;
    }
    texts = ok ? PyTuple_New(PyTuple_Size(sites)) : NULL;
    for (Py_ssize_t i = 0; texts != NULL && i < PyTuple_Size(sites); i++) {
        PyObject *text = PyUnicode_AsUTF8String(PyTuple_GetItem(sites, i));

        if (text == NULL || PyTuple_SetItem(texts, i, text) != 0) {
            ok = false;
            break;
        }
        site_names[i] = PyBytes_AsString(text);
    }
    if (ok && texts != NULL) {
        w.steps = steps;
        w.context = (enum il_context)context;
        w.seed = seed;
        w.sites = site_names;
        w.site_count = (size_t)fitting.reading.sites;
        w.widths = fitting.widths;
        if (fitting.labels.managed != NULL && w.label == NULL) {
            w.label = "labels";
        }
        Py_BEGIN_ALLOW_THREADS status =
            il_alone_new(&alone, h->registry, &w, h->log, &err);
        if (status == IL_OK) {
            status = fit(alone, h, &fitting, &held, seed, &err);
        }
        Py_END_ALLOW_THREADS
    } else if (PyErr_Occurred() == NULL) {
        (void)PyErr_NoMemory();
    }
    Py_DecRef(texts);
    rows_drop(&fitting);
    rows_drop(&held);
    if (arena != NULL) {
        il_arena_destroy(arena);
    }
    if (ok && status == IL_OK) {
        return il_py_detector_wrap(h, alone);
    }
    il_alone_close(alone);
    return ok && PyErr_Occurred() == NULL ? il_py_raise(status, &err) : NULL;
}

/* ---- measure -------------------------------------------------------------------- */

static PyObject *measured_dict(const il_measured *m)
{
    PyObject *out =
        Py_BuildValue("{s:L,s:L,s:L,s:L}", "rows", (long long)m->rows, "positives",
                      (long long)m->positives, "negatives", (long long)m->negatives,
                      "documents", (long long)m->documents);

    for (int i = 0; out != NULL && i < IL_MEASURES; i++) {
        PyObject *value =
            isfinite(m->low[i])
                ? Py_BuildValue("(ddd)", m->value[i], m->low[i], m->high[i])
                : Py_BuildValue("(dOO)", m->value[i], Py_None, Py_None);

        if (value == NULL ||
            (isfinite(m->value[i]) &&
             PyDict_SetItemString(out, il_measure_name((il_measure)i), value) != 0)) {
            Py_DecRef(out);
            out = NULL;
        }
        Py_DecRef(value);
    }
    return out;
}

PyObject *il_py_measure(PyObject *self, PyObject *args, PyObject *words)
{
    static const char *names[] = {"logits", "labels", "documents", "threshold",
                                  "draws",  "seed",   NULL};
    PyObject *objects[3];
    PyObject *threshold = Py_None;
    il_taken taken[3] = {{NULL, NULL, 0, NULL}};
    int draws = 0;
    unsigned long long seed = 1;
    il_error err = {.code = IL_OK};
    il_measured m;
    il_scores s;
    il_status status;
    bool ok;

    (void)self;
    if (!PyArg_ParseTupleAndKeywords(args, words, "OOO|OiK", (char **)names,
                                     &objects[0], &objects[1], &objects[2], &threshold,
                                     &draws, &seed)) {
        return NULL;
    }
    ok = il_take(&taken[0], objects[0], IL_CODE_FLOAT, 32, false, "logits") == 0 &&
         il_take(&taken[1], objects[1], IL_CODE_UINT, 8, false, "labels") == 0 &&
         il_take(&taken[2], objects[2], IL_CODE_INT, 64, false, "documents") == 0;
    for (int i = 0; ok && i < 3; i++) {
        if (taken[i].ndim != 1 || taken[i].shape[0] != taken[0].shape[0]) {
            PyErr_SetString(PyExc_ValueError,
                            "expected logits, labels and documents of shape (N)");
            ok = false;
        }
    }
    if (ok) {
        s = (il_scores){.count = taken[0].shape[0],
                        .logits = taken[0].data,
                        .labels = taken[1].data,
                        .documents = taken[2].data,
                        .has_threshold = threshold != Py_None};
        s.threshold = s.has_threshold ? PyFloat_AsDouble(threshold) : 0;
        ok = PyErr_Occurred() == NULL;
    }
    if (ok) {
        Py_BEGIN_ALLOW_THREADS status = il_scores_measure(&s, draws, seed, 0, &m, &err);
        Py_END_ALLOW_THREADS if (status != IL_OK)
        {
            (void)il_py_raise(status, &err);
            ok = false;
        }
    }
    for (int i = 0; i < 3; i++) {
        il_taken_drop(&taken[i]);
    }
    return ok ? measured_dict(&m) : NULL;
}
