from math import inf, nan
from typing import Any

import pytest

from edgespec.errors import InvalidInput
from edgespec.sampling.params import SamplingParams


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", -0.1),
        ("temperature", nan),
        ("temperature", 101.0),
        ("top_k", -1),
        ("top_p", 0.0),
        ("top_p", 1.1),
        ("min_p", 1.0),
        ("typical_p", 0.0),
        ("repeat_penalty", 0.0),
        ("repeat_penalty", inf),
        ("frequency_penalty", 2.1),
        ("presence_penalty", -2.1),
        ("penalty_window", -1),
        ("seed", 2**64),
        ("seed", -1),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(InvalidInput, match=f"^{name} = {value}.*must be"):
        SamplingParams(**{name: value})


@pytest.mark.parametrize("bias", [{-1: 0.0}, {3: nan}, {3: inf}, {3: 1e9}])
def test_a_bias_that_cannot_be_used_is_refused(bias: dict[int, float]) -> None:
    with pytest.raises(InvalidInput, match=f"token {next(iter(bias))} "):
        SamplingParams(logit_bias=bias)


def test_a_token_can_be_banned() -> None:
    assert SamplingParams(logit_bias={3: -inf}).logit_bias == {3: -inf}


def test_only_a_penalty_with_a_window_penalises() -> None:
    assert not SamplingParams().penalises
    assert SamplingParams(presence_penalty=0.1).penalises
    assert not SamplingParams(presence_penalty=0.1, penalty_window=0).penalises


def test_temperature_zero_is_greedy() -> None:
    assert SamplingParams(temperature=0).greedy
    assert not SamplingParams().greedy
