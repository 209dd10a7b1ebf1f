from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgespec.sampling.params import SamplingParams
from edgespec.sampling.penalties import Penalties
from tests.unit.sampling.reference import processed

tokens = st.lists(st.integers(0, 9), max_size=30)
LOGITS = np.array([2.0, -2.0, 0.0, 0.5, -0.5, 7.0, -7.0, 1.0, -1.0, 3.0], np.float32)


def penalised(penalties: Penalties) -> dict[int, float]:
    logits = LOGITS.astype(np.float64)
    logits[penalties.ids] = penalties.apply(logits[penalties.ids])
    return dict(enumerate(logits.tolist()))


@st.composite
def mixtures(draw: st.DrawFn) -> SamplingParams:
    return SamplingParams(
        repeat_penalty=draw(st.sampled_from([1.0, 1.3, 0.8])),
        frequency_penalty=draw(st.sampled_from([0.0, 0.5, -0.5])),
        presence_penalty=draw(st.sampled_from([0.0, 0.7])),
        penalty_window=draw(st.integers(0, 12)),
        logit_bias=draw(st.dictionaries(st.integers(0, 9), st.floats(-5, 5), max_size=3)),
    )


@given(params=mixtures(), history=tokens)
@settings(deadline=None)
def test_penalties_equal_the_definition(params: SamplingParams, history: list[int]) -> None:
    assert penalised(Penalties(params, history)) == pytest.approx(
        processed(LOGITS, params, history)
    )


@given(params=mixtures(), history=tokens, accepted=tokens)
@settings(deadline=None)
def test_accepting_equals_starting_with_a_longer_history(
    params: SamplingParams, history: list[int], accepted: list[int]
) -> None:
    penalties = Penalties(params, history)
    for token in accepted:
        penalties.accept(token)
    fresh = Penalties(params, history + accepted)
    assert penalties.ids.tolist() == fresh.ids.tolist()
    assert penalised(penalties) == penalised(fresh)


@given(params=mixtures(), history=tokens, accepted=tokens)
@settings(deadline=None)
def test_a_fork_and_its_origin_do_not_see_each_other(
    params: SamplingParams, history: list[int], accepted: list[int]
) -> None:
    origin = Penalties(params, history)
    twin = origin.fork()
    for token in accepted:
        twin.accept(token)
    assert penalised(origin) == penalised(Penalties(params, history))
    origin.accept(3)
    assert penalised(twin) == penalised(Penalties(params, history + accepted))


def test_repetition_pushes_negative_logits_down_too() -> None:
    penalties = Penalties(SamplingParams(repeat_penalty=2), [0, 1])
    assert penalties.apply(np.array([2.0, -2.0])).tolist() == [1.0, -4.0]


def test_a_bias_comes_before_the_penalties() -> None:
    params = SamplingParams(repeat_penalty=2, logit_bias={0: -3.0})
    assert Penalties(params, [0]).apply(np.array([2.0])).tolist() == [-2.0]


def test_a_banned_token_stays_banned() -> None:
    params = SamplingParams(frequency_penalty=-2, repeat_penalty=0.5, logit_bias={0: -inf})
    assert Penalties(params, [0]).apply(np.array([5.0])).tolist() == [-inf]


def test_tokens_change_nothing_where_no_penalty_is_set() -> None:
    penalties = Penalties(SamplingParams(), [1, 2, 3])
    penalties.accept(4)
    assert len(penalties.ids) == 0


@given(params=mixtures(), history=tokens, pair=st.lists(st.floats(-9, 9), min_size=2, max_size=2))
@settings(deadline=None)
def test_stretch_bounds_how_far_apart_a_token_s_logits_are_driven(
    params: SamplingParams, history: list[int], pair: list[float]
) -> None:
    penalties = Penalties(params, history)
    low, high = (penalties.apply(np.full(len(penalties.ids), logit)) for logit in pair)
    assert (np.abs(high - low) <= penalties.stretch * abs(pair[1] - pair[0]) + 1e-9).all()


@pytest.mark.parametrize(("repeat", "window", "stretch"), [(0.5, 9, 2), (4, 9, 4), (4, 0, 1)])
def test_by_how_much_a_logit_can_be_stretched(repeat: float, window: int, stretch: float) -> None:
    params = SamplingParams(repeat_penalty=repeat, penalty_window=window)
    assert Penalties(params, [1]).stretch == stretch
