"""Runs on a machine with two memory nodes: is everything where the plan said?

Each policy is tried in a process of its own, because freed memory is used again where it lies.
"""

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from edgespec import cpu_sets, mempolicy
from edgespec.catalog import resolve
from edgespec.cpu_sets import Spread
from edgespec.loading import LoadOptions, load
from edgespec.protocols import ContextOptions, ModelOptions, backend
from edgespec.topology import detect

PAGES = re.compile(r"\bN(\d+)=(\d+)")


def pages(kind: str) -> Counter[int]:
    """This process' pages by node: its own (" anon=") or of model files (".gguf")."""
    found: Counter[int] = Counter()
    for line in Path("/proc/self/numa_maps").read_text().splitlines():
        if kind in line:
            for node, count in PAGES.findall(line):
                found[int(node)] += int(count)
    return found


def taken(work: Callable[[], object]) -> dict[str, int]:
    """The pages that `work` took and whatever it returned holds, by node."""
    backend("llamacpp")  # What its import takes is nobody's placement.
    before = pages(" anon=")
    held = work()
    own, files = pages(" anon=") - before, pages(".gguf")
    assert held
    return {"0": own[0], "1": own[1], "file 0": files[0], "file 1": files[1]}


def by_policy(spread: Spread, nodes: tuple[int, ...]) -> object:
    """The target and its empty cache, loaded under a policy.

    Scratch memory is not there yet: the threads that compute touch it first, each near itself.
    """
    with mempolicy.placed(spread, nodes) as agreed:
        assert agreed
        model = backend("llamacpp")(resolve(None).target, ModelOptions(2))
        context = model.context(ContextOptions(n_ctx=2048, n_batch=64, max_outputs=4))
    return model, context


def by_plan() -> object:
    """The pair as it is always loaded."""
    return load(resolve(None), LoadOptions(n_ctx=2048, threads=2))


CASES: dict[str, Callable[[], object]] = {
    "bind 1": lambda: by_policy(Spread.BIND, (1,)),
    "bind 0": lambda: by_policy(Spread.BIND, (0,)),
    "interleave": lambda: by_policy(Spread.INTERLEAVE, (0, 1)),
    "plan": by_plan,
}
"""What to load, and below, which part of its own pages may be at node 1."""
SHARES = {"bind 1": (0.9, 1.0), "bind 0": (0.0, 0.1), "interleave": (0.3, 0.7), "plan": (0.3, 0.7)}


def check_topology() -> None:
    """Two nodes of one core each, and what that suggests."""
    topology = detect.here()
    print("topology:", topology.describe())
    assert [node.cpus for node in topology.nodes] == [(0,), (1,)]
    assert [node.distances for node in topology.nodes] == [(10, 21), (21, 10)]
    usual = cpu_sets.default(topology)
    print("usual set:", usual, usual.spread.value, usual.nodes)
    assert (usual.spread, usual.nodes) == (Spread.INTERLEAVE, (0, 1))


def main() -> None:
    """All cases, each in its own process."""
    check_topology()
    wrong = []
    for name, (least, most) in SHARES.items():
        command = [sys.executable, __file__, name]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        share = found["1"] / (found["0"] + found["1"])
        print(f"{name}: {found} pages, {share:.0%} of its own at node 1")
        if not least <= share <= most:
            wrong.append(name)
    assert not wrong, wrong


if __name__ == "__main__":
    if sys.argv[1:]:
        print(json.dumps(taken(CASES[sys.argv[1]])))
    else:
        main()
