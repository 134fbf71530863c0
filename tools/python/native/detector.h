/* A detector asked, differentiated, looked into and saved. */
#ifndef IL_PYTHON_DETECTOR_H
#define IL_PYTHON_DETECTOR_H

#include "native.h"

PyObject *il_py_host_open(PyObject *self, PyObject *args);
PyObject *il_py_load(PyObject *self, PyObject *args);
PyObject *il_py_ask(PyObject *self, PyObject *args);
PyObject *il_py_backward(PyObject *self, PyObject *args);
PyObject *il_py_probabilities(PyObject *self, PyObject *args);
PyObject *il_py_contract(PyObject *self, PyObject *args);
PyObject *il_py_tensors(PyObject *self, PyObject *args);
PyObject *il_py_save(PyObject *self, PyObject *args);

#endif
