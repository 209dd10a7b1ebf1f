"""The loaded libllama: the only importer of llama_cpp, its log, and what its bindings leave out."""

import ctypes
import os
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import Any

# Where an assertion fails, a debugger would be started, and write pages.
os.environ.setdefault("GGML_NO_BACKTRACE", "1")

import llama_cpp.llama_cpp as llama
from llama_cpp.llama_grammar import json_schema_to_gbnf

__all__ = [
    "AbortFlag",
    "captured_stderr",
    "json_schema_to_gbnf",
    "llama",
    "recent_errors",
    "system_info",
]

_LEVEL_ERROR = 4
_LEVEL_CONTINUES = 5
_errors: deque[str] = deque(maxlen=16)
_last_level = 0


@llama.llama_log_callback  # type: ignore[untyped-decorator]
def _keep_errors(level: int, text: bytes, _data: Any) -> None:
    global _last_level
    if level != _LEVEL_CONTINUES:
        _last_level = level
    if _last_level == _LEVEL_ERROR:
        _errors.append(text.decode("utf-8", "replace").strip())


# libllama logs to stderr otherwise, which would spoil a pipe and tear a full-screen terminal.
llama.llama_log_set(_keep_errors, None)


def recent_errors() -> str:
    """What libllama reported as errors since the last call, joined into one line."""
    text = "; ".join(line for line in _errors if line)
    _errors.clear()
    return text


@dataclass(slots=True)
class Printed:
    """What libllama printed past its log."""

    first_line: str = ""


@contextmanager
def captured_stderr(marker: bytes) -> Iterator[Printed]:
    """Keep from stderr what follows `marker`; let through what comes before it.

    For the few calls that print instead of logging. Whatever another thread writes meanwhile
    waits until the end.
    """
    printed = Printed()
    try:
        stderr = os.dup(2)
    except OSError:  # The process has no stderr.
        yield printed
        return
    with TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield printed
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            file.seek(0)
            before, _, after = file.read().partition(marker)
            if before:
                os.write(2, before)
            printed.first_line = after.split(b"\n")[0].decode("utf-8", "replace")


def system_info() -> str:
    """The CPU features and backends that this build of libllama uses."""
    return str(llama.llama_print_system_info().decode()).strip(" |")


class AbortFlag:
    """A flag that libllama polls after every graph node without taking the GIL.

    The callback is libc's strlen: over the bytes 0,0 it answers 0 (go on), over 1,0 it answers 1
    (stop). A Python callback would take the GIL thousands of times per decode.
    """

    def __init__(self) -> None:
        libc = ctypes.CDLL("ucrtbase" if sys.platform == "win32" else None)
        self._cell = (ctypes.c_char * 2)(b"\0", b"\0")
        self.callback = ctypes.cast(libc.strlen, llama.ggml_abort_callback)
        self.data = ctypes.cast(self._cell, ctypes.c_void_p)

    def __bool__(self) -> bool:
        return self._cell[0] != b"\0"

    def set(self) -> None:
        self._cell[0] = b"\1"

    def clear(self) -> None:
        self._cell[0] = b"\0"
