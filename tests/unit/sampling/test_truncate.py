from dataclasses import replace
from math import exp, inf, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgespec.protocols import Logits
from edgespec.sampling.candidates import Vocabulary
from edgespec.sampling.params import SamplingParams
from edgespec.sampling.penalties import Penalties
from edgespec.sampling.truncate import Candidates, leaders, truncate
from tests.unit.sampling.reference import (
    AllowList,
    processed,
    random_params,
    random_row,
    survivors,
)

OFF = SamplingParams(top_k=0, top_p=1, min_p=0)
PLAIN = Penalties(OFF, [])
SIZES = [1, 2, 3, 30, 200]


def cut(
    logits: Logits, params: SamplingParams, slack: float = 0, grammar: AllowList | None = None
) -> Candidates:
    return truncate(Vocabulary(logits, Penalties(params, []), grammar), params, slack)


def kept(logits: Logits, params: SamplingParams) -> list[int]:
    candidates = cut(logits, params)
    return [int(token) for token in candidates.ids[candidates.kept]]


def row(*probabilities: float) -> Logits:
    return np.log(np.array(probabilities, np.float32))


@pytest.mark.parametrize("seed", range(10))
def test_survivors_equal_the_definition(seed: int) -> None:
    random = np.random.default_rng(seed)
    for _ in range(50):
        size = int(random.choice(SIZES))
        logits, params = random_row(random, size), random_params(random, size)
        scores = processed(logits, params)
        if scores:
            assert sorted(kept(logits, params)) == sorted(survivors(scores, params))


@pytest.mark.parametrize("seed", range(10))
def test_a_grammar_read_lazily_equals_masking_first(seed: int) -> None:
    random = np.random.default_rng(seed)
    for size in random.choice([*SIZES, 5000], 50, p=[0.1, 0.1, 0.1, 0.3, 0.38, 0.02]).tolist():
        logits, params = random_row(random, size), random_params(random, size)
        slack, share = random.choice([0.05, 1]), random.choice([0.01, 0.2, 0.7])
        grammar = AllowList(np.flatnonzero(random.random(size) < share).tolist())
        scores = processed(logits, params, (), grammar.allowed)
        if scores:
            candidates = cut(logits, params, slack, grammar)
            expected = sorted(survivors(scores, params))
            assert sorted(candidates.ids[candidates.kept]) == expected
            assert len(grammar.asked) == len(set(grammar.asked))


@pytest.mark.parametrize("seed", range(10))
def test_no_rounding_leaves_the_bounds(seed: int) -> None:
    random = np.random.default_rng(seed)
    for _ in range(30):
        size, slack = int(random.choice(SIZES)), float(random.choice([0.01, 0.1, 0.5]))
        logits = random_row(random, size)
        params = replace(random_params(random, size), logit_bias={})
        candidates = cut(logits, params, slack)
        sure = set(candidates.ids[candidates.sure].tolist())
        for _ in range(5):
            moved = random.choice([-1, -0.5, 1], size) * slack / 2.001
            scores = processed((logits + moved).astype(np.float32), params)
            assert sure <= set(survivors(scores, params)) <= set(candidates.ids.tolist())


@given(
    logits=st.lists(st.integers(-3, 3), min_size=1, max_size=30),
    k=st.integers(1, 30),
    p=st.floats(0.01, 0.99),
)
@settings(deadline=None)
def test_cutting_again_with_top_k_or_min_p_cuts_nothing(
    logits: list[int], k: int, p: float
) -> None:
    values = np.array(logits, np.float32)
    for params in (replace(OFF, top_k=k), replace(OFF, min_p=p)):
        left = kept(values, params)
        again = np.full(len(values), -inf, np.float32)
        again[left] = values[left]
        assert kept(again, params) == left


@given(
    logits=st.lists(st.integers(-3, 3), min_size=1, max_size=30),
    ps=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)),
)
@settings(deadline=None)
def test_a_larger_p_keeps_more(logits: list[int], ps: tuple[float, float]) -> None:
    values, (small, large) = np.array(logits, np.float32), sorted(ps)
    assert set(kept(values, replace(OFF, top_p=small))) <= set(
        kept(values, replace(OFF, top_p=large))
    )


def test_equal_logits_are_cut_by_id() -> None:
    logits = np.array([0, 1, 1, 1, 0, 1], np.float32)
    assert kept(logits, replace(OFF, top_k=3)) == [1, 2, 3]
    assert kept(logits, replace(OFF, top_k=5)) == [1, 2, 3, 5, 0]


def test_top_p_keeps_the_token_that_reaches_it() -> None:
    logits = row(0.5, 0.25, 0.15, 0.1)
    assert kept(logits, replace(OFF, top_p=0.49)) == [0]
    assert kept(logits, replace(OFF, top_p=0.51)) == [0, 1]
    assert kept(logits, replace(OFF, top_p=0.89)) == [0, 1, 2]


def test_top_p_is_a_share_of_what_top_k_left() -> None:
    logits = row(0.4, 0.3, 0.2, 0.1)
    assert kept(logits, replace(OFF, top_p=0.65)) == [0, 1]
    assert kept(logits, replace(OFF, top_p=0.55, top_k=2)) == [0]


def test_min_p_is_relative_to_the_best() -> None:
    assert kept(row(0.5, 0.3, 0.15, 0.05), replace(OFF, min_p=0.29)) == [0, 1, 2]


def test_typical_p_can_drop_the_likeliest_token() -> None:
    logits = row(0.4, *[0.06] * 10)
    assert 0 not in kept(logits, replace(OFF, typical_p=0.3))


def test_a_share_that_rounds_to_nothing_still_keeps_a_token() -> None:
    logits = row(0.3, *[0.014] * 50)  # The typical ones have little mass beside the best.
    assert kept(logits, replace(OFF, typical_p=5e-324, top_p=5e-324, min_p=0.05)) == [1]


def test_typicality_is_the_distance_from_the_mean_logit() -> None:
    logits = random_row(np.random.default_rng(5), 20)
    logits = logits[np.isfinite(logits)]
    chances = np.exp(logits) / np.exp(logits).sum()
    entropy = -(chances * np.log(chances)).sum()
    mean = (chances * logits).sum()
    assert np.abs(logits - mean) == pytest.approx(np.abs(-np.log(chances) - entropy), abs=1e-5)


@pytest.mark.parametrize(
    "params",
    [
        replace(OFF, top_k=40),
        replace(OFF, top_p=0.95),
        replace(OFF, top_p=0.999),
        replace(OFF, min_p=0.01),
        replace(OFF, top_p=0.9, min_p=0.001),
        SamplingParams(),
        SamplingParams(typical_p=0.9),
    ],
)
def test_a_large_vocabulary_is_cut_exactly(params: SamplingParams) -> None:
    random = np.random.default_rng(1)
    for spread in (1, 4):
        logits = random.normal(0, spread, 20_000).astype(np.float32)
        assert kept(logits, params) == survivors(processed(logits, params), params)


def test_a_grammar_is_not_asked_about_what_min_p_excludes() -> None:
    logits = random_row(np.random.default_rng(2), 50_000)
    grammar = AllowList([int(logits.argmax())])
    assert cut(logits, SamplingParams(), 0.05, grammar).ids.tolist() == [logits.argmax()]
    assert len(grammar.asked) < 25_000


def test_a_clear_top_k_is_sure_and_a_close_one_is_not() -> None:
    logits = np.array([3, 2, 1, 0.99, 0], np.float32)
    clear, close = (cut(logits, replace(OFF, top_k=k), 0.05) for k in (2, 3))
    assert (clear.ids.tolist(), clear.sure.tolist()) == ([0, 1], [True, True])
    assert (close.ids.tolist(), close.kept.tolist()) == ([0, 1, 2, 3], [True, True, True, False])
    assert close.sure.tolist() == [True, True, False, False]


def test_top_p_is_in_doubt_only_near_its_edge() -> None:
    logits = row(0.6, 0.3, 0.1)
    assert cut(logits, replace(OFF, top_p=0.8), 0.05).sure.tolist() == [True, True]
    candidates = cut(logits, replace(OFF, top_p=0.899), 0.05)
    assert candidates.kept.tolist() == [True, True, False]
    assert candidates.sure.tolist() == [True, True, False]


def test_min_p_is_in_doubt_only_near_its_edge() -> None:
    logits = np.array([0, log(0.1) + 0.01, log(0.1) - 0.01, log(0.1) - 1], np.float32)
    candidates = cut(logits, replace(OFF, min_p=0.1), 0.05)
    assert candidates.ids.tolist() == [0, 1, 2]
    assert candidates.kept.tolist() == [True, True, False]
    assert candidates.sure.tolist() == [True, False, False]


def test_masses_are_relative_to_the_best_token() -> None:
    masses = cut(np.array([1, 3], np.float32), replace(OFF, top_k=2)).masses
    assert masses == pytest.approx([1, exp(-2)])


@pytest.mark.parametrize(("slack", "count"), [(2, 2), (0.3, 1)])
def test_leaders_are_the_best_and_whoever_is_close(slack: float, count: int) -> None:
    ranks = [60, 200]
    logits = np.linspace(9, -41, 5000, dtype=np.float32)
    found = leaders(Vocabulary(logits, PLAIN, AllowList(ranks)), slack)
    assert found.ids.tolist() == ranks[:count]
    assert len(found.ids) > 1 or found.floor <= logits[60] - slack
