"""Sets of processors to compute on: which ones a machine's topology suggests, and why."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum

from edgespec.errors import InvalidInput
from edgespec.topology import cpu_lists
from edgespec.topology.records import Core, CoreKind, Topology, all_cpus, first_cpus

_SLOW = 0.75
"""A core that runs below this part of the fastest one's measured speed holds the others up."""
_MOST = 512
"""Threads for which ggml has room."""
_FEW = 4
"""Machines of at most this many cores try every core alone, too, and cannot spare one."""


class Spread(Enum):
    """Where the memory of what is decoded lies."""

    DEFAULT = "default"
    """As the system puts it; there is one node."""
    BIND = "bind"
    """At one node."""
    INTERLEAVE = "interleave"
    """In turn at each of several nodes."""


@dataclass(frozen=True, slots=True)
class CpuSet:
    """One thread on each of `cpus`, or one in all on any of them if it is `roaming`.

    `why` says what the set is for. `spread` over memory `nodes` is what a process that loads should
    ask for. `pinned` if somebody said so.
    """

    name: str
    cpus: tuple[int, ...]
    why: str
    spread: Spread = Spread.DEFAULT
    nodes: tuple[int, ...] = ()
    roaming: bool = False
    pinned: bool = False

    @property
    def threads(self) -> int:
        """How many compute."""
        return 1 if self.roaming else len(self.cpus)

    def __str__(self) -> str:
        return f"{self.threads} on {cpu_lists.render(self.cpus)} ({self.name})"


def default(topology: Topology, threads: int = 0, cpus: str = "") -> CpuSet:
    """What to compute on before anything was measured; with `threads`, on that many.

    One thread on each fast core, because llama.cpp splits much of its work evenly and waits for
    the slowest thread; but for one of many, if there are no slower ones to do all else. `cpus`
    that somebody pinned are taken as they are. Raises InvalidInput as `pinned` does.
    """
    if cpus:
        found = pinned(topology, cpus, "--cpus")
        if threads not in (0, found.threads):
            raise InvalidInput(
                f"--threads {threads} on the {found.threads} processors of --cpus",
                "leave out --threads: each processor gets one",
            )
        return found
    first = next(_generate(topology))
    if threads:
        everything = [*first.cpus, *_others(topology, first.cpus)]
        some = tuple(sorted(everything[:threads]))
        return replace(first, name=f"{threads} threads", cpus=some, why="as many as were asked for")
    return first


def pinned(topology: Topology, text: str, flag: str) -> CpuSet:
    """A thread on each processor of the list `text`, the value of `flag`.

    Raises InvalidInput, saying what there is, if it is no list, or names what cannot be used.
    """
    try:
        cpus = cpu_lists.parse(text)
    except ValueError:
        cpus = ()
    if not 0 < len(cpus) <= _MOST:
        raise InvalidInput(f"{flag} {text!r} is no list of processors", "write it as in 0-3,8")
    for those, what in (
        (all_cpus(topology.cores), "does not exist"),
        (topology.allowed, "is not allowed to this process"),
    ):
        if missing := cpu_lists.render(set(cpus) - set(those)):
            hint = f"what is there is {cpu_lists.render(those)}"
            raise InvalidInput(f"processor {missing} of {flag} {what}", hint)
    nodes = _nodes(core for core in topology.cores if set(core.cpus) & set(cpus))
    found = CpuSet("pinned", cpus, "pinned by you", pinned=True)
    if len(_nodes(topology.cores)) == 1:
        return found
    return replace(found, spread=Spread.INTERLEAVE if nodes[1:] else Spread.BIND, nodes=nodes)


def beside(topology: Topology, taken: Iterable[int]) -> list[CpuSet]:
    """Where a drafter's thread may run beside a target on the processors `taken`, the usual first.

    On the best of the cores that are left free neither waits for the other; the target's own may
    be faster while it rests, which is for measurement to say. Where nothing is free, or no quota
    for one more, the thread goes wherever there is time.
    """
    cpus = tuple(sorted(taken))
    free = [core for core in topology.usable if not set(core.cpus) & set(cpus)]
    if not free or _limit(topology) <= len(cpus):
        return [anywhere(topology)]
    best = min(free, key=lambda core: list(CoreKind).index(core.kind)).kind
    spare = all_cpus(core for core in free if core.kind is best)
    return [
        CpuSet("free cores", spare, "the target leaves them free", roaming=True),
        CpuSet("the target's", cpus, "in turn with the target", roaming=True),
    ]


def anywhere(topology: Topology) -> CpuSet:
    """A thread that goes wherever there is time."""
    every = all_cpus(topology.usable)
    return CpuSet("all", every, "wherever the target leaves time", roaming=True)


def candidates(topology: Topology, speeds: Mapping[int, float] | None = None) -> list[CpuSet]:
    """Sets worth measuring, the likeliest first, each once.

    `speeds` are measured, of the first processor of each core, relative to the fastest; cores that
    something slows down are then left out of one more set.
    """
    found: dict[tuple[tuple[int, ...], Spread], CpuSet] = {}
    for candidate in [*_generate(topology), *_swift(topology, speeds or {})]:
        if candidate.cpus:
            found.setdefault((candidate.cpus, candidate.spread), candidate)
    return list(found.values())


def _generate(topology: Topology) -> Iterator[CpuSet]:
    fast = topology.of_kind(topology.kinds[0]) if topology.kinds else ()
    usable = topology.usable
    nodes = _nodes(usable)
    if len(nodes) > 1:
        yield from _over_nodes(topology, usable, nodes)
    yield from _hybrid(topology, fast) if len(topology.kinds) > 1 else _equal(topology, fast)
    if len(usable) <= _FEW:
        for core in usable:
            yield _set(f"core {core.cpus[0]} alone", [core], "the others may be busy")


def _equal(topology: Topology, fast: tuple[Core, ...]) -> Iterator[CpuSet]:
    limit = _limit(topology)
    if len(_spared(topology, fast)) < min(limit, len(fast)):
        yield _set("cores but one", fast[:-1], "one core is left for all else")
    yield _set("cores", fast[:limit], "one thread per core")
    if any(len(core.cpus) > 1 for core in fast):
        yield CpuSet("all threads", all_cpus(fast)[:limit], "both threads of each core")


def _hybrid(topology: Topology, fast: tuple[Core, ...]) -> Iterator[CpuSet]:
    """The slower cores do all else meanwhile, so that no fast one need be spared."""
    limit = _limit(topology)
    yield _set("P cores", fast[:limit], "no slower core holds them up")
    near = topology.of_kind(CoreKind.PERFORMANCE, CoreKind.EFFICIENT)
    yield _set("P and E cores", near[:limit], "more cores for batches")
    if any(len(core.cpus) > 1 for core in fast):
        cpus = all_cpus(fast)[:limit]
        yield CpuSet("P cores with SMT", cpus, "both threads of each core")


def _spared(topology: Topology, cores: tuple[Core, ...]) -> tuple[Core, ...]:
    """All but one where there are many: the drafter's thread and the screen need one, too."""
    spare = len(cores) > _FEW and _limit(topology) >= len(cores)
    return cores[:-1] if spare else cores[: _limit(topology)]


def _over_nodes(
    topology: Topology, usable: tuple[Core, ...], nodes: tuple[int, ...]
) -> Iterator[CpuSet]:
    """All nodes, one package, one node: the more, the more bandwidth and the longer the ways."""
    limit = _limit(topology)
    yield CpuSet(
        "all nodes, interleaved",
        first_cpus(_spared(topology, usable)),
        "every memory channel works for one stream",
        Spread.INTERLEAVE,
        nodes,
    )
    package = [core for core in usable if core.package == usable[0].package]
    of_package = _nodes(package)
    if len(of_package) not in (1, len(nodes)):
        yield CpuSet(
            "one package, interleaved",
            first_cpus(package[:limit]),
            "no way between packages",
            Spread.INTERLEAVE,
            of_package,
        )
    home = usable[0].node
    yield CpuSet(
        "one node",
        first_cpus([core for core in usable if core.node == home][:limit]),
        "all memory is near",
        Spread.BIND,
        (home,),
    )


def _swift(topology: Topology, speeds: Mapping[int, float]) -> Iterator[CpuSet]:
    kept = [core for core in topology.usable if speeds.get(core.cpus[0], 1.0) >= _SLOW]
    if speeds and 0 < len(kept) < len(topology.usable):
        yield _set("swift cores", kept[: _limit(topology)], "no core that something slows down")


def _others(topology: Topology, cpus: Iterable[int]) -> list[int]:
    """The other allowed processors: other cores before second threads."""
    taken = set(cpus)
    firsts = [cpu for cpu in first_cpus(topology.usable) if cpu not in taken]
    rest = [cpu for cpu in all_cpus(topology.usable) if cpu not in taken and cpu not in firsts]
    return [*firsts, *rest]


def _nodes(cores: Iterable[Core]) -> tuple[int, ...]:
    return tuple(sorted({core.node for core in cores}))


def _set(name: str, cores: Iterable[Core], why: str) -> CpuSet:
    return CpuSet(name, first_cpus(cores), why)


def _limit(topology: Topology) -> int:
    """Threads beyond the quota would be put to sleep together with the others."""
    most = min(len(topology.allowed), _MOST)
    return most if topology.quota is None else max(1, min(int(topology.quota), most))
