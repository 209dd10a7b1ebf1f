"""Memory policies of the real kernel."""

import mmap
import sys
from concurrent.futures import ThreadPoolExecutor
from ctypes import addressof, c_char
from pathlib import Path

import pytest

from edgespec import mempolicy
from edgespec.cpu_sets import Spread

pytestmark = pytest.mark.skipif(
    not mempolicy.allowed(), reason="the kernel lets nobody here choose where memory goes"
)
SIZE = 8 << 20


def policy_of(memory: mmap.mmap) -> str:
    """The policy under which the pages of `memory` lie, as the kernel tells in numa_maps."""
    begin = addressof(c_char.from_buffer(memory))
    lines = Path("/proc/thread-self/numa_maps").read_text().splitlines()
    areas = {int(start, 16): policy for start, policy, *_ in map(str.split, lines)}
    return areas[max(start for start in areas if start <= begin)]


def fill(spread: Spread, nodes: tuple[int, ...]) -> tuple[str, bool]:
    with mempolicy.placed(spread, nodes) as agreed, mmap.mmap(-1, SIZE, mmap.MAP_PRIVATE) as memory:
        memory.write(b"x" * SIZE)
        return policy_of(memory), agreed


@pytest.mark.parametrize(
    ("spread", "policy"), [(Spread.INTERLEAVE, "interleave:0"), (Spread.BIND, "bind:0")]
)
def test_memory_goes_where_it_was_asked_to(spread: Spread, policy: str) -> None:
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(fill, spread, (0,)).result() == (policy, True)
        assert thread.submit(fill, Spread.DEFAULT, ()).result() == ("default", False)


def test_a_node_that_is_not_there_is_refused() -> None:
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(fill, Spread.BIND, (1000,)).result() == ("default", False)


def test_a_policy_that_somebody_chose_stays() -> None:
    def within() -> tuple[str, bool, bool]:
        with mempolicy.placed(Spread.INTERLEAVE, (0,)):
            return *fill(Spread.BIND, (0,)), mempolicy.allowed()

    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(within).result() == ("interleave:0", False, True)
        assert thread.submit(fill, Spread.DEFAULT, ()).result() == ("default", False)


def test_elsewhere_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not mempolicy.allowed()
