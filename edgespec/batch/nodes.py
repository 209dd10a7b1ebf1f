"""Which processors each of several workers on this machine stays on."""

from itertools import pairwise

from edgespec.errors import InvalidInput
from edgespec.topology.records import Core, Topology, all_cpus


def by_plan(topology: Topology, need: int, rows: int) -> list[tuple[int, ...]]:
    """The processors of each memory node if a worker for each pays, else none.

    It does if every node has room for a model of its own, which takes `need` bytes: no read goes
    from one node to another then, and no thread waits for one of another node. There must be at
    least two rows for each, and no quota that is less than the processors.
    """
    groups: dict[int, list[Core]] = {}
    for core in topology.usable:
        groups.setdefault(core.node, []).append(core)
    free = {node.index: node.free for node in topology.nodes}
    limited = topology.quota is not None and topology.quota < len(topology.usable)
    roomy = all(free.get(node, 0) >= need for node in groups)
    if len(groups) < 2 or rows < 2 * len(groups) or limited or not roomy:
        return []
    return [all_cpus(cores) for _, cores in sorted(groups.items())]


def shared_out(topology: Topology, workers: int) -> list[tuple[int, ...]]:
    """The processors, in `workers` equal parts that reach over as few nodes as possible.

    Raises InvalidInput if there are not so many cores.
    """
    cores = sorted(topology.usable, key=lambda core: (core.node, core.cpus))
    if workers > len(cores):
        raise InvalidInput(
            f"{workers} workers on {len(cores)} cores", "each needs a core of its own"
        )
    ends = [len(cores) * part // workers for part in range(workers + 1)]
    return [all_cpus(cores[begin:end]) for begin, end in pairwise(ends)]
