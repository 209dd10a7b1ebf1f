from math import inf, nan
from typing import Any

import pytest

from edgespec.errors import InvalidInput
from edgespec.sampling.params import SamplingParams

EDGES: dict[str, tuple[list[Any], list[Any]]] = {
    "temperature": ([0, 100], [-1e-9, 100.001]),
    "top_k": ([0, 1], [-1]),
    "top_p": ([5e-324, 1], [0.0, 1.001]),
    "min_p": ([0, 0.999], [-1e-9, 1.0]),
    "typical_p": ([5e-324, 1], [0.0, 1.001]),
    "repeat_penalty": ([0.01, 100], [0.0099, 100.1]),
    "frequency_penalty": ([-2, 2], [-2.001, 2.001]),
    "presence_penalty": ([-2, 2], [-2.001, 2.001]),
    "penalty_window": ([0], [-1]),
    "seed": ([0, 2**64 - 1], [-1, 2**64]),
}


@pytest.mark.parametrize("name", EDGES)
def test_a_range_ends_where_it_says(name: str) -> None:
    inside, outside = EDGES[name]
    for value in inside:
        assert getattr(SamplingParams(**{name: value}), name) == value
    for value in [*outside, nan, inf, -inf]:
        with pytest.raises(InvalidInput) as refused:
            SamplingParams(**{name: value})
        assert refused.value.what == f"{name} = {value} is out of range"
        assert refused.value.hint.startswith(("it must be in ", "it must be at least "))


def test_a_bias_ends_where_it_says() -> None:
    bias = {0: 10_000.0, 1: -10_000.0, 2: -inf}
    assert SamplingParams(logit_bias=bias).logit_bias == bias
    for token, value in [(-1, 0.0), (3, nan), (3, inf), (3, 10_000.5), (3, -10_000.5)]:
        with pytest.raises(InvalidInput) as refused:
            SamplingParams(logit_bias={0: 1.0, token: value})
        assert refused.value.what == f"logit_bias of token {token} = {value} cannot be used"
        assert refused.value.hint == "it must be in [-10000, 10000] or -inf, for a token id"


def test_a_token_can_be_banned() -> None:
    assert SamplingParams(logit_bias={3: -inf}).logit_bias == {3: -inf}


def test_only_a_penalty_with_a_window_penalises() -> None:
    assert not SamplingParams().penalises
    assert SamplingParams(presence_penalty=0.1).penalises
    assert not SamplingParams(presence_penalty=0.1, penalty_window=0).penalises


def test_temperature_zero_is_greedy() -> None:
    assert SamplingParams(temperature=0).greedy
    assert not SamplingParams().greedy
