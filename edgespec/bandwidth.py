"""How fast this machine reads its memory: the bound on every decoded token."""

import ctypes
import json
import mmap
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier, Thread
from time import perf_counter
from typing import Any, cast

from edgespec import own_files

_SIZE = 256 << 20
"""Bytes to read: more than any cache but the largest servers' holds."""
_SMALL = 1 << 20
"""Bytes that stay near a core."""
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
    with _buffer(size) as memory:
        cells = (ctypes.c_char * size).from_buffer(memory)
        address = ctypes.addressof(cells)
        ctypes.memset(address, _FILLED, size)  # Until then all pages are one page of zeros.
        together, alone = (
            size / min(_read(address, size // len(some), some) for _ in range(_REPEATS))
            for some in (cpus, cpus[:1])
        )
        del cells
    return Bandwidth(max(together, alone), alone)


def core_speeds(cpus: Sequence[int], seconds: float = 0.05) -> dict[int, float]:
    """How fast each of `cpus` reads while all do, relative to the fastest.

    All read one small buffer, so that cores are compared and not ways to the memory: kinds of
    cores differ, and so does a core that something else keeps busy.
    """
    read: dict[int, int] = {}
    with mmap.mmap(-1, _SMALL) as memory:
        cells = (ctypes.c_char * _SMALL).from_buffer(memory)
        address = ctypes.addressof(cells)
        ctypes.memset(address, _FILLED, _SMALL)
        search = _memchr()
        gate = Barrier(len(cpus))

        def count(cpu: int) -> None:
            _bind(cpu)
            gate.wait()
            end, times = perf_counter() + seconds, 0
            while perf_counter() < end:
                search(address, _SOUGHT, _SMALL)
                times += 1
            read[cpu] = times

        _run([Thread(target=count, args=(cpu,), daemon=True) for cpu in cpus])
        del cells
    fastest = max(read.values())
    return {cpu: read[cpu] / fastest for cpu in cpus}


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
        own_files.replace(file, json.dumps(known))
    return now


def _buffer(size: int) -> mmap.mmap:
    """Memory such as the engine's: the process's own, in huge pages where there are some.

    Python's usual one is shared, for which Linux has its 4 KiB pages only, and other policies.
    """
    if sys.platform == "win32":
        return mmap.mmap(-1, size)
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if sys.platform == "linux":
        with suppress(OSError):
            memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


def _read(address: int, part: int, cpus: Sequence[int]) -> float:
    """Seconds until all threads have read their parts."""
    search = _memchr()
    gate = Barrier(len(cpus) + 1)

    def read(index: int, cpu: int) -> None:
        _bind(cpu)
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


def _memchr() -> Callable[[int, int, int], int]:
    search: Any = ctypes.CDLL("ucrtbase" if sys.platform == "win32" else None).memchr
    search.restype = ctypes.c_void_p
    search.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t)
    return cast(Callable[[int, int, int], int], search)


def _bind(cpu: int) -> None:
    """Keep the calling thread on one processor, where the system lets it."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.sched_setaffinity(0, {cpu})


def _run(threads: Sequence[Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
