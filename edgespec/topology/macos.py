"""Reads the topology from macOS' sysctl: performance levels, not processors, are what it names."""

import subprocess

from edgespec.topology.records import Cache, Core, CoreKind, Node, Topology


def read() -> Topology:
    """The topology of this Mac. Raises OSError if sysctl cannot be asked."""
    asked = ["sysctl", "hw", "machdep.cpu"]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=False)
    return parse(done.stdout)


def parse(text: str) -> Topology:
    """The topology that the lines "name: value" of `sysctl hw machdep.cpu` describe.

    macOS numbers no cores and lets no thread be bound to one: the processors are counted level by
    level, the fastest first.
    """
    values = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    numbers = {name: int(value) for name, value in values.items() if value.strip().isdigit()}
    levels = range(numbers.get("hw.nperflevels", 1))
    cores: list[Core] = []
    caches: list[Cache] = []
    for level in levels:
        prefix = f"hw.perflevel{level}." if f"hw.perflevel{level}.physicalcpu" in numbers else "hw."
        name = values.get(f"{prefix}name", "").strip()
        fast = level == 0 or name == "Performance"
        kind = CoreKind.PERFORMANCE if fast else CoreKind.EFFICIENT
        new = _cores(numbers, prefix, kind, sum(len(core.cpus) for core in cores))
        caches += _caches(numbers, prefix, new)
        cores += new
    cpus = tuple(cpu for core in cores for cpu in core.cpus)
    memory = numbers.get("hw.memsize", 0)
    return Topology(tuple(cores), (Node(0, cpus, memory, 0),), tuple(caches), frozenset(cpus))


def _cores(numbers: dict[str, int], prefix: str, kind: CoreKind, first: int) -> list[Core]:
    physical = numbers.get(f"{prefix}physicalcpu", 1)
    logical = numbers.get(f"{prefix}logicalcpu", physical)
    threads = max(logical // max(physical, 1), 1)
    return [
        Core(tuple(range(first + threads * n, first + threads * (n + 1))), kind)
        for n in range(physical)
    ]


def _caches(numbers: dict[str, int], prefix: str, cores: list[Core]) -> list[Cache]:
    cpus = [cpu for core in cores for cpu in core.cpus]
    found = []
    if size := numbers.get(f"{prefix}l1dcachesize", 0):
        found += [Cache(1, size, core.cpus) for core in cores]
    if size := numbers.get(f"{prefix}l2cachesize", 0):
        shared = numbers.get(f"{prefix}cpusperl2", 0) or len(cpus) or 1
        groups = (tuple(cpus[at : at + shared]) for at in range(0, len(cpus), shared))
        found += [Cache(2, size, group) for group in groups]
    return found
