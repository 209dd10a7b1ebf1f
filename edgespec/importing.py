"""The import of an engine's modules, and what to do where it fails."""

import errno
import os
from importlib import import_module
from types import ModuleType

from edgespec.errors import BackendUnavailable

_EXHAUSTED = {
    # Its text begins as the next one's.
    errno.ENFILE: "close other programs",
    errno.EMFILE: "allow more open files (ulimit -n)",
    errno.ENOMEM: "close other programs",
}


def engine(module: str, what: str, remedy: str) -> ModuleType:
    """`module`, imported now. Raises BackendUnavailable: `what` does not load, and `remedy`."""
    try:
        return import_module(module)
    except (ImportError, OSError, RuntimeError) as error:
        remedy = _remedy(str(error)) or remedy
        raise BackendUnavailable(f"{what} does not load: {error}", remedy) from error


def _remedy(failure: str) -> str:
    """What helps where the system had no more to give; loaders pass its reason on as text alone."""
    return next((hint for code, hint in _EXHAUSTED.items() if os.strerror(code) in failure), "")
