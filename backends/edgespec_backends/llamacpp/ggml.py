"""ggml's own functions, which the bindings leave out, found in the loaded libraries."""

import ctypes
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from edgespec_backends.llamacpp.lib import llama

_PARTS = ("ggml-base", "ggml", "ggml-cpu")


@cache
def function(name: str, result: Any, *arguments: Any) -> Any:
    """The C function `name` with its types. Raises AttributeError if this build has none."""
    for library in _libraries():
        with suppress(AttributeError):
            found = library[name]
            found.restype, found.argtypes = result, arguments
            return found
    raise AttributeError(f"this build of llama.cpp has no {name}")


@cache
def _libraries() -> tuple[ctypes.CDLL, ...]:
    """A handle to libllama finds what it was linked with; on Windows each library is asked."""
    loaded = llama._lib
    if sys.platform != "win32":
        return (loaded,)
    files = (Path(loaded._name).with_name(f"{part}.dll") for part in _PARTS)
    return (loaded, *(ctypes.CDLL(str(file)) for file in files if file.is_file()))
