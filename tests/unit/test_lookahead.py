"""What batches of a path are worth, against all ways to cut the path."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgespec.lookahead import worth

STAIRS = [1.0, 1.8, 2.3, 1.4, 2.2, 2.5, 2.7, 2.8]
"""Prices of batches of 0 to 7 drafts on a machine where four tokens cost less than two."""


def by_hand(survival: list[float], steps: list[float], ready: int, begin: int, size: int) -> float:
    """The best of all ways to go on after a batch of `size` at `begin`, tried one by one."""
    known = [1.0, *survival]
    here = sum(known[begin : begin + size + 1]) - known[begin] * steps[size]
    after = begin + size + 1
    if after >= ready:
        return here
    sizes = range(ready - after + 1)
    return here + max(by_hand(survival, steps, ready, after, more) for more in sizes)


@settings(deadline=None)
@given(
    rates=st.lists(st.floats(0.01, 0.99), min_size=1, max_size=7),
    steps=st.lists(st.floats(0.1, 5), min_size=8, max_size=8),
    data=st.data(),
)
def test_it_is_the_best_of_all_ways_to_cut_the_path(
    rates: list[float], steps: list[float], data: st.DataObject
) -> None:
    survival, chance = [], 1.0
    for rate in rates:
        chance *= rate
        survival.append(chance)
    ready = data.draw(st.integers(0, len(survival)))
    found = worth(survival, steps, ready, draft=0.2)
    for size, value in enumerate(found):
        drafting = 0.2 * max(size - ready, 0)
        assert value == pytest.approx(by_hand(survival, steps, ready, 0, size) - drafting)


def test_a_long_sure_path_is_cut_into_batches_of_the_cheapest_size() -> None:
    survival = [0.99**draft for draft in range(1, 8)]
    steps = [2 * price for price in STAIRS]
    alone = [1 + sum(survival[:size]) - steps[size] for size in range(8)]
    assert max(range(8), key=alone.__getitem__) == 7
    found = worth(survival, steps, len(survival), draft=0.0)
    assert max(range(8), key=found.__getitem__) == 3


def test_what_is_beyond_the_path_counts_nothing() -> None:
    assert worth([], [2.0], 0, 0.5) == [-1.0]
    assert worth([0.5], [2.0, 2.0], 0, 0.5) == [-1.0, -1.0]
