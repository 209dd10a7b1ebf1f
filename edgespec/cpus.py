"""The processors this process may use."""

import os
import platform
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

from edgespec import cgroups

_TOPOLOGY = "sys/devices/system/cpu/cpu{}/topology/{}"
_SIBLINGS = ("core_cpus_list", "thread_siblings_list")


def default_threads(root: Path = Path("/")) -> int:
    """How many threads to compute with until something better was measured.

    One per physical core this process may use, not more than its CPU quota, at least one: a
    thread that waits for its turn on a core holds up all the others. `root` is the file
    system's, other than "/" in tests.
    """
    quota = cgroups.cpu_quota(root)
    cores = physical_cores(root)
    return max(1, cores if quota is None else min(cores, int(quota)))


def allowed() -> frozenset[int]:
    """The logical processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    if hasattr(psutil.Process, "cpu_affinity"):
        return frozenset(psutil.Process().cpu_affinity())
    return frozenset(range(os.cpu_count() or 1))


def can_bind() -> bool:
    """True if this process may say where its threads run; macOS lets nobody."""
    if not hasattr(os, "sched_setaffinity"):
        return sys.platform == "win32"
    try:
        os.sched_setaffinity(0, os.sched_getaffinity(0))
    except OSError:
        return False
    return True


def bind(cpus: Iterable[int]) -> None:
    """Keep the calling thread and those that it starts to `cpus`, where that is allowed."""
    if hasattr(os, "sched_setaffinity"):
        with suppress(OSError):
            os.sched_setaffinity(0, cpus)


def unbind() -> None:
    """Let the calling thread run wherever the process may; it starts where its maker was bound."""
    if hasattr(os, "sched_setaffinity"):
        with suppress(OSError):
            os.sched_setaffinity(0, os.sched_getaffinity(os.getpid()))


def physical_cores(root: Path = Path("/")) -> int:
    """The number of physical cores behind the allowed processors."""
    cpus = allowed()
    cores = {_siblings(cpu, root) for cpu in cpus}
    if cores != {""}:
        return len(cores)
    return min(len(cpus), psutil.cpu_count(logical=False) or len(cpus))


def model(root: Path = Path("/")) -> str:
    """The processor's name, as far as the system knows it."""
    for line in cgroups.text(root / "proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model"):
            return value.strip()
    return platform.processor() or platform.machine()


def _siblings(cpu: int, root: Path) -> str:
    """The list of processors that share `cpu`'s core, empty where that is unknown."""
    texts = (cgroups.text(root / _TOPOLOGY.format(cpu, name)) for name in _SIBLINGS)
    return next(filter(None, texts), "")
