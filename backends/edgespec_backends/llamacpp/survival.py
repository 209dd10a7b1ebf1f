"""What happens when ggml gives up: it ends the process, unless a thread is prepared to be lost.

A device that is gone or out of memory is answered so, in the middle of a decode.
"""

import ctypes
import os
from collections.abc import Callable
from functools import cache
from threading import Event, local

from edgespec_backends.llamacpp.ggml import function

_Callback = ctypes.CFUNCTYPE(None, ctypes.c_char_p)
_REMOTE = b"ggml-rpc"
"""Named by failures of remote devices, with which a thread of ggml's own speaks."""
_here = local()
_prepared: list[Callable[[str], None]] = []
offloaded: set[object] = set()
"""The open models that are on a device."""


def _given_up(message: bytes) -> None:
    report: Callable[[str], None] | None = getattr(_here, "report", None)
    if report is None and _REMOTE in message and len(offloaded) == len(_prepared) == 1:
        # Nobody else is waiting for this thread.
        (report,) = _prepared
    if report is None:
        os.write(2, message + b"\n")
        return
    place, _, reason = message.decode("utf-8", "replace").partition(": ")
    report(reason or place)
    Event().wait()  # ggml ends the process as soon as this returns.


_callback = _Callback(_given_up)


def prepare(report: Callable[[str], None]) -> None:
    """If ggml gives up on this thread, `report` is called with the reason and the thread stops."""
    _install()
    _here.report = report
    _prepared.append(report)


def dismiss(report: Callable[[str], None]) -> None:
    """The thread that `report` was prepared for has ended, or will not use its context again."""
    _prepared.remove(report)


@cache
def _install() -> None:
    function("ggml_set_abort_callback", ctypes.c_void_p, _Callback)(_callback)
