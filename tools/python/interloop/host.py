"""The plugins and the BLAS that every detector of this process shares."""

import os
import threading

from . import _native

_lock = threading.Lock()
_folders = []
_host = None
_portable = os.environ.get("INTERLOOP_NUMERICS", "native") == "portable"


def use_plugins(*folders):
    """Names folders of plugins to look in before the usual ones. Detectors that are loaded
    already keep theirs. A folder that is missing, or that others may write to, is an error."""
    global _host
    with _lock:
        found = [os.path.abspath(os.fspath(f)) for f in folders]
        fresh = _native.host(tuple(found + _folders + _shipped()), _portable)
        _folders[:0] = found
        _host = fresh


def _shipped():
    """The folder of plugins that came with this package."""
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "plugins")
    return [folder] if os.path.isdir(folder) else []


def host():
    """The handle, made at the first ask."""
    global _host
    with _lock:
        if _host is None:
            _host = _native.host(tuple(_folders + _shipped()), _portable)
        return _host
