"""Where Linux puts the memory that a thread touches first: at one node, or in turn at several."""

import ctypes
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from edgespec.cpu_sets import Spread

_NUMBERS = {"x86_64": 238, "AMD64": 238, "aarch64": 237}
"""set_mempolicy in each architecture's table of system calls; glibc has no function for it."""
_MODES = {Spread.DEFAULT: 0, Spread.BIND: 2, Spread.INTERLEAVE: 3}
_BITS = 8 * ctypes.sizeof(ctypes.c_ulong)


@contextmanager
def placed(spread: Spread, nodes: Sequence[int]) -> Iterator[bool]:
    """Memory that this thread touches first in here goes to `nodes`; True if the system agreed.

    That is the repacked weights, the cache, and the pages of a mapped file that are not in memory
    yet: those that are stay where they were read to. Threads started in here inherit the policy.
    Without permission, or where there is one node only, nothing changes.
    """
    agreed = spread is not Spread.DEFAULT and _set(spread, nodes)
    try:
        yield agreed
    finally:
        if agreed:
            _set(Spread.DEFAULT, ())


def _set(spread: Spread, nodes: Sequence[int]) -> bool:
    number = _NUMBERS.get(platform.machine())
    if sys.platform != "linux" or number is None:
        return False
    size = (max(nodes, default=0) // _BITS + 1) * _BITS
    words = (ctypes.c_ulong * (size // _BITS))()
    for node in nodes:
        words[node // _BITS] |= 1 << node % _BITS
    # The kernel looks at one bit less than it is told of.
    mask = (ctypes.byref(words), ctypes.c_ulong(size + 1)) if nodes else (None, ctypes.c_ulong(0))
    call = ctypes.CDLL(None, use_errno=True).syscall
    done = call(ctypes.c_long(number), ctypes.c_long(_MODES[spread]), *mask)
    return bool(done == 0)


def allowed() -> bool:
    """True if this process may choose where its memory goes."""
    with placed(Spread.INTERLEAVE, _nodes()) as agreed:
        return agreed


def _nodes() -> tuple[int, ...]:
    folder = "/sys/devices/system/node"
    names = os.listdir(folder) if os.path.isdir(folder) else []
    found = (name.removeprefix("node") for name in names if name.startswith("node"))
    return tuple(sorted(int(number) for number in found if number.isdigit()))
