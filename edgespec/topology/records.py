"""The frozen records of a machine's topology."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class CoreKind(Enum):
    """What a core was made for; the order is the one in which cores are worth using."""

    PERFORMANCE = "P"
    EFFICIENT = "E"
    LOW_POWER = "LP-E"
    """On an island of its own, without a share in the last cache."""


@dataclass(frozen=True, slots=True)
class Core:
    """A physical core: its logical processors `cpus`, its package and its NUMA node.

    `speed` is relative to the fastest core of the machine, as far as the system tells (1 where it
    does not).
    """

    cpus: tuple[int, ...]
    kind: CoreKind = CoreKind.PERFORMANCE
    package: int = 0
    node: int = 0
    speed: float = 1.0


@dataclass(frozen=True, slots=True)
class Cache:
    """A data or unified cache of `size` bytes that `cpus` share."""

    level: int
    size: int
    cpus: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """A NUMA node: bytes of memory, and its distance to every node (10 = itself)."""

    index: int
    cpus: tuple[int, ...]
    memory: int
    free: int
    distances: tuple[int, ...] = (10,)


@dataclass(frozen=True, slots=True)
class Topology:
    """All online cores; `allowed` are the processors that this process may run on.

    `quota` is a limit in CPUs' worth of time, None without one.
    """

    cores: tuple[Core, ...]
    nodes: tuple[Node, ...]
    caches: tuple[Cache, ...]
    allowed: frozenset[int]
    quota: float | None = None

    @property
    def usable(self) -> tuple[Core, ...]:
        """The cores that this process may run on, each with its allowed processors only."""
        found = []
        for core in self.cores:
            if cpus := tuple(cpu for cpu in core.cpus if cpu in self.allowed):
                found.append(Core(cpus, core.kind, core.package, core.node, core.speed))
        return tuple(found)

    @property
    def packages(self) -> int:
        """How many processors one could hold in one's hands."""
        return len({core.package for core in self.cores})

    @property
    def kinds(self) -> tuple[CoreKind, ...]:
        """The kinds among the usable cores, the best first."""
        present = {core.kind for core in self.usable}
        return tuple(kind for kind in CoreKind if kind in present)

    def of_kind(self, *kinds: CoreKind) -> tuple[Core, ...]:
        """The usable cores of these kinds."""
        return tuple(core for core in self.usable if core.kind in kinds)

    def describe(self) -> str:
        """One line for people: "6 P + 8 E cores, 20 processors, 1 package"."""
        counts = {kind: len(self.of_kind(kind)) for kind in self.kinds}
        kinds = " + ".join(f"{count} {kind.value}" for kind, count in counts.items())
        cores = kinds if len(counts) > 1 else str(sum(counts.values()))
        parts = [
            f"{cores} {_plural(sum(counts.values()), 'core')}",
            _count(sum(len(core.cpus) for core in self.usable), "processor"),
            _count(self.packages, "package"),
        ]
        if len(self.nodes) > 1:
            parts.append(_count(len(self.nodes), "NUMA node"))
        return ", ".join(parts)


def first_cpus(cores: Iterable[Core]) -> tuple[int, ...]:
    """One logical processor per core, ascending."""
    return tuple(sorted(core.cpus[0] for core in cores))


def all_cpus(cores: Iterable[Core]) -> tuple[int, ...]:
    """Every logical processor of the cores, ascending."""
    return tuple(sorted(cpu for core in cores for cpu in core.cpus))


def _plural(count: int, noun: str) -> str:
    return noun if count == 1 else f"{noun}s"


def _count(count: int, noun: str) -> str:
    return f"{count} {_plural(count, noun)}"
