"""Runs on a machine with two memory nodes: is everything where the plan said?"""

import re
from collections import Counter
from pathlib import Path

from edgespec import cpu_sets, mempolicy
from edgespec.catalog import resolve
from edgespec.cpu_sets import Spread
from edgespec.loading import LoadOptions, load
from edgespec.protocols import ContextOptions, ModelOptions, backend
from edgespec.topology import detect

PAGES = re.compile(r"\bN(\d+)=(\d+)")


def pages() -> Counter[int]:
    """This process' own pages, by node."""
    found: Counter[int] = Counter()
    for line in Path("/proc/self/numa_maps").read_text().splitlines():
        if " anon=" in line:
            for node, count in PAGES.findall(line):
                found[int(node)] += int(count)
    return found


def check_topology() -> None:
    topology = detect.here()
    print("topology:", topology.describe())
    assert [node.cpus for node in topology.nodes] == [(0,), (1,)]
    assert [node.distances for node in topology.nodes] == [(10, 21), (21, 10)]
    usual = cpu_sets.default(topology)
    print("usual set:", usual, usual.spread.value, usual.nodes)
    assert (usual.spread, usual.nodes) == (Spread.INTERLEAVE, (0, 1))


def share_of_second_node(spread: Spread, nodes: tuple[int, ...]) -> float:
    """Of the pages that a loaded target and its filled cache took, the part at node 1."""
    before = pages()
    with mempolicy.placed(spread, nodes) as agreed:
        assert agreed
        model = backend("llamacpp")(resolve(None).target, ModelOptions(2))
        context = model.context(ContextOptions(n_ctx=2048, n_batch=64, max_outputs=4))
    context.decode([7] * 64, 0, outputs=1)
    taken = pages() - before
    context.close()
    model.close()
    total = sum(taken.values())
    print(f"{spread.value} {nodes}: {dict(sorted(taken.items()))} pages")
    assert total > 1000
    return taken[1] / total


def main() -> None:
    check_topology()
    # The workers' stacks and what the allocator had at hand already are where they were.
    assert share_of_second_node(Spread.BIND, (1,)) > 0.9
    assert share_of_second_node(Spread.BIND, (0,)) < 0.1
    assert 0.4 < share_of_second_node(Spread.INTERLEAVE, (0, 1)) < 0.6
    before = pages()
    with load(resolve(None), LoadOptions(n_ctx=2048, threads=2)) as engine:
        taken = pages() - before
        print(f"the pair by its plan: {dict(sorted(taken.items()))} pages, context {engine.n_ctx}")
        assert 0.25 < taken[1] / sum(taken.values()) < 0.75


if __name__ == "__main__":
    main()
