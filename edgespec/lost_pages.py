"""What is said when a mapped file loses pages: one line, then the process ends.

Weights are read where they lie, in the file. If somebody cuts that short, or its disk fails, the
system sends SIGBUS to whichever thread reads next. A handler of Python's own would never run, for
that thread would read again for ever; a C handler, which ctypes makes of a function, can.
"""

import ctypes
import os
import signal
from collections.abc import Callable
from contextlib import suppress

from edgespec.errors import ExitCode

_LINE = (
    "edgespec: error: a model's file was changed or its disk failed while it was in use; "
    "check it with edgespec models verify, or get it again\n"
)
_Handler = ctypes.CFUNCTYPE(None, ctypes.c_int)
_tidy: list[Callable[[], None]] = []


def before_end(tidy: Callable[[], None]) -> None:
    """Call `tidy` before the line, as to give back a terminal."""
    _tidy.append(tidy)


def watch() -> None:
    """From now on, a lost page ends the process in good order, where systems have SIGBUS."""
    if hasattr(signal, "SIGBUS") and signal.getsignal(signal.SIGBUS) is signal.SIG_DFL:
        install = ctypes.CDLL(None).signal
        install.argtypes, install.restype = (ctypes.c_int, _Handler), ctypes.c_void_p
        install(signal.SIGBUS, _end)


@_Handler  # type: ignore[untyped-decorator]
def _end(_number: int) -> None:
    for tidy in _tidy:
        with suppress(Exception):
            tidy()
    with suppress(OSError):
        os.write(2, _LINE.encode())
    os._exit(ExitCode.UNAVAILABLE)
