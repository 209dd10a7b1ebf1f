"""The policy: it maximises the formula, exploits the stairs, obeys the guard and keeps looking."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgespec.controller import Controller, FixedPolicy, Outlook, Verify, Wait
from edgespec.costs import CostModel, CostTable
from edgespec.guard import DebtGuard

STAIRS = {1: 14.9, 2: 25.0, 3: 35.0, 4: 29.0, 5: 37.0, 6: 53.0, 7: 68.0, 8: 50.0, 9: 55.0}
LINE = {n: 10.0 + (n - 1) for n in range(1, 10)}
FLAT = {n: 10.0 + 0.01 * (n - 1) for n in range(1, 10)}
ROUNDING = 1e-9

chances = st.lists(st.floats(0.01, 0.99), max_size=8)
shapes = st.sampled_from([STAIRS, LINE, FLAT, {n: 10.0 * n for n in range(1, 10)}])
# None is plain: after some plain steps it is time for a look, whatever the formula says.
histories = st.lists(st.tuples(st.floats(5, 60), st.integers(2, 9)), max_size=5)


def survival(chances: Sequence[float]) -> list[float]:
    return list(accumulate(chances, lambda a, b: a * b))


def costs(verify: dict[int, float], draft: float = 1.0) -> CostModel:
    return CostModel(CostTable({0: verify}, {0: draft}))


def lenient() -> DebtGuard:
    return DebtGuard(steps=1e9)


def deeper(draft: float = 1.0) -> CostModel:
    """The drafter takes three times as long at depth 100 as at depth 0."""
    return CostModel(CostTable({0: LINE}, {0: draft, 100: 3 * draft}))


def controller(verify: dict[int, float], draft: float = 1.0) -> Controller:
    return Controller(costs(verify, draft), lenient())


def played(policy: Controller, rounds: Sequence[tuple[float, int]]) -> Controller:
    for seconds, tokens in rounds:
        policy.finished(seconds, seconds, tokens - 1, tokens, 0)
    return policy


def worth(k: int, outlook: Outlook, model: CostModel, rate: float, begin: int = 0) -> float:
    """The formula, written out: k drafts now, and the best of what is left if they are right."""
    chain = list(outlook.survival)
    ready = len(chain)
    while len(chain) < begin + k:
        chain.append((chain[-1] if chain else 1.0) * outlook.growth)
    known = [1.0, *chain]
    eta = max(begin + k - ready, 0) * model.draft(0)
    here = sum(known[begin : begin + k + 1]) / known[begin]
    here -= rate * (eta + model.verify(k + 1, 0))
    after = begin + k + 1
    if after >= ready:
        return here
    rest = max(worth(n, outlook, model, rate, after) for n in range(ready - after + 1))
    return here + known[after] / known[begin] * rest


@settings(deadline=None)
@given(
    verify=shapes, ready=chances, growth=st.floats(0.05, 0.95), limit=st.integers(0, 8),
    draft=st.floats(0.1, 20), rounds=histories,
)  # fmt: skip
def test_the_draft_count_is_the_best_of_all_by_the_formula(
    verify: dict[int, float],
    ready: list[float],
    growth: float,
    limit: int,
    draft: float,
    rounds: list[tuple[float, int]],
) -> None:
    policy = played(controller(verify, draft), rounds)
    outlook = Outlook(survival(ready)[:limit], growth, limit, 0)
    rate = policy.rate(0)
    worths = [worth(k, outlook, policy.costs, rate) for k in range(limit + 1)]
    decision = policy.plan(outlook)
    assert worths[decision.drafts] == pytest.approx(max(worths), abs=ROUNDING)
    if isinstance(decision, Wait):
        missing = decision.drafts - len(outlook.survival)
        assert missing > 0
        assert decision.patience == pytest.approx(3 * missing * draft + 0.05)
    else:
        assert decision.drafts <= len(outlook.survival)


def test_the_rate_is_what_is_achieved_and_never_below_plain_decoding() -> None:
    policy = controller(LINE)
    assert policy.rate(0) == pytest.approx(1 / LINE[1])
    played(policy, [(10.0, 5)] * 3)
    assert policy.rate(0) == pytest.approx(5 / 10)
    slow = played(controller(LINE), [(100.0, 1)] * 3)
    assert slow.rate(0) == pytest.approx(1 / LINE[1])


def test_a_hopeless_drafter_is_not_waited_for_and_hopeless_drafts_are_not_verified() -> None:
    assert controller(LINE).plan(Outlook([], 0.02, 8, 0)) == Verify(0)
    assert controller(LINE).plan(Outlook([0.05, 0.001], 0.02, 8, 0)) == Verify(0)
    dear = controller(LINE, draft=30.0)
    assert dear.plan(Outlook([], 0.9, 8, 0)) == Verify(0)


def test_good_drafts_are_waited_for_and_verified_all() -> None:
    policy = controller(FLAT, draft=0.01)
    decision = policy.plan(Outlook([], 0.95, 8, 0))
    assert isinstance(decision, Wait)
    assert decision.drafts == 8
    assert decision.patience == pytest.approx(3 * 0.08 + 0.05)
    assert policy.plan(Outlook(survival([0.95] * 8), 0.95, 8, 0)) == Verify(8)
    assert policy.plan(Outlook(survival([0.95] * 8), 0.95, 5, 0)) == Verify(5)


@settings(deadline=None)
@given(ready=st.lists(st.floats(0.01, 0.99), min_size=3, max_size=8))
def test_stairs_are_exploited(ready: list[float]) -> None:
    decision = controller(STAIRS).plan(Outlook(survival(ready), 0.0, len(ready), 0))
    # A batch of 4 costs less than one of 3, one of 8 less than one of 6 or 7.
    assert decision.drafts != 2
    assert len(ready) < 7 or decision.drafts not in (5, 6)


@pytest.mark.parametrize(
    ("draft", "change", "checks"),
    [
        (0.01, {}, True),
        (6.0, {}, False),
        (0.01, {"unchecked": 0}, False),
        (0.01, {"growth": 0.0}, False),
        (0.01, {"prepared": False}, False),
    ],
)
def test_drafts_that_the_drafter_may_mend_are_checked_where_it_is_cheap(
    draft: float, change: dict[str, Any], checks: bool
) -> None:
    outlook = Outlook(survival([0.7] * 3), 0.7, 3, 0, unchecked=3)
    decision = controller(FLAT, draft).plan(replace(outlook, **change))
    assert isinstance(decision, Wait) == checks
    assert decision.drafts == 3


@pytest.mark.parametrize(
    ("draft", "row", "checks"),
    [(3.2, 0.1, True), (4.2, 0.1, False), (2.5, 0.0, False), (1.5, 0.0, True)],
)
def test_checking_drafts_costs_a_step_with_a_row_for_each_or_a_step_for_each(
    draft: float, row: float, checks: bool
) -> None:
    """What is gained is worth 4.6: 1 - 0.7 ** 3 of a draft, seven in ten mended, ten a token."""
    table = CostTable({0: FLAT}, {0: draft}, draft_row=row)
    policy = Controller(CostModel(table), lenient())
    decision = policy.plan(Outlook(survival([0.7] * 3), 0.7, 3, 0, unchecked=3))
    assert isinstance(decision, Wait) == checks


@pytest.mark.parametrize(("draft", "checks"), [(0.6, True), (0.8, False)])
def test_only_the_drafts_that_were_not_checked_count(draft: float, checks: bool) -> None:
    outlook = Outlook(survival([0.7] * 4), 0.7, 4, 0, unchecked=1)
    assert isinstance(controller(FLAT, draft).plan(outlook), Wait) == checks


@pytest.mark.parametrize(("waited", "checks"), [(0.0, True), (18.5, False)])
def test_checking_drafts_is_no_reason_to_break_the_bound(waited: float, checks: bool) -> None:
    outlook = Outlook(survival([0.7] * 3), 0.7, 3, 0, waited, unchecked=3)
    decision = Controller(costs(FLAT, 1.0)).plan(outlook)
    assert decision.drafts == 3
    assert isinstance(decision, Wait) == checks


def test_a_third_draft_of_little_worth_is_verified_because_it_makes_the_batch_cheaper() -> None:
    outlook = Outlook(survival([0.99, 0.99, 0.01]), 0.0, 3, 0)
    assert controller(STAIRS).plan(outlook) == Verify(3)


@settings(deadline=None)
@given(
    waited=st.floats(0, 30), spent=st.floats(0, 40), verify=shapes,
    ready=st.lists(st.floats(0.5, 0.99), max_size=8),
)  # fmt: skip
def test_nothing_is_risked_that_the_guard_forbids(
    waited: float, spent: float, verify: dict[int, float], ready: list[float]
) -> None:
    guard = DebtGuard()
    policy = Controller(costs(verify), guard)
    guard.record(spent, 1, verify[1])
    outlook = Outlook(survival(ready), 0.9, 8, 0, waited)
    decision = policy.plan(outlook)
    if decision.drafts:
        fear = policy.costs.feared(decision.drafts + 1, 0)
        patience = decision.patience if isinstance(decision, Wait) else 0.0
        assert waited + patience + fear <= guard.room(verify[1]) + ROUNDING


def test_in_debt_even_the_best_drafts_are_left() -> None:
    good = Outlook(survival([0.99] * 8), 0.99, 8, 0)
    guard = DebtGuard()
    policy = Controller(costs(FLAT), guard)
    assert policy.plan(good) == Verify(8)
    guard.record(100.0, 1, FLAT[1])
    assert policy.plan(good) == Verify(0)
    policy.start()
    assert policy.plan(good) == Verify(8)


def test_a_plain_step_comes_round_even_if_all_goes_well() -> None:
    policy, good = controller(FLAT), Outlook(survival([0.95] * 8), 0.95, 8, 0)
    run, longest = 0, 0
    for _ in range(300):
        drafts = policy.plan(good).drafts
        run = run + 1 if drafts else 0
        longest = max(longest, run)
        policy.finished(FLAT[drafts + 1], FLAT[drafts + 1], drafts, drafts + 1, 0)
    assert 30 <= longest <= 100


def test_a_plain_step_comes_after_as_many_others() -> None:
    policy, good = controller(FLAT), Outlook(survival([0.9] * 8), 0.9, 8, 0)
    for _ in range(2):
        for _ in range(64):
            assert policy.plan(good) == Verify(8)
            policy.finished(FLAT[9], FLAT[9], 8, 9, 0)
        assert policy.plan(good) == Verify(0)
        policy.finished(FLAT[1], FLAT[1], 0, 1, 0)


def test_a_plain_step_is_booked_as_it_was_and_others_as_measured() -> None:
    for drafts, tokens, debt in ((3, 2, 20 - 2 * LINE[1]), (0, 1, 20 - 14)):
        guard = DebtGuard()
        Controller(costs(LINE), guard).finished(20.0, 14.0, drafts, tokens, 0)
        assert guard.debt == pytest.approx(debt)


def looks(growth: float, rounds: int, draft: float = 1.0) -> list[int]:
    """The rounds in which a hopeless drafter is nevertheless tried."""
    policy, at = controller(LINE, draft), []
    for number in range(rounds):
        if isinstance(policy.plan(Outlook([], growth, 8, 0)), Wait):
            at.append(number)
        policy.finished(LINE[1], LINE[1], 0, 1, 0)
    return at


@pytest.mark.parametrize("draft", [0.05, 0.3, 1.0, 5.0])
def test_a_hopeless_drafter_is_looked_at_again_and_again_for_a_hundredth_of_the_time(
    draft: float,
) -> None:
    at = looks(0.02, 2000, draft)
    look = 4 * draft
    assert len(at) * look <= 0.01 * 2000 * LINE[1] * 1.01
    assert len(at) >= 0.9 * min(0.01 * 2000 * LINE[1] / look, 1999) - 1


def test_nobody_looks_where_there_is_no_drafter() -> None:
    assert looks(0.0, 500) == []


@pytest.mark.parametrize(("contention", "overlaps"), [(1.0, True), (1.02, True), (3.0, False)])
def test_both_work_at_once_only_if_that_hides_more_than_it_costs(
    contention: float, overlaps: bool
) -> None:
    policy = Controller(CostModel(CostTable({0: LINE}, {0: 1.0}, contention)))
    assert policy.overlaps(4.0, 0.6, 0) is overlaps
    assert not policy.overlaps(4.0, 0.0, 0)


@pytest.mark.parametrize(("contention", "overlaps"), [(1.50, True), (1.53, False)])
def test_a_batch_of_the_usual_drafts_and_one_slows_down(contention: float, overlaps: bool) -> None:
    """Four drafts of 3 each are hidden six times in ten; a batch of five takes 14."""
    table = CostTable({0: LINE}, {0: 2.0, 100: 4.0}, contention)
    assert Controller(CostModel(table)).overlaps(4.0, 0.6, 50) is overlaps


def test_what_is_decoded_again_is_what_was_accepted_before_the_surprise() -> None:
    outlook = Outlook([0.5, 0.25], 0.0, 2, 0, replays=True)
    again = controller(LINE)._replay(2, outlook)
    assert again == pytest.approx(0.5 * LINE[1] + 0.25 * LINE[2])


def test_a_late_drafter_is_waited_for_as_long_as_the_guard_has_room() -> None:
    policy = Controller(costs(LINE, 100.0))
    room = 1.05 * LINE[1] + 2 * LINE[1] - 1.15 * LINE[2]
    assert policy._patience(1, Outlook([], 0.9, 8, 0)) == pytest.approx(room)
    assert policy._patience(1, Outlook([], 0.9, 8, 0, waited=5.0)) == pytest.approx(room - 5)
    assert policy._patience(1, Outlook([], 0.9, 8, 0, waited=100.0)) == 0


def test_a_look_costs_what_drafts_cost_at_this_depth() -> None:
    policy = Controller(deeper(0.0125), lenient())
    policy.finished(LINE[1], LINE[1], 0, 1, 50)
    assert isinstance(policy.plan(Outlook([], 0.02, 8, 50)), Wait)
    assert policy.plan(Outlook([], 0.02, 8, 50)) == Verify(0)
    policy.finished(LINE[1], LINE[1], 0, 1, 100)
    assert policy.plan(Outlook([], 0.02, 8, 100)) == Verify(0)


def test_the_prefill_of_the_drafter_is_not_waited_for() -> None:
    policy = controller(FLAT, draft=0.01)
    for _ in range(200):
        assert policy.plan(Outlook([], 0.95, 8, 0, prepared=False)) == Verify(0)
        policy.finished(FLAT[1], FLAT[1], 0, 1, 0)
    assert policy.plan(Outlook(survival([0.9] * 3), 0.95, 8, 0, prepared=False)) == Verify(3)
    assert isinstance(policy.plan(Outlook([], 0.95, 8, 0)), Wait)


def test_the_cost_of_planning_is_diluted_after_a_plain_step() -> None:
    policy = controller(LINE)
    for _ in range(30):
        policy.finished(1.1 * LINE[1], LINE[1], 0, 1, 0)
    assert 8 <= policy.rest <= 10
    before = policy.rest
    for _ in range(30):
        policy.finished(LINE[1], LINE[1], 0, 1, 0)
    assert policy.rest == before
    policy.finished(LINE[4], LINE[4], 3, 4, 0)
    assert policy.rest == 0


def test_one_plan_that_took_for_ever_counts_as_one_step() -> None:
    policy = controller(LINE)
    policy.finished(50 * LINE[1], LINE[1], 0, 1, 0)
    assert 9 <= policy.rest <= 10


def test_waiting_for_drafts_is_no_planning() -> None:
    policy = controller(LINE)
    for _ in range(30):
        if isinstance(policy.plan(Outlook([], 0.9, 8, 0)), Wait):
            policy.finished(9 * LINE[1], LINE[1], 0, 1, 0)
    assert policy.rest == 0


def test_a_fixed_number_of_drafts_is_waited_for_and_verified() -> None:
    policy = FixedPolicy(costs(LINE, 2.0), 3)
    policy.start()
    assert policy.plan(Outlook([], 0.5, 8, 0)) == Wait(3, 18.05)
    assert policy.plan(Outlook([0.5], 0.5, 8, 0)) == Wait(3, 12.05)
    assert policy.plan(Outlook([0.5] * 5, 0.5, 8, 0)) == Verify(3)
    assert policy.plan(Outlook([0.5] * 3, 0.5, 8, 0)) == Verify(3)
    assert policy.plan(Outlook([0.5], 0.0, 8, 0)) == Verify(1)
    assert policy.plan(Outlook([0.5] * 5, 0.5, 2, 0)) == Verify(2)
    policy.finished(1.0, 1.0, 3, 1, 0)
    assert policy.plan(Outlook([], 0.0, 8, 0)) == Verify(0)
    assert not policy.overlaps(3.0, 1.0, 0)
    assert FixedPolicy(deeper(), 3).plan(Outlook([], 0.5, 8, 50)) == Wait(3, 18.05)


@pytest.mark.parametrize("overlap", [True, False])
def test_a_fixed_policy_overlaps_as_told(overlap: bool) -> None:
    assert FixedPolicy(costs(LINE), 3, overlap).overlaps(3.0, 1.0, 0) is overlap


def test_branches_fill_a_batch_up_to_the_edge_of_a_stair() -> None:
    edge = {1: 10.0, 2: 18.0, 3: 23.0, 4: 14.0, 5: 22.0}
    forked = Outlook([0.6], 0.0, 4, 0, likeliest=[0.6, 0.3, 0.08])
    assert controller(edge).plan(forked) == Verify(3, branching=True)


def test_branches_that_cost_more_than_they_bring_are_left_out() -> None:
    forked = Outlook([0.6, 0.5], 0.0, 4, 0, likeliest=[0.6, 0.5, 0.05, 0.05])
    assert controller(LINE).plan(forked) == Verify(2)


def test_a_tree_that_is_a_path_is_verified_as_one() -> None:
    path = [0.9, 0.8, 0.7]
    assert controller(FLAT).plan(Outlook(path, 0.0, 8, 0, likeliest=path)) == Verify(3)


def test_the_guard_limits_trees_as_it_limits_paths() -> None:
    policy = Controller(costs({1: 10.0, 2: 11.0, 3: 40.0}), DebtGuard())
    forked = Outlook([0.9], 0.0, 4, 0, likeliest=[0.9, 0.9])
    assert policy.plan(forked) == Verify(1)


def test_decoding_again_what_is_kept_counts_against_drafts() -> None:
    chances = survival([0.6] * 2)
    shape = {1: 10.0, 2: 12.0, 3: 13.0}
    assert controller(shape).plan(Outlook(chances, 0.0, 2, 0)) == Verify(2)
    assert controller(shape).plan(Outlook(chances, 0.0, 2, 0, replays=True)) == Verify(0)
    sure = survival([0.99] * 2)
    assert controller(shape).plan(Outlook(sure, 0.0, 2, 0, replays=True)) == Verify(2)


def test_the_guard_fears_that_all_is_decoded_again() -> None:
    shape = {1: 10.0, 2: 12.0, 3: 13.0}
    sure = Outlook(survival([0.99] * 2), 0.0, 2, 0, replays=True)
    policy = Controller(costs(shape), DebtGuard(steps=1.7))
    # One token's 1.05 steps and 1.7 on top are 27.5; the batch and half of it again are 28.7.
    assert policy.plan(sure) in (Verify(0), Verify(1))
    assert policy.plan(Outlook(sure.survival, 0.0, 2, 0)) == Verify(2)
