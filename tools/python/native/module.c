/* The module `interloop._native`. See native.h. */
#include "detector.h"
#include "base/version.h"

static PyMethodDef functions[] = {
    {"host", il_py_host_open, METH_VARARGS,
     "host(plugin_folders, portable) -> host: plugins and BLAS"},
    {"load", il_py_load, METH_VARARGS, "load(host, path) -> detector"},
    {"fit", (PyCFunction)(void (*)(void))il_py_fit, METH_VARARGS | METH_KEYWORDS,
     "fit(host, use, params, sites, acts, labels, ...) -> detector"},
    {"ask", il_py_ask, METH_VARARGS,
     "ask(detector, acts, mask, lengths, tokens, keep) -> (logits, answer or None)"},
    {"backward", il_py_backward, METH_VARARGS,
     "backward(answer, seed, wanted) -> derivatives by site"},
    {"probabilities", il_py_probabilities, METH_VARARGS,
     "probabilities(detector, logits) -> probabilities"},
    {"contract", il_py_contract, METH_VARARGS, "contract(detector) -> JSON"},
    {"tensors", il_py_tensors, METH_VARARGS, "tensors(detector) -> [(name, tensor)]"},
    {"save", il_py_save, METH_VARARGS, "save(detector, path)"},
    {"measure", (PyCFunction)(void (*)(void))il_py_measure,
     METH_VARARGS | METH_KEYWORDS,
     "measure(logits, labels, ...) -> measures with intervals"},
    {NULL, NULL, 0, NULL}};

static struct PyModuleDef module = {.m_base = PyModuleDef_HEAD_INIT,
                                    .m_name = "interloop._native",
                                    .m_doc = "Interloop's detectors on DLPack tensors.",
                                    .m_size = -1,
                                    .m_methods = functions};

PyMODINIT_FUNC PyInit__native(void);

PyMODINIT_FUNC PyInit__native(void)
{
    PyObject *m = PyModule_Create(&module);

    if (m != NULL && PyModule_AddStringConstant(m, "VERSION", IL_VERSION) != 0) {
        Py_DecRef(m);
        return NULL;
    }
    return m;
}
