"""What makes this machine slower than it could be, in plain words."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from edgespec import cgroups
from edgespec.topology.linux import meminfo
from edgespec.topology.records import Topology

_MIB = 1 << 20
_SWAPPED = 256 * _MIB
_THROTTLED = 0.02
_BUSY = 0.5
_MANY = 4
_SLOW_GOVERNORS = ("powersave", "conservative")
_SLOW_PREFERENCES = ("power", "balance_power")
_SELF_GOVERNED = ("intel_pstate", "amd-pstate-epp")
"""Drivers whose "powersave" governor clocks up under load; a preference steers them instead."""


class Cause(Enum):
    """What slows a machine down."""

    GOVERNOR = "governor"
    BATTERY = "battery"
    NUMA_BALANCING = "numa_balancing"
    QUOTA = "quota"
    THROTTLED = "throttled"
    AFFINITY = "affinity"
    MEMORY_LIMIT = "memory_limit"
    SWAP = "swap"
    VIRTUAL = "virtual"
    LOAD = "load"
    ONE_NODE = "one_node"
    SATURATED = "saturated"


@dataclass(frozen=True, slots=True)
class Finding:
    """One cause, what was seen of it, and what can be done."""

    cause: Cause
    what: str
    advice: str

    def __str__(self) -> str:
        return f"{self.what}; {self.advice}" if self.advice else self.what


def find(
    topology: Topology,
    root: Path = Path("/"),
    load: Callable[[], float] | None = None,
) -> tuple[Finding, ...]:
    """All that is seen at `root`, the file system's, other than "/" in tests.

    `load` is the number of processes that wanted to run in the last minute (None: ask the system).
    """
    return (
        *_clocks(topology, root),
        *_limits(topology, root),
        *_memory(topology, root),
        *_company(topology, root, load or _load),
    )


def saturated(topology: Topology, together: float, alone: float) -> tuple[Finding, ...]:
    """Whether few cores already read all that the memory gives, in bytes per second."""
    cores = len(topology.usable)
    needed = max(round(together / alone), 1)
    if cores < _MANY or needed > cores / 2:
        return ()
    return (
        Finding(
            Cause.SATURATED,
            f"{needed} of {cores} cores read all that the memory gives, {together / 1e9:.0f} GB/s",
            "more threads bring little; fill all memory channels, or take a smaller quantization",
        ),
    )


def _clocks(topology: Topology, root: Path) -> Iterator[Finding]:
    slow = sorted({name for cpu in topology.allowed if (name := _slow_clock(cpu, root))})
    if slow:
        yield Finding(
            Cause.GOVERNOR,
            f"the processor saves power ({', '.join(slow)})",
            "choose the performance profile, as by powerprofilesctl set performance",
        )
    supplies = list((root / "sys/class/power_supply").glob("*"))
    mains = [cgroups.number(supply / "online") for supply in supplies if _is(supply, "Mains")]
    if any(_is(supply, "Battery") for supply in supplies) and mains and not any(mains):
        yield Finding(Cause.BATTERY, "the machine runs on its battery", "plug it in")


def _slow_clock(cpu: int, root: Path) -> str:
    """The setting that holds a processor back, empty if none does."""
    folder = root / f"sys/devices/system/cpu/cpu{cpu}/cpufreq"
    governor = cgroups.text(folder / "scaling_governor")
    if cgroups.text(folder / "scaling_driver") not in _SELF_GOVERNED:
        return governor if governor in _SLOW_GOVERNORS else ""
    preference = cgroups.text(folder / "energy_performance_preference")
    return preference if preference in _SLOW_PREFERENCES else ""


def _is(supply: Path, kind: str) -> bool:
    # A wireless mouse is a supply, too; its scope is its own.
    return cgroups.text(supply / "type") == kind and cgroups.text(supply / "scope") != "Device"


def _limits(topology: Topology, root: Path) -> Iterator[Finding]:
    cores, online = len(topology.usable), sum(len(core.cpus) for core in topology.cores)
    if topology.quota is not None and topology.quota < len(topology.allowed):
        yield Finding(
            Cause.QUOTA,
            f"a control group allows {topology.quota:g} processors' worth of time, of "
            f"{len(topology.allowed)}",
            "more threads than that are put to sleep together; raise the container's limit",
        )
    if part := _throttled(root):
        yield Finding(
            Cause.THROTTLED,
            f"the control group was held back in {part:.0%} of its periods",
            "its quota is too small for what it runs",
        )
    if len(topology.allowed) < online:
        yield Finding(
            Cause.AFFINITY,
            f"this process may use {len(topology.allowed)} of {online} processors, on {cores} of "
            f"{len(topology.cores)} cores",
            "start it without taskset, or give its container more",
        )


def _throttled(root: Path) -> float:
    for folder in cgroups.folders("cpu", root):
        counts = cgroups.table(folder / "cpu.stat")
        periods = counts.get("nr_periods", 0)
        part = counts.get("nr_throttled", 0) / periods if periods else 0.0
        if part > _THROTTLED:
            return part
    return 0.0


def _memory(topology: Topology, root: Path) -> Iterator[Finding]:
    known = meminfo(root / "proc/meminfo")
    swapped = known.get("SwapTotal", 0) - known.get("SwapFree", 0)
    if swapped > _SWAPPED:
        yield Finding(
            Cause.SWAP,
            f"{swapped // _MIB} MiB are swapped out",
            "close what is not needed: a model that is swapped is read from the disk",
        )
    limit = _memory_limit(root)
    if limit is not None and limit < known.get("MemTotal", 0):
        yield Finding(
            Cause.MEMORY_LIMIT,
            f"a control group allows {limit // _MIB} MiB of memory, of "
            f"{known['MemTotal'] // _MIB} MiB",
            "raise the container's limit to run larger models",
        )
    if len(topology.nodes) < 2:
        return
    if cgroups.number(root / "proc/sys/kernel/numa_balancing"):
        yield Finding(
            Cause.NUMA_BALANCING,
            "the kernel moves pages between memory nodes while they are in use",
            "turn it off: sysctl kernel.numa_balancing=0",
        )
    here = {core.node for core in topology.usable}
    if len(here) < len(topology.nodes):
        yield Finding(
            Cause.ONE_NODE,
            f"this process' cores are at {len(here)} of {len(topology.nodes)} memory nodes",
            "memory at the other nodes is slower to reach",
        )


def _memory_limit(root: Path) -> int | None:
    names = ("memory.max", "memory.high", "memory.limit_in_bytes")
    limits = [
        limit
        for folder in cgroups.folders("memory", root)
        for name in names
        if (limit := cgroups.number(folder / name)) is not None
    ]
    return min(limits, default=None)


def _company(topology: Topology, root: Path, load: Callable[[], float]) -> Iterator[Finding]:
    words = cgroups.text(root / "proc/cpuinfo").split("\n\n", 1)[0].split()
    if "hypervisor" in words:
        yield Finding(
            Cause.VIRTUAL,
            "this is a virtual machine",
            "its neighbours share the memory's bandwidth, so that times vary",
        )
    waiting = load()
    if waiting > _BUSY * len(topology.allowed):
        yield Finding(
            Cause.LOAD,
            f"other programs kept {waiting:.1f} processors busy in the last minute",
            "threads that wait for each other suffer most from it; close other work",
        )


def _load() -> float:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
