"""Huge pages behind what libllama allocates.

A decode reads every weight once; in 4 KiB pages that misses the translation caches all the time.
Most Linux distributions give huge pages only to memory that asks for them, which libllama does
not do. Measured on one AMD EPYC with a 1.1 B Q4_0 model: a step takes 4 % less.
"""

import ctypes
import sys
from pathlib import Path

_HUGEPAGE = 14
_PAGE = 2 << 20
_LEAST = 2 * _PAGE
_MAPS = Path("/proc/self/maps")

_Span = tuple[int, int]


class NewMemory:
    """The large allocations made since this object was."""

    def __init__(self) -> None:
        self._before = _large_spans()

    def ask_for_huge_pages(self) -> None:
        """Let them be backed by huge pages, as far as the system allows.

        Memory not yet touched gets them at once, other memory when the kernel finds the time.
        """
        for span in _large_spans() - self._before:
            _ask(span)


def _large_spans() -> set[_Span]:
    """Address ranges of the process's own large writable memory, without what files are behind."""
    if sys.platform != "linux":
        return set()
    try:
        lines = _MAPS.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return set()
    return set(filter(None, map(_own_span, lines)))


def _own_span(line: str) -> _Span | None:
    addresses, permissions, _offset, _device, inode, *_name = line.split(maxsplit=5)
    start, end = (int(address, 16) for address in addresses.split("-"))
    if permissions != "rw-p" or inode != "0" or end - start < _LEAST:
        return None
    return start, end


def _ask(span: _Span) -> None:
    start, end = -(-span[0] // _PAGE) * _PAGE, span[1] // _PAGE * _PAGE
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    # A refusal (no such pages in this kernel) costs speed only.
    madvise(start, end - start, _HUGEPAGE)
