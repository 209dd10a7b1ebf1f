"""The scheduler on imagined machines: how fast it is, and that the guard's bound holds."""

from collections.abc import Callable
from dataclasses import replace
from statistics import mean

import pytest

from edgespec.controller import FixedPolicy
from edgespec.costs import CostModel
from edgespec.simulation.machine import Machine
from edgespec.simulation.rivals import best_fixed, oracle, pearl, plain, sequential
from edgespec.simulation.run import ours, simulate
from edgespec.simulation.text import Text

STAIRS = (14.9, 25, 35, 29, 37, 53, 68, 50, 55, 58, 60.5, 63, 75, 86, 97, 65, 75)
"""V(n) in ms of a 1.1B Q4_0 on a 2-core AVX-512 machine, some sizes interpolated."""
RATES = (0.4, 0.6, 0.8, 0.9)
DRAFTS = (0.02, 0.1, 0.3, 0.6)
ROUNDING = 1e-9


def slope(rise: float) -> Callable[[int], float]:
    return lambda n: 1 + rise * (n - 1)


def stairs(n: int) -> float:
    return STAIRS[n - 1] / STAIRS[0]


SHAPES = {"0.03": slope(0.03), "0.12": slope(0.12), "0.35": slope(0.35), "stairs": stairs}


def steady(rate: float, length: int = 800, noise: float = 1.0) -> Text:
    return Text(lambda position: rate, length, noise=noise, seed=round(100 * rate))


@pytest.fixture(scope="module")
def grid() -> dict[tuple[str, float, float], float]:
    """Our speed over the best fixed rival's, per cell."""
    cells = {}
    for name, verify in SHAPES.items():
        for rate in RATES:
            for draft in DRAFTS:
                machine, text = Machine(verify, draft), steady(rate)
                outcome = ours(machine, text)
                assert outcome.seconds >= oracle(machine, text) - ROUNDING
                assert outcome.worst_excess <= 2 + ROUNDING
                cells[name, rate, draft] = best_fixed(machine, text) / outcome.seconds
    return cells


def test_no_cell_of_the_grid_falls_behind_the_best_rival_in_hindsight(
    grid: dict[tuple[str, float, float], float],
) -> None:
    assert {cell: ratio for cell, ratio in grid.items() if ratio < 0.95} == {}


def test_slow_drafters_gain_most_from_drafting_ahead(
    grid: dict[tuple[str, float, float], float],
) -> None:
    assert mean(ratio for (_, _, draft), ratio in grid.items() if draft >= 0.1) >= 1.10


ADVERSARIES: dict[str, Callable[[int], float]] = {
    "never right": lambda position: 0.0,
    "collapses": lambda position: 0.95 if position < 150 else 0.0,
    "flips": lambda position: 0.95 if position // 50 % 2 else 0.05,
    "always good": lambda position: 0.9,
}


@pytest.mark.parametrize("error", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("draft", [0.02, 0.3, 1.0])
@pytest.mark.parametrize("adversary", ADVERSARIES)
def test_the_guard_holds_whatever_the_text_and_the_table(
    adversary: str, draft: float, error: float
) -> None:
    for verify in (*SHAPES.values(), slope(1.0)):
        machine = Machine(verify, draft)
        text = Text(ADVERSARIES[adversary], 300, noise=3.0, seed=3)
        assert ours(machine, text, error=error).worst_excess <= 2 + ROUNDING


@pytest.mark.parametrize("draft", [0.02, 0.3])
@pytest.mark.parametrize("adversary", ADVERSARIES)
def test_the_guard_holds_where_rejections_are_decoded_again(adversary: str, draft: float) -> None:
    for verify in SHAPES.values():
        machine = Machine(verify, draft, replays=True)
        text = Text(ADVERSARIES[adversary], 300, noise=3.0, seed=3)
        assert ours(machine, text).worst_excess <= 2 + ROUNDING


def test_targets_that_must_decode_again_are_asked_less_but_still_gain() -> None:
    text = steady(0.9)
    again = Machine(slope(0.12), 0.02, replays=True)
    once = replace(again, replays=False, trees=False)
    assert ours(once, text).seconds < ours(again, text).seconds < 0.8 * plain(again, text)


def test_branches_help_where_they_are_nearly_free_and_the_drafter_is_often_wrong() -> None:
    text = steady(0.4)
    machine = Machine(slope(0.03), 0.1)
    assert ours(machine, text).seconds < 0.9 * ours(replace(machine, trees=False), text).seconds


def test_a_right_drafter_fills_every_batch() -> None:
    machine, text = Machine(slope(0.01), 0.01), steady(1.0, noise=0.0)
    outcome = ours(machine, text)
    assert text.length / outcome.rounds > 0.8 * machine.max_batch


def test_a_hopeless_drafter_is_left_alone() -> None:
    machine, text = Machine(slope(0.35), 0.3), steady(0.0, noise=0.0)
    assert ours(machine, text).seconds <= 1.03 * plain(machine, text) + 2


def test_contention_that_costs_more_than_it_hides_keeps_the_devices_apart() -> None:
    text = steady(0.8)
    apart = Machine(slope(0.12), 0.05, verify_contention=2.0, draft_contention=2.0)
    alone = Machine(slope(0.12), 0.05)
    assert ours(apart, text).seconds <= 1.15 * ours(alone, text).seconds


def test_the_fixed_policy_on_the_virtual_clock_is_the_formula_for_sequential() -> None:
    machine, text = Machine(slope(0.12), 0.1), steady(0.7)
    for drafts in (1, 3, 7):
        policy = FixedPolicy(CostModel(machine.table()), drafts)
        outcome = simulate(machine, text, policy)
        # Ours may already have looked past the root when a round begins.
        assert outcome.seconds == pytest.approx(sequential(machine, text, drafts), rel=0.08)


def test_rivals_agree_with_their_papers_at_the_extremes() -> None:
    machine, right = Machine(slope(0.0), 0.25), steady(1.0, noise=0.0)
    assert plain(machine, right) / sequential(machine, right, 4) == pytest.approx(5 / 2, rel=0.02)
    assert plain(machine, right) / pearl(machine, right, 4) == pytest.approx(4, rel=0.02)
    wrong = steady(0.0, noise=0.0)
    assert plain(machine, wrong) / sequential(machine, wrong, 4) == pytest.approx(1 / 2)
    assert plain(machine, wrong) / pearl(machine, wrong, 4) == pytest.approx(1)
