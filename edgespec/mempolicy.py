"""Where Linux puts the memory that a thread touches first: at one node, or in turn at several."""

import ctypes
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from edgespec.cpu_sets import Spread

_NUMBERS = {"x86_64": (238, 239), "AMD64": (238, 239), "aarch64": (237, 236)}
"""set_mempolicy and get_mempolicy in each architecture's table of system calls; glibc has no
functions for them."""
_MODES = {Spread.DEFAULT: 0, Spread.BIND: 2, Spread.INTERLEAVE: 3}
_BITS = 8 * ctypes.sizeof(ctypes.c_ulong)


@contextmanager
def placed(spread: Spread, nodes: Sequence[int]) -> Iterator[bool]:
    """Memory that this thread touches first in here goes to `nodes`; True if the system agreed.

    That is the repacked weights, the cache, and the pages of a mapped file that are not in memory
    yet: those that are stay where they were read to. Threads started in here inherit the policy.
    Without permission, or under a policy that somebody chose, as by numactl, nothing changes.
    """
    agreed = spread is not Spread.DEFAULT and not _chosen() and _set(spread, nodes)
    try:
        yield agreed
    finally:
        if agreed:
            _set(Spread.DEFAULT, ())


def _chosen() -> bool:
    """True if this thread has a policy already."""
    mode = ctypes.c_int(0)
    nothing = (None, ctypes.c_ulong(0), None, ctypes.c_ulong(0))
    return _call(1, ctypes.byref(mode), *nothing) and mode.value != _MODES[Spread.DEFAULT]


def _set(spread: Spread, nodes: Sequence[int]) -> bool:
    size = (max(nodes, default=0) // _BITS + 1) * _BITS
    words = (ctypes.c_ulong * (size // _BITS))()
    for node in nodes:
        words[node // _BITS] |= 1 << node % _BITS
    # The kernel looks at one bit less than it is told of.
    mask = (ctypes.byref(words), ctypes.c_ulong(size + 1)) if nodes else (None, ctypes.c_ulong(0))
    return _call(0, ctypes.c_long(_MODES[spread]), *mask)


def _call(which: int, *arguments: Any) -> bool:
    """Whether the system did what it was asked to."""
    numbers = _NUMBERS.get(platform.machine())
    if sys.platform != "linux" or numbers is None:
        return False
    call = ctypes.CDLL(None, use_errno=True).syscall
    return bool(call(ctypes.c_long(numbers[which]), *arguments) == 0)


def allowed() -> bool:
    """True if this process may choose where its memory goes, or somebody chose already."""
    with placed(Spread.INTERLEAVE, _nodes()) as agreed:
        return agreed or _chosen()


def _nodes() -> tuple[int, ...]:
    folder = "/sys/devices/system/node"
    names = os.listdir(folder) if os.path.isdir(folder) else []
    found = (name.removeprefix("node") for name in names if name.startswith("node"))
    return tuple(sorted(int(number) for number in found if number.isdigit()))
