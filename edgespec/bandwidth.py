"""How fast this machine reads its memory: the bound on every decoded token."""

import ctypes
import json
import mmap
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier, Thread
from time import perf_counter

_SIZE = 256 << 20
"""Bytes to read: more than any cache but the largest servers' holds."""
_REPEATS = 3
_FILLED, _SOUGHT = 1, 2


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """Bytes per second that the cores read together, and that one reads alone."""

    together: float
    alone: float


def measure(cpus: Sequence[int], size: int = _SIZE) -> Bandwidth:
    """What one thread on each of `cpus` read, at best, of a buffer of `size` bytes.

    Each thread lets libc's memchr search its part of the buffer in vain, which reads it with the
    widest loads there are and without Python's lock.
    """
    with mmap.mmap(-1, size) as memory:
        cells = (ctypes.c_char * size).from_buffer(memory)
        address = ctypes.addressof(cells)
        ctypes.memset(address, _FILLED, size)  # Until then all pages are one page of zeros.
        together, alone = (
            size / min(_read(address, size // len(some), some) for _ in range(_REPEATS))
            for some in (cpus, cpus[:1])
        )
        del cells
    return Bandwidth(max(together, alone), alone)


def best(file: Path, key: str, cpus: Sequence[int], *, again: bool = True) -> Bandwidth:
    """The most that was ever measured for `key`, kept in `file`: other work only takes from it.

    Without `again`, nothing is measured if something is known.
    """
    known: dict[str, list[float]] = {}
    with suppress(OSError, ValueError, AttributeError, TypeError):
        read = json.loads(file.read_text("utf-8"))
        known = {name: [float(value) for value in values] for name, values in read.items()}
    before = Bandwidth(*known[key]) if len(known.get(key, ())) == 2 else None
    if before and not again:
        return before
    now = measure(cpus)
    if before:
        now = Bandwidth(max(now.together, before.together), max(now.alone, before.alone))
    known[key] = [now.together, now.alone]
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(known), "utf-8")
    return now


def _read(address: int, part: int, cpus: Sequence[int]) -> float:
    """Seconds until all threads have read their parts."""
    search = ctypes.CDLL("ucrtbase" if sys.platform == "win32" else None).memchr
    search.restype = ctypes.c_void_p
    search.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t)
    gate = Barrier(len(cpus) + 1)

    def read(index: int, cpu: int) -> None:
        if sys.platform == "linux":
            with suppress(OSError):
                os.sched_setaffinity(0, {cpu})
        gate.wait()
        search(address + index * part, _SOUGHT, part)
        gate.wait()

    threads = [Thread(target=read, args=pair, daemon=True) for pair in enumerate(cpus)]
    for thread in threads:
        thread.start()
    gate.wait()
    begin = perf_counter()
    gate.wait()
    seconds = perf_counter() - begin
    for thread in threads:
        thread.join()
    return seconds
