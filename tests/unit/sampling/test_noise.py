from collections.abc import Callable
from math import log, pi, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgespec.sampling.noise import gumbel, uniform

IDS = np.arange(20_000)
WORD = 2**64 - 1
words = st.integers(0, WORD)


def splitmix64(key: int, index: int) -> int:
    """Output `index` of the generator seeded with `key`, from the published code."""
    z = (key + index * 0x9E3779B97F4A7C15) & WORD
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & WORD
    return z ^ (z >> 31)


def test_the_noise_of_a_seed_never_changes() -> None:
    ids = np.array([0, 1, 2, 151_935])
    assert (uniform(42, 0, 7, ids) * 2**53).tolist() == [
        4533025450097951,
        1565172606559183,
        2061639058676271,
        2229465550950467,
    ]


@given(seed=words, choice=st.integers(0, 100), position=st.integers(0, 10**6), token=words)
@settings(deadline=None)
def test_uniforms_are_splitmix64_in_plain_integers(
    seed: int, choice: int, position: int, token: int
) -> None:
    key = 0
    for part in (seed, choice, position):
        key = splitmix64(key ^ part, 1)
    u = uniform(seed, choice, position, np.array([token], np.uint64))[0]
    assert u == ((splitmix64(key, token) >> 12) + 0.5) / 2**52
    assert 0 < u < 1


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint64])
def test_the_type_and_order_of_ids_do_not_matter(dtype: type[np.integer]) -> None:
    picked = np.array([7, 3, 100], dtype)
    assert (gumbel(1, 2, 3, picked) == gumbel(1, 2, 3, IDS)[[7, 3, 100]]).all()


def test_noise_has_the_mean_and_variance_of_the_gumbel_distribution() -> None:
    noise = np.concatenate([gumbel(9, 0, position, IDS) for position in range(50)])
    assert abs(noise.mean() - np.euler_gamma) < 4 * pi / sqrt(6 * noise.size)
    assert noise.var() == pytest.approx(pi**2 / 6, rel=0.01)


VARIED: list[Callable[[int], NDArray[np.float64]]] = [
    lambda n: gumbel(n, 0, 0, np.array([0]))[0],
    lambda n: gumbel(0, n, 0, np.array([0]))[0],
    lambda n: gumbel(0, 0, n, np.array([0]))[0],
    lambda n: gumbel(0, 0, 0, np.array([n]))[0],
    lambda n: gumbel(n << 32, 0, n, np.array([n]))[0],
]


@pytest.mark.parametrize("draw", VARIED, ids=["seed", "choice", "position", "id", "all"])
def test_each_argument_alone_draws_independent_gumbels(
    draw: Callable[[int], NDArray[np.float64]],
) -> None:
    count = 5000
    noise = np.array([draw(n) for n in range(count)])
    distribution = np.exp(-np.exp(-np.sort(noise)))
    steps = np.arange(count + 1) / count
    deviation = max(np.abs(distribution - steps[1:]).max(), np.abs(distribution - steps[:-1]).max())
    kolmogorov = sqrt(-log(1e-4 / 2) / (2 * count))
    assert deviation < kolmogorov
    for lag in (1, 2, 7, 64):
        assert abs(np.corrcoef(noise[lag:], noise[:-lag])[0, 1]) < 4 / sqrt(count)


@pytest.mark.parametrize("other", [(1, 0, 5), (0, 1, 5), (0, 0, 6), (5, 0, 0), (0, 5, 0)])
def test_neighbouring_streams_are_uncorrelated(other: tuple[int, int, int]) -> None:
    here, there = gumbel(0, 0, 5, IDS), gumbel(*other, IDS)
    for shift in range(4):
        correlation = np.corrcoef(here[shift:], there[: len(IDS) - shift])[0, 1]
        assert abs(correlation) < 4.5 / sqrt(len(IDS))
