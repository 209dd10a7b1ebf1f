"""Reads the topology from Linux's /sys and /proc."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from edgespec import cgroups
from edgespec.topology import cpu_lists
from edgespec.topology.records import Cache, Core, CoreKind, Node, Topology

_SIBLINGS = ("core_cpus_list", "thread_siblings_list")
_PMUS = {
    "cpu_core": CoreKind.PERFORMANCE,
    "cpu_atom": CoreKind.EFFICIENT,
    "cpu_lowpower": CoreKind.LOW_POWER,
}
"""The counter units of hybrid Intel processors, one for each kind of core."""
_FAST = 0.85
"""A core below this part of the fastest one's speed is one of another kind. Cores of one kind
differ by a few percent, because some are chosen to clock higher."""
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def read(root: Path = Path("/")) -> Topology:
    """The topology that the system at `root` describes; what it does not tell is assumed plain."""
    folder = root / "sys/devices/system/cpu"
    online = _list(folder / "online") or (0,)
    caches = _caches(folder, online)
    nodes = _nodes(root, online)
    at_node = {cpu: node.index for node in nodes for cpu in node.cpus}
    speeds = _speeds(folder, online)
    kinds = _kinds(root, online, speeds, caches)
    cores = []
    for cpus in sorted({_siblings(folder, cpu, online) for cpu in online}):
        cpu = cpus[0]
        package = cgroups.number(folder / f"cpu{cpu}/topology/physical_package_id") or 0
        # Virtual machines and some boards say -1.
        cores.append(Core(cpus, kinds[cpu], max(package, 0), at_node.get(cpu, 0), speeds[cpu]))
    return Topology(tuple(cores), nodes, caches, _allowed(root, online), cgroups.cpu_quota(root))


def meminfo(file: Path) -> dict[str, int]:
    """Bytes by name, from lines like "MemTotal: 1 kB" or "Node 0 MemTotal: 1 kB"."""
    found = {}
    for line in cgroups.text(file).splitlines():
        name, _, value = line.partition(":")
        number = value.split()
        if number and number[0].isdigit() and name.split():
            found[name.split()[-1]] = int(number[0]) * 1024
    return found


def _list(file: Path) -> tuple[int, ...]:
    try:
        return cpu_lists.parse(cgroups.text(file))
    except ValueError:
        return ()


def _siblings(folder: Path, cpu: int, online: Iterable[int]) -> tuple[int, ...]:
    lists = (_list(folder / f"cpu{cpu}/topology/{name}") for name in _SIBLINGS)
    found = set(next(filter(None, lists), (cpu,))) & set(online)
    return tuple(sorted(found)) or (cpu,)


def _speeds(folder: Path, online: Iterable[int]) -> dict[int, float]:
    """Of each processor, relative to the fastest: by capacity, else by highest frequency.

    The capacity is the kernel's own judgement (frequency times work per cycle).
    """
    for name in ("cpu_capacity", "cpufreq/cpuinfo_max_freq"):
        values = {cpu: cgroups.number(folder / f"cpu{cpu}/{name}") or 0 for cpu in online}
        if len(set(values.values())) > 1 and min(values.values()) > 0:
            fastest = max(values.values())
            return {cpu: value / fastest for cpu, value in values.items()}
    return dict.fromkeys(online, 1.0)


def _kinds(
    root: Path, online: Iterable[int], speeds: Mapping[int, float], caches: Iterable[Cache]
) -> dict[int, CoreKind]:
    by_pmu = {
        cpu: kind
        for name, kind in _PMUS.items()
        for cpu in _list(root / f"sys/devices/{name}/cpus")
    }
    if not by_pmu:
        slow, fast = CoreKind.EFFICIENT, CoreKind.PERFORMANCE
        return {cpu: fast if speeds[cpu] >= _FAST else slow for cpu in online}
    kinds = {cpu: by_pmu.get(cpu, CoreKind.PERFORMANCE) for cpu in online}
    last = {cpu for cache in caches if cache.level == 3 for cpu in cache.cpus}
    for cpu, kind in kinds.items():
        # Meteor Lake counts its low-power cores among the others; they have no part in the cache.
        if kind is CoreKind.EFFICIENT and last and cpu not in last:
            kinds[cpu] = CoreKind.LOW_POWER
    return kinds


def _caches(folder: Path, online: Iterable[int]) -> tuple[Cache, ...]:
    found = set()
    for cpu in online:
        for entry in (folder / f"cpu{cpu}/cache").glob("index*"):
            size = cgroups.text(entry / "size")
            level = cgroups.number(entry / "level")
            if cgroups.text(entry / "type") == "Instruction" or not size or level is None:
                continue
            shared = _list(entry / "shared_cpu_list") or (cpu,)
            found.add(Cache(level, _bytes(size), shared))
    return tuple(sorted(found, key=lambda cache: (cache.level, cache.cpus)))


def _bytes(size: str) -> int:
    unit = _UNITS.get(size[-1:], 1)
    digits = size.rstrip("KMG")
    return int(digits) * unit if digits.isdigit() else 0


def _nodes(root: Path, online: tuple[int, ...]) -> tuple[Node, ...]:
    folder = root / "sys/devices/system/node"
    found = []
    for index in _list(folder / "online"):
        node = folder / f"node{index}"
        memory = meminfo(node / "meminfo")
        distances = tuple(int(text) for text in cgroups.text(node / "distance").split())
        found.append(
            Node(
                index,
                tuple(cpu for cpu in _list(node / "cpulist") if cpu in online),
                memory.get("MemTotal", 0),
                memory.get("MemFree", 0),
                distances or (10,),
            )
        )
    if found:
        return tuple(found)
    memory = meminfo(root / "proc/meminfo")
    return (Node(0, online, memory.get("MemTotal", 0), memory.get("MemFree", 0)),)


def _allowed(root: Path, online: tuple[int, ...]) -> frozenset[int]:
    """By affinity and cpuset, which the process' status unites."""
    for line in cgroups.text(root / "proc/self/status").splitlines():
        name, _, value = line.partition(":")
        if name == "Cpus_allowed_list":
            try:
                return frozenset(cpu_lists.parse(value)) & frozenset(online)
            except ValueError:
                break
    return frozenset(online)
