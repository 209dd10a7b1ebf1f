from math import inf, nan

import numpy as np
import pytest

from edgespec.errors import BackendError, InvalidInput
from edgespec.protocols import Logits
from edgespec.sampling.candidates import Listing, Vocabulary
from edgespec.sampling.params import SamplingParams
from edgespec.sampling.penalties import Penalties
from tests.unit.sampling.reference import AllowList, processed, random_params, random_row

PLAIN = Penalties(SamplingParams(), [])


def row(seed: int, size: int = 5000) -> Logits:
    return random_row(np.random.default_rng(seed), size)


def assert_complete_down_to_floor(listing: Listing, scores: dict[int, float]) -> None:
    ranked = sorted(scores, key=lambda token: (-scores[token], token))
    expected = [token for token in ranked if scores[token] >= listing.floor]
    assert listing.ids.tolist() == expected
    assert listing.logits == pytest.approx([scores[token] for token in expected])


@pytest.mark.parametrize("size", [1, 2, 50, 1023, 4096, 9999])
@pytest.mark.parametrize("count", [1, 2, 40, 300, 6000])
def test_the_top_is_the_start_of_the_sorted_row(size: int, count: int) -> None:
    for seed in range(5):
        logits = row(seed, size)
        scores = processed(logits, SamplingParams())
        listing = Vocabulary(logits, PLAIN, None).top(count, 0.05)
        assert_complete_down_to_floor(listing, scores)
        assert len(listing.ids) >= min(count, len(scores))
        if len(listing.ids) > count:
            assert listing.floor <= listing.logits[count - 1] - 0.05


@pytest.mark.parametrize("seed", range(20))
def test_bias_penalties_and_grammar_come_before_the_ranking(seed: int) -> None:
    random = np.random.default_rng(seed)
    size = int(random.choice([5, 300, 5000]))
    logits, params = random_row(random, size), random_params(random, size)
    history = random.integers(0, size, 50).tolist()
    allowed = np.flatnonzero(random.random(size) < 0.5).tolist()
    scores = processed(logits, params, history, allowed)
    if not scores:
        return
    vocabulary = Vocabulary(logits, Penalties(params, history), AllowList(allowed))
    for listing in (vocabulary.top(3, 0.1), vocabulary.top(50, 0.1), vocabulary.above(-inf)):
        assert_complete_down_to_floor(listing, scores)


def test_everything_is_every_token_by_id() -> None:
    logits = np.array([1, -inf, 3, 2], np.float32)
    listing = Vocabulary(logits, PLAIN, AllowList([1, 2, 3])).everything()
    assert listing.ids.tolist() == [2, 3]
    assert listing.logits.tolist() == [3, 2]
    assert listing.floor == -inf


def test_equal_logits_are_listed_by_id() -> None:
    logits = np.zeros(5000, np.float32)
    assert Vocabulary(logits, PLAIN, None).above(0).ids.tolist() == list(range(5000))


def test_a_grammar_is_asked_about_few_tokens_and_each_once() -> None:
    logits = row(3, 100_000)
    best = np.argsort(-logits, kind="stable")
    grammar = AllowList(best[500:].tolist())
    vocabulary = Vocabulary(logits, PLAIN, grammar)
    for count in (40, 160, 640):
        vocabulary.top(count, 0.05)
    vocabulary.top(40, 0.05)
    assert len(grammar.asked) == len(set(grammar.asked)) < 5000


def test_the_first_allowed_token_is_found_however_deep() -> None:
    logits = row(1, 5000)
    last = int(np.where(np.isfinite(logits), logits, inf).argmin())
    assert Vocabulary(logits, PLAIN, AllowList([last])).top(1, 0).ids.tolist() == [last]


def test_the_mass_below_is_what_the_listing_lacks() -> None:
    logits = row(2)
    params = SamplingParams(logit_bias={7: 3.0, 8: -inf, 9: 20.0})
    vocabulary = Vocabulary(logits, Penalties(params, []), None)
    listing = vocabulary.top(30, 0)
    scores = processed(logits, params)
    left = [score for token, score in scores.items() if token not in listing.ids]
    mass = np.exp(np.array(left) - listing.logits[0]).sum()
    assert vocabulary.mass_below(listing.floor, listing.logits[0]) == pytest.approx((mass, mass))


def test_a_token_on_the_floor_is_not_below_it() -> None:
    vocabulary = Vocabulary(np.array([0, 1, 2, 1, -1], np.float32), PLAIN, None)
    mass = np.exp(-2.0) + np.exp(-3.0)
    assert vocabulary.mass_below(1, 2) == pytest.approx((mass, mass))
    assert vocabulary.mass_below(-np.inf, 2) == (0, 0)


@pytest.mark.parametrize("size", [3, 5000])
def test_a_listing_of_as_many_as_there_are_has_no_floor(size: int) -> None:
    vocabulary = Vocabulary(np.arange(size, dtype=np.float32), PLAIN, None)
    assert vocabulary.top(size, 0.5).floor == -inf
    assert vocabulary.top(size - 1, 0.5).floor > -inf


def test_a_listing_is_about_as_long_as_was_asked() -> None:
    logits = np.random.default_rng(6).normal(0, 3, 100_000).astype(np.float32)
    for count in (2, 40, 300):
        assert count <= len(Vocabulary(logits, PLAIN, None).top(count, 0).ids) < 2 * count + 8


def test_a_grammar_leaves_the_mass_below_open() -> None:
    vocabulary = Vocabulary(np.zeros(3, np.float32), PLAIN, AllowList([0]))
    assert vocabulary.mass_below(1, 0) == (0, 3)


@pytest.mark.parametrize("wrong", [nan, inf])
@pytest.mark.parametrize("place", [0, 1023, 4095, 4999])
def test_unusable_logits_are_refused_wherever_they_are(wrong: float, place: int) -> None:
    logits = row(0)
    logits[place] = wrong
    with pytest.raises(BackendError, match="unusable"):
        Vocabulary(logits, PLAIN, None)


def test_a_row_of_nothing_is_refused() -> None:
    with pytest.raises(BackendError, match="unusable"):
        Vocabulary(np.full(5000, -inf, np.float32), PLAIN, None)


def test_a_grammar_that_allows_nothing_is_an_error() -> None:
    vocabulary = Vocabulary(row(0), PLAIN, AllowList([]))
    with pytest.raises(BackendError, match="no token may come next"):
        vocabulary.top(40, 0.05)
    with pytest.raises(BackendError, match="no token may come next"):
        vocabulary.everything()


def test_a_bias_beyond_the_vocabulary_is_refused() -> None:
    penalties = Penalties(SamplingParams(logit_bias={10: 1.0}), [])
    with pytest.raises(InvalidInput, match="outside the vocabulary of 10"):
        Vocabulary(np.zeros(10, np.float32), penalties, None)
