"""Calibration of fakes whose decodes take scripted times on a scripted clock."""

import threading
from collections.abc import Mapping, Sequence
from threading import Semaphore, get_ident

import pytest

from edgespec.calibration import Calibrator
from edgespec.costs import CostTable
from edgespec.protocols import ContextOptions, Rollback, Row
from tests.fakes import PATIENCE, FakeContext, ToyLanguage

STAIRS = {1: 14.9, 2: 25.0, 3: 35.0, 4: 29.0, 5: 37.0, 6: 53.0, 7: 68.0, 8: 50.0}
STEP, DEPTH = 2.0, 1 / 100
"""A drafter's step, and what each position in the cache adds to a target's step, as a fraction."""
LANGUAGE = ToyLanguage()


class Clock:
    """A virtual time for each thread."""

    def __init__(self) -> None:
        self.times: dict[int, float] = {}

    def __call__(self) -> float:
        return self.times.get(get_ident(), 0.0)

    def pass_(self, seconds: float) -> None:
        self.times[get_ident()] = self() + seconds


class Timed(FakeContext):
    """A context whose decodes take the time of their size, and more while both models work."""

    def __init__(
        self,
        clock: Clock,
        costs: Mapping[int, float],
        slowdown: float = 1.0,
        drafter: "Timed | None" = None,
        rollback: Rollback = Rollback.ANY,
    ) -> None:
        options = ContextOptions(64, 64, max_outputs=8, max_sequences=8)
        super().__init__(LANGUAGE, options, rollback)
        self.drafted = Semaphore(0)
        self.disturbances = 0
        self._clock, self._costs, self._slowdown = clock, costs, slowdown
        self._drafter = drafter

    def decode(
        self, tokens: Sequence[int], position: int, *, outputs: int, sequence: int = 0
    ) -> None:
        super().decode(tokens, position, outputs=outputs, sequence=sequence)
        if both_work() and self._drafter:
            assert self._drafter.drafted.acquire(timeout=PATIENCE), "the drafter does not draft"
        if outputs:
            self._pass(self._costs[len(tokens)] * (1 + position * DEPTH))

    def decode_rows(self, rows: Sequence[Row]) -> None:
        super().decode_rows(rows)
        self._pass(self._costs[len(rows)])
        if both_work():
            self.drafted.release()

    def _pass(self, seconds: float) -> None:
        disturbed = self.disturbances and self.decodes % self.disturbances == 0
        slowdown = self._slowdown if both_work() else 1.0
        self._clock.pass_(seconds * slowdown * (10 if disturbed else 1))

    def _enter(self) -> None:
        self._owner = get_ident()
        super()._enter()


def both_work() -> bool:
    return any(thread.name == "edgespec-calibration" for thread in threading.enumerate())


def bench(
    slowdowns: tuple[float, float] = (1.0, 1.0), rollback: Rollback = Rollback.ANY
) -> tuple[Timed, Timed, Clock]:
    clock = Clock()
    drafter = Timed(clock, {n: STEP * (1 + 0.25 * (n - 1)) for n in range(1, 9)}, slowdowns[1])
    return Timed(clock, STAIRS, slowdowns[0], drafter, rollback), drafter, clock


def measure(target: Timed, drafter: Timed | None, clock: Clock, budget: float = 1e6) -> CostTable:
    return Calibrator(target, drafter, budget=budget, clock=clock).measure()


def test_a_drafter_that_looks_past_one_path_at_a_time_has_no_row_cost() -> None:
    target, drafter, clock = bench()
    drafter.max_outputs = 1
    assert measure(target, drafter, clock).draft_row == 0


def test_it_finds_the_table_that_it_was_given() -> None:
    table = measure(*bench())
    assert table.verify[0] == pytest.approx(STAIRS)
    deep = 32
    grown = {n: STAIRS[n] * (1 + deep * DEPTH) for n in (1, 4)}
    assert table.verify[deep] == pytest.approx(grown)
    assert table.draft == pytest.approx({0: STEP})
    assert table.draft_row == pytest.approx(0.25)


def test_a_single_step_costs_no_more_than_a_larger_one() -> None:
    target, drafter, clock = bench()
    target._costs = {**STAIRS, 1: 400.0}
    assert measure(target, drafter, clock).verify[0] == pytest.approx({**STAIRS, 1: STAIRS[2]})


@pytest.mark.parametrize("slowdowns", [(1.0, 1.0), (1.5, 1.0), (1.0, 4.0), (2.0, 3.0)])
def test_contention_is_how_much_each_slows_down_beside_the_other(
    slowdowns: tuple[float, float],
) -> None:
    table = measure(*bench(slowdowns))
    assert table.verify_contention == pytest.approx(slowdowns[0])
    assert table.draft_contention == pytest.approx(slowdowns[1])


def test_disturbances_leave_the_table_as_it_is() -> None:
    target, drafter, clock = bench()
    target.disturbances, drafter.disturbances = 5, 4
    table = measure(target, drafter, clock)
    assert table.verify[0] == pytest.approx(STAIRS)
    assert table.draft == pytest.approx({0: STEP})


@pytest.mark.parametrize("budget", [0.001, 10.0, 50.0, 300.0, 2000.0])
def test_the_budget_is_kept_and_the_single_step_is_always_measured(budget: float) -> None:
    target, _, clock = bench()
    table = measure(target, None, clock, budget)
    assert table.verify[0][1] == pytest.approx(STAIRS[1])
    # What has begun is finished, and each repetition looks at the single step.
    assert clock() <= budget + max(STAIRS.values()) * 2 + 8 * STAIRS[1]


def test_a_little_time_goes_to_the_sizes_that_matter_most() -> None:
    target, _, clock = bench()
    table = measure(target, None, clock, budget=60.0)
    assert set(table.verify[0]) == {1, 4, 2}
    assert table.verify[0][4] == pytest.approx(STAIRS[4])


@pytest.mark.parametrize("rollback", [Rollback.ANY, Rollback.CHECKPOINT])
@pytest.mark.parametrize("budget", [0.001, 100.0, 1e6])
def test_both_caches_are_left_empty(rollback: Rollback, budget: float) -> None:
    target, drafter, clock = bench(rollback=rollback)
    measure(target, drafter, clock, budget)
    assert target.held() == ()
    assert all(drafter.held(sequence) == () for sequence in range(8))


def test_without_a_drafter_only_the_target_is_measured() -> None:
    target, _, clock = bench()
    table = measure(target, None, clock)
    assert table.verify[0] == pytest.approx(STAIRS)
    assert (table.verify_contention, table.draft_contention) == (1.0, 1.0)


def test_progress_rises_to_the_end() -> None:
    target, drafter, clock = bench()
    seen: list[float] = []
    Calibrator(target, drafter, seen.append, budget=1000.0, clock=clock).measure()
    assert seen == sorted(seen)
    assert seen[0] == 0.0
    assert 0.5 < seen[-1] <= 1.0


@pytest.mark.parametrize(("factor", "agrees"), [(1.0, True), (1.1, True), (2.0, False)])
def test_a_table_of_another_day_agrees_if_the_machine_is_as_fast_as_then(
    factor: float, agrees: bool
) -> None:
    for direction in (factor, 1 / factor):
        target, drafter, clock = bench()
        table = CostTable({0: {n: direction * step for n, step in STAIRS.items()}}, {0: STEP})
        assert Calibrator(target, drafter, budget=1e6, clock=clock).agrees(table) is agrees
        assert target.held() == ()
