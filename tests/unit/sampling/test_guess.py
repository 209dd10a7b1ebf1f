"""A drafter's guesses: what the target would choose, then what it would if that were excluded."""

from dataclasses import replace
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgespec.protocols import Logits
from edgespec.sampling.params import SamplingParams
from edgespec.sampling.sampler import Sampler
from tests.fakes import FakeGrammar

SIZE = 48
params = st.builds(
    SamplingParams,
    temperature=st.sampled_from([0.0, 0.3, 1.0, 2.0]),
    top_k=st.sampled_from([0, 1, 5, 40]),
    top_p=st.sampled_from([0.5, 0.95, 1.0]),
    min_p=st.sampled_from([0.0, 0.05, 0.3]),
    typical_p=st.sampled_from([1.0, 1.0, 0.9]),
    repeat_penalty=st.sampled_from([1.0, 1.3]),
    frequency_penalty=st.sampled_from([0.0, 0.5]),
    presence_penalty=st.sampled_from([0.0, -0.5]),
    penalty_window=st.sampled_from([0, 3, 64]),
    logit_bias=st.dictionaries(
        st.integers(0, SIZE - 1), st.sampled_from([-inf, -2.0, 3.0]), max_size=4
    ),
    seed=st.integers(0, 2**64 - 1),
)
histories = st.lists(st.integers(0, SIZE - 1), max_size=8)
grammars = st.none() | st.integers(0, 20)
rows = st.tuples(st.integers(0, 2**32), st.sampled_from([0.5, 2.0, 6.0]))
positions = st.integers(0, 10**6)


def row(source: tuple[int, float]) -> Logits:
    seed, scale = source
    return np.random.default_rng(seed).normal(0, scale, SIZE).astype(np.float32)


def sampler(params: SamplingParams, history: list[int], grammar: int | None) -> Sampler:
    state = FakeGrammar(SIZE, grammar) if grammar is not None else None
    return Sampler(params, history, grammar=state)


@settings(deadline=None, max_examples=300)
@given(
    params=params, history=histories, grammar=grammars, source=rows, position=positions,
    count=st.integers(1, 6),
)  # fmt: skip
def test_the_first_guess_is_the_choice_and_all_are_sane(
    params: SamplingParams,
    history: list[int],
    grammar: int | None,
    source: tuple[int, float],
    position: int,
    count: int,
) -> None:
    guesser = sampler(params, history, grammar)
    guesses = guesser.guess(row(source), position, count)
    assert 1 <= len(guesses) <= count
    assert guesses[0].token == guesser.choose(row(source), position).token
    assert len({guess.token for guess in guesses}) == len(guesses)
    assert all(guess.lead >= 0 for guess in guesses)
    assert all(0 <= guess.probability <= 1 for guess in guesses)
    assert sum(guess.probability for guess in guesses) <= 1 + 1e-9
    assert guesser.guess(row(source), position, count) == guesses


@settings(deadline=None, max_examples=300)
@given(params=params, history=histories, grammar=grammars, source=rows, position=positions)
def test_the_next_guess_is_the_choice_without_those_before_it(
    params: SamplingParams,
    history: list[int],
    grammar: int | None,
    source: tuple[int, float],
    position: int,
) -> None:
    # A cut would let another token in for the one that is excluded.
    params = replace(params, top_k=0, top_p=1.0, min_p=0.0, typical_p=1.0)
    guesses = sampler(params, history, grammar).guess(row(source), position, 4)
    for number, guess in enumerate(guesses):
        excluded = {earlier.token: -inf for earlier in guesses[:number]}
        without = replace(params, logit_bias={**params.logit_bias, **excluded})
        choice = sampler(without, history, grammar).choose(row(source), position)
        assert choice.token == guess.token


def test_the_lead_is_the_difference_of_what_is_compared() -> None:
    logits = np.array([1.0, 4.0, 3.5, -1.0], np.float32)
    first, second, third = Sampler(SamplingParams(temperature=0), []).guess(logits, 0, 3)
    assert (first.token, first.lead) == (1, 0.5)
    assert (second.token, second.lead) == (2, 2.5)
    assert (third.token, third.lead) == (0, 2.0)
    shares = np.exp(logits) / np.exp(logits).sum()
    assert first.probability == pytest.approx(shares[1])
    assert third.probability == pytest.approx(shares[0])


def test_the_only_token_that_is_left_leads_without_end() -> None:
    params = SamplingParams(logit_bias={0: -inf, 2: -inf})
    [guess] = Sampler(params, []).guess(np.zeros(3, np.float32), 0, 3)
    assert (guess.token, guess.lead, guess.probability) == (1, inf, 1.0)


def test_how_probable_a_guess_is_depends_on_the_temperature() -> None:
    logits = row((3, 2.0))
    shares = np.exp(logits / 2) / np.exp(logits / 2).sum()
    params = SamplingParams(temperature=2, top_k=0, top_p=1, min_p=0)
    for guess in Sampler(params, []).guess(logits, 5, 6):
        assert guess.probability == pytest.approx(shares[guess.token])


def test_of_equal_guesses_the_lower_id_comes_first() -> None:
    logits = np.tile(np.array([0, 2], np.float32), 60)
    guesses = Sampler(SamplingParams(temperature=0), []).guess(logits, 0, 40)
    assert [guess.token for guess in guesses] == list(range(1, 80, 2))
