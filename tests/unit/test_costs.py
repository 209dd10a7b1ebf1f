"""The cost model: a table that is believed between its points and corrected by what is seen."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgespec.costs import CostModel, CostTable

STAIRS = {1: 14.9, 2: 25.0, 3: 35.0, 4: 29.0, 5: 37.0, 8: 50.0, 16: 65.0, 17: 75.0}
seconds = st.floats(1e-4, 10)
sizes = st.dictionaries(st.integers(1, 32), seconds, min_size=1, max_size=8)


def table(verify: dict[int, float] | None = None, draft: float = 1.0) -> CostTable:
    return CostTable({0: verify or STAIRS}, {0: draft})


def test_a_staircase_keeps_its_steps() -> None:
    costs = CostModel(table())
    assert {n: costs.verify(n, 0) for n in STAIRS} == STAIRS
    assert costs.verify(4, 0) < costs.verify(3, 0)
    assert costs.verify(6, 0) == pytest.approx(37 + (50 - 37) / 3)


@settings(deadline=None)
@given(verify=sizes)
def test_beyond_what_was_measured_a_larger_batch_never_gets_cheaper(
    verify: dict[int, float],
) -> None:
    costs = CostModel(table(verify))
    beyond = [costs.verify(n, 0) for n in range(max(verify), max(verify) + 40)]
    assert all(before <= after for before, after in pairwise(beyond))


@settings(deadline=None)
@given(verify=sizes, n=st.integers(1, 32))
def test_between_two_measured_sizes_the_cost_is_between_theirs(
    verify: dict[int, float], n: int
) -> None:
    left = max((size for size in verify if size <= n), default=None)
    right = min((size for size in verify if size >= n), default=None)
    if left is not None and right is not None:
        low, high = sorted((verify[left], verify[right]))
        found = CostModel(table(verify)).verify(n, 0)
        assert low - 1e-9 <= found <= high + 1e-9


def test_depth_is_interpolated_and_never_gets_cheaper_beyond_the_deepest() -> None:
    costs = CostModel(CostTable({0: {1: 10.0, 4: 20.0}, 1024: {1: 12.0, 4: 30.0}}, {0: 1.0}))
    assert costs.verify(1, 512) == pytest.approx(11.0)
    assert costs.verify(4, 512) == pytest.approx(25.0)
    assert costs.verify(1, 2048) == pytest.approx(14.0)
    falling = CostModel(CostTable({0: {1: 12.0}, 1024: {1: 10.0}}, {0: 1.0}))
    assert falling.verify(1, 4096) == pytest.approx(10.0)


def test_a_table_of_one_size_is_believed_for_all() -> None:
    assert CostModel(table({4: 3.0})).verify(9, 700) == 3.0


def test_contention_and_rows_multiply_the_cost_of_a_step() -> None:
    costs = CostModel(CostTable({0: {1: 2.0}}, {0: 1.0}, 1.5, 3.0, 0.25))
    assert costs.verify(1, 0, contended=True) == pytest.approx(3.0)
    assert costs.draft(0, rows=3) == pytest.approx(1.5)
    assert costs.draft(0, rows=3, contended=True) == pytest.approx(4.5)


def test_what_is_seen_of_one_size_corrects_that_size() -> None:
    costs = CostModel(table())
    for _ in range(5):
        costs.observe_verify(4, 0, 2 * STAIRS[4])
        costs.observe_verify(8, 0, 3 * STAIRS[8])
    assert costs.verify(4, 0) == pytest.approx(2 * STAIRS[4])
    assert costs.verify(8, 0) == pytest.approx(3 * STAIRS[8])


def test_sizes_that_were_not_seen_drift_like_the_other_batches() -> None:
    costs = CostModel(table())
    for _ in range(5):
        costs.observe_verify(4, 0, 2 * STAIRS[4])
    assert costs.verify(16, 0) == pytest.approx(2 * STAIRS[16])


@settings(deadline=None)
@given(
    observed=st.lists(st.tuples(st.integers(2, 17), st.floats(0.1, 10)), max_size=40),
    depth=st.integers(0, 500),
)
def test_batches_say_nothing_of_the_single_step(
    observed: list[tuple[int, float]], depth: int
) -> None:
    costs = CostModel(table())
    for n, ratio in observed:
        costs.observe_verify(n, depth, ratio * costs.verify(n, depth))
    assert costs.verify(1, depth) == STAIRS[1]


def test_the_single_step_says_nothing_of_batches() -> None:
    costs = CostModel(table())
    for _ in range(5):
        costs.observe_verify(1, 0, 3 * STAIRS[1])
    assert costs.verify(1, 0) == pytest.approx(3 * STAIRS[1])
    assert costs.verify(4, 0) == STAIRS[4]


def test_an_interrupted_step_changes_nothing() -> None:
    costs = CostModel(table())
    costs.observe_verify(4, 0, 50 * STAIRS[4])
    assert costs.verify(4, 0) == STAIRS[4]
    for _ in range(6):
        costs.observe_verify(4, 0, STAIRS[4])
    costs.observe_verify(4, 0, 50 * STAIRS[4])
    assert costs.verify(4, 0) == STAIRS[4]


def test_what_was_seen_long_ago_is_forgotten() -> None:
    costs = CostModel(table())
    for _ in range(50):
        costs.observe_draft(0, 4.0)
    for _ in range(9):
        costs.observe_draft(0, 0.5)
    assert costs.draft(0) == pytest.approx(0.5)


def test_a_drafter_that_was_said_to_cost_nothing_is_not_compared_with_that() -> None:
    costs = CostModel(table(draft=0.0))
    for _ in range(3):
        costs.observe_draft(0, 0.5)
    assert costs.draft(0) == 0.0


def test_a_contended_or_wide_step_is_compared_with_what_it_should_have_cost() -> None:
    costs = CostModel(CostTable({0: {1: 2.0, 4: 4.0}}, {0: 1.0}, 1.5, 3.0, 0.5))
    for _ in range(3):
        costs.observe_verify(4, 0, 6.0, contended=True)
        costs.observe_draft(0, 2.0, rows=3)
        costs.observe_draft(0, 6.0, rows=3, contended=True)
    assert costs.verify(4, 0) == pytest.approx(4.0)
    assert costs.draft(0) == pytest.approx(1.0)


@settings(deadline=None)
@given(
    verify=sizes,
    trusted=st.booleans(),
    observed=st.lists(st.tuples(st.integers(1, 17), st.floats(0.1, 10)), max_size=20),
    n=st.integers(1, 40),
    depth=st.integers(0, 3000),
)
def test_what_is_feared_is_never_below_what_is_expected(
    verify: dict[int, float],
    trusted: bool,
    observed: list[tuple[int, float]],
    n: int,
    depth: int,
) -> None:
    costs = CostModel(table(verify), trusted=trusted)
    for size, ratio in observed:
        costs.observe_verify(size, depth, ratio * costs.verify(size, depth))
    assert costs.feared(n, depth) >= costs.verify(n, depth)


def test_an_old_table_is_distrusted_until_batches_confirm_it() -> None:
    costs = CostModel(table(), trusted=False)
    fear = costs.feared(4, 0) / costs.verify(4, 0)
    assert fear >= 2
    for _ in range(5):
        costs.observe_verify(1, 0, STAIRS[1])
    assert costs.feared(4, 0) / costs.verify(4, 0) == fear
    for _ in range(3):
        costs.observe_verify(8, 0, STAIRS[8])
    trusted = CostModel(table())
    assert costs.feared(4, 0) == pytest.approx(trusted.feared(4, 0))
    assert costs.feared(1, 0) == pytest.approx(trusted.feared(1, 0))


def test_a_drift_is_told_once_enough_steps_of_a_kind_were_seen() -> None:
    costs = CostModel(CostTable({0: {1: 1.0, 4: 2.0}}, {0: 0.1}, verify_contention=1.5))
    for _ in range(8):
        costs.observe_verify(1, 0, 3.0)
    assert costs.drift is None
    costs.observe_verify(1, 0, 3.0)
    assert costs.drift == 3.0
    assert costs.steps == 9
    for _ in range(9):
        costs.observe_verify(4, 0, 2.4)
    assert costs.drift == pytest.approx(1.2), "what only one kind shows is not believed"
    for _ in range(70):
        costs.observe_verify(4, 0, 6.0, contended=True)
    assert costs.drift == pytest.approx(2.0)
