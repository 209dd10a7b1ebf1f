"""What is not marked a tie must survive any rounding within epsilon."""

from math import inf

import numpy as np
import pytest
from numpy.typing import NDArray

from edgespec.protocols import Logits
from edgespec.sampling.params import SamplingParams
from edgespec.sampling.sampler import Sampler
from tests.unit.sampling.reference import processed, random_params, random_row

SIZES = [2, 3, 8, 30, 100]


def roundings(
    random: np.random.Generator, logits: Logits, token: int, epsilon: float
) -> list[NDArray[np.float64]]:
    """Changes of the logits by up to epsilon/2: random, extreme, and aimed at one token."""
    half, size = epsilon / 2 * (1 - 1e-4), len(logits)
    against = np.where(np.arange(size) == token, -half, half)
    above = np.where(logits > random.permutation(logits)[0], half, -half)
    return [
        *random.uniform(-half, half, (2, size)),
        random.choice([-half, half], size),
        against,
        -against,
        above,
        -above,
    ]


@pytest.mark.parametrize("seed", range(10))
def test_an_unmarked_choice_survives_rounding(seed: int) -> None:
    random = np.random.default_rng(seed)
    marked = 0
    for position in range(200):
        size, epsilon = int(random.choice(SIZES)), float(random.choice([0.05, 0.3, 0.001]))
        logits, params = random_row(random, size), random_params(random, size)
        history = random.integers(0, size, 6).tolist()
        if not processed(logits, params, history):
            continue
        sampler = Sampler(params, history, tie_epsilon=epsilon)
        chosen = sampler.choose(logits, position)
        marked += chosen.tie
        if not chosen.tie:
            for change in roundings(random, logits, chosen.token, epsilon):
                moved = (logits + change).astype(np.float32)
                assert sampler.choose(moved, position).token == chosen.token
    assert marked < 80


def test_few_choices_are_ties_at_default_settings() -> None:
    random = np.random.default_rng(0)
    sampler, count = Sampler(SamplingParams(), []), 1500
    ties = 0
    for position in range(count):
        logits = random.normal(0, 2.5, 3000)
        best = random.integers(0, len(logits), 30)
        logits[best] += 6 + random.exponential(3, len(best))
        ties += sampler.choose(logits.astype(np.float32), position).tie
    assert ties < 0.03 * count


def test_without_an_epsilon_only_equal_scores_are_ties() -> None:
    sampler = Sampler(SamplingParams(temperature=0), [], tie_epsilon=0)
    assert sampler.choose(np.array([1, 1, 0], np.float32), 0).tie
    assert not sampler.choose(np.array([1, 0.999, -inf], np.float32), 0).tie
