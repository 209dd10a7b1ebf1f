"""Collects what a bug report should say about the machine and the installation."""

import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from os import cpu_count
from typing import Any

import psutil

from edgespec import (
    __version__,
    catalog,
    cgroups,
    cpu_sets,
    cpus,
    machines,
    memory,
    mempolicy,
    paths,
    slowness,
)
from edgespec.topology import detect

PACKAGES = (
    "llama-cpp-python",
    "numpy",
    "jinja2",
    "click",
    "huggingface_hub",
    "textual",
    "onnxruntime",
)
"""Whose versions matter; they are looked up without importing anything."""

_BYTES = ("available", "size", "swap", "total")


@dataclass(frozen=True, slots=True)
class Processor:
    """Counts of cores and logical processors; `quota` is in CPUs, None without a limit.

    `usable` describes what this process may compute with, core kinds and memory nodes included.
    """

    model: str
    usable: str
    cores: int | None
    processors: int | None
    allowed_cores: int
    allowed_processors: int
    quota: float | None
    default_threads: int


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes. `available` is what this process may still take, its cgroups' limits included."""

    total: int
    available: int
    swap: int | None


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Whether the files of a pair are there, and the bytes of those that are."""

    present: bool
    size: int


@dataclass(frozen=True, slots=True)
class Report:
    """All that `edgespec doctor` tells. `asdict` of it can be written as JSON.

    `slow` says what makes this machine slower than it could be, one thing in each line;
    `packages` are versions, None for what is not installed; `models` are the
    catalogue's pairs, but for those that were not pulled;
    `native` is whatever the caller found out from the native libraries.
    """

    edgespec: str
    python: str
    platform: str
    packages: dict[str, str | None]
    processor: Processor
    memory: Memory
    slow: tuple[str, ...]
    paths: dict[str, str]
    models: dict[str, ModelFiles]
    native: dict[str, str] = field(default_factory=dict)


def collect(native: Mapping[str, str] | None = None) -> Report:
    """Look at everything; `native` is added as it is."""
    return Report(
        edgespec=__version__,
        python=f"{platform.python_version()} ({platform.python_implementation()})",
        platform=platform.platform(),
        packages={name: _version(name) for name in PACKAGES},
        processor=_processor(),
        memory=Memory(
            total=memory.installed(),
            available=memory.available(),
            swap=_swap(),
        ),
        slow=(*map(str, _findings()), *_refusals()),
        paths={
            "config": str(paths.config_dir()),
            "data": str(paths.data_dir()),
            "models": str(paths.models_dir()),
            "cache": str(paths.cache_dir()),
            "log": str(paths.log_dir()),
        },
        models={
            pair.name: ModelFiles(pair.present, pair.size)
            for pair in catalog.entries()
            if pair.present or not pair.remote
        },
        native=dict(native or {}),
    )


def render(report: Report) -> str:
    """The report as aligned lines "name  value"."""
    lines = list(_lines("", asdict(report)))
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:{width}}  {value}" for name, value in lines)


def _lines(prefix: str, table: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        name = f"{prefix}{key.replace('_', ' ')}"
        if isinstance(value, dict):
            yield from _lines(f"{name} ", value)
        elif isinstance(value, tuple):
            yield from ((name, line) for line in value or ("nothing was found",))
        elif value is None or isinstance(value, bool):
            yield name, {None: "-", False: "no", True: "yes"}[value]
        else:
            yield name, f"{value / 2**20:,.1f} MiB" if key in _BYTES else str(value)


def _swap() -> int | None:
    try:
        return int(psutil.swap_memory().total)
    except OSError:  # There is no /proc.
        return None


def _processor() -> Processor:
    return Processor(
        model=cpus.model(),
        usable=detect.here().describe(),
        cores=psutil.cpu_count(logical=False),
        processors=cpu_count(),
        allowed_cores=cpus.physical_cores(),
        allowed_processors=len(cpus.allowed()),
        quota=cgroups.cpu_quota(),
        default_threads=cpu_sets.default(detect.here()).threads,
    )


def _findings() -> tuple[slowness.Finding, ...]:
    topology, machine = detect.here(), machines.here()
    reads = machine.bandwidth, machine.core_bandwidth
    return (*slowness.find(topology), *slowness.saturated(topology, *reads))


def _refusals() -> list[str]:
    """What the system does not let this process do, one line each."""
    found = []
    if not cpus.can_bind():
        found.append("threads cannot be bound to processors here; they run where they are put")
    if len(detect.here().nodes) > 1 and not mempolicy.allowed():
        found.append("memory cannot be put at a chosen node here; numactl may be allowed to")
    return found


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
