"""The debt guard: whatever happens, an answer costs at most 5 % and two steps over plain."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgespec.guard import DebtGuard

ROUNDING = 1e-9
steps = st.floats(0.01, 5)
rounds = st.lists(
    st.tuples(
        st.floats(0, 20),  # What a speculative round is feared to cost.
        st.floats(0, 1),  # What part of that it really costs.
        st.integers(1, 16),  # The tokens that it yields.
    ),
    max_size=60,
)


@settings(deadline=None)
@given(rounds=rounds, plain=steps)
def test_the_bound_holds_if_only_allowed_rounds_are_taken(
    rounds: list[tuple[float, float, int]], plain: float
) -> None:
    guard = DebtGuard()
    guard.start()
    spent = saved = 0.0
    for feared, part, tokens in rounds:
        seconds = feared * part
        if not guard.allows(feared, plain):
            seconds, tokens = plain, 1
        guard.record(seconds, tokens, plain)
        spent, saved = spent + seconds, saved + tokens * plain
        assert spent <= 1.05 * saved + 2 * plain + ROUNDING
        assert guard.debt == pytest.approx(spent - saved)


@settings(deadline=None)
@given(rounds=rounds, plain=st.lists(steps, min_size=60, max_size=60))
def test_the_bound_holds_while_the_plain_step_slows_down(
    rounds: list[tuple[float, float, int]], plain: list[float]
) -> None:
    guard = DebtGuard()
    spent = saved = 0.0
    for (feared, part, tokens), step in zip(rounds, sorted(plain), strict=False):
        allowed = guard.allows(feared, step)
        seconds, tokens = (feared * part, tokens) if allowed else (step, 1)
        guard.record(seconds, tokens, step)
        spent, saved = spent + seconds, saved + tokens * step
        assert spent <= 1.05 * saved + 2 * step + ROUNDING


@settings(deadline=None)
@given(slack=st.floats(0, 0.5), steps=st.floats(0, 5), feared=st.floats(0, 20))
def test_a_first_round_may_cost_its_token_and_what_may_be_lost(
    slack: float, steps: float, feared: float
) -> None:
    guard = DebtGuard(slack, steps)
    assert guard.allows(feared, 1.0) == (feared <= 1 + slack + steps)


def test_what_was_gained_may_be_risked_and_what_was_lost_may_not() -> None:
    guard = DebtGuard()
    assert not guard.allows(5.0, 1.0)
    guard.record(1.0, 8, 1.0)
    assert guard.debt == -7.0
    assert guard.allows(5.0, 1.0)
    guard.record(9.0, 1, 1.0)
    assert not guard.allows(3.0, 1.0)


def test_a_new_answer_begins_without_debts_and_without_savings() -> None:
    guard = DebtGuard()
    guard.record(1.0, 30, 1.0)
    guard.start()
    assert guard.debt == 0.0
    assert not guard.allows(5.0, 1.0)
