from math import exp, fsum, log

import numpy as np
import pytest

from edgespec.protocols import Logits
from edgespec.sampling.logprobs import logprobs


def row(seed: int, size: int, spread: float) -> Logits:
    return np.random.default_rng(seed).normal(0, spread, size).astype(np.float32)


@pytest.mark.parametrize("count", [0, 1, 3, 50])
@pytest.mark.parametrize("spread", [0.01, 3.0, 30.0])
def test_they_are_the_logarithms_of_the_softmax(spread: float, count: int) -> None:
    logits = row(4, 50, spread)
    values = logits.tolist()
    whole = log(fsum(exp(value - max(values)) for value in values)) + max(values)
    best = sorted(range(50), key=lambda token: -values[token])[:count]
    for token in (0, 7, 49):
        found = logprobs(logits, token, count)
        assert found.chosen == pytest.approx(values[token] - whole, abs=1e-5)
        assert [one for one, _ in found.top] == best
        assert [p for _, p in found.top] == pytest.approx([values[one] - whole for one in best])


def test_of_equals_the_lower_id_comes_first() -> None:
    logits = np.random.default_rng(2).integers(0, 3, 1000).astype(np.float32)
    found = logprobs(logits, 0, 1000)
    best = sorted(range(1000), key=lambda token: -logits[token])
    assert [token for token, _ in found.top] == best


def test_logits_too_large_for_an_exponential_have_logarithms() -> None:
    logits = np.array([1e30, 1e30, -1e30], np.float32)
    for count in (0, 2):
        assert logprobs(logits, 1, count).chosen == pytest.approx(log(0.5))


def test_the_logits_stay_as_they_were() -> None:
    logits = row(1, 9, 2.0)
    before = logits.copy()
    logprobs(logits, 2, 3)
    logprobs(logits, 2, 0)
    assert (logits == before).all()


@pytest.mark.parametrize("seed", range(5))
def test_alone_a_token_is_as_likely_as_among_others(seed: int) -> None:
    logits = row(seed, 150_000, 10 ** (seed - 2))
    random = np.random.default_rng(seed)
    for token in (int(logits.argmax()), *random.integers(0, len(logits), 20)):
        exact = logprobs(logits, token, 3)
        assert logprobs(logits, token, 0).chosen == pytest.approx(exact.chosen, abs=1e-4, rel=1e-6)
    assert list(exact.top) == sorted(exact.top, key=lambda one: -one[1])
