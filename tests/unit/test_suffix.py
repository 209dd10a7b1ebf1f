"""Suffix match against a search that looks at every earlier place."""

from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgespec.sources.suffix import SuffixMatch

LONGEST, LOOKED_AT = 32, 16


def propose(source: SuffixMatch, history: Sequence[int], count: int) -> list[int]:
    return [candidate.token for candidate in source.propose(history, count)]


def common_suffix(a: Sequence[int], b: Sequence[int]) -> int:
    length = 0
    while length < min(len(a), len(b), LONGEST) and a[-1 - length] == b[-1 - length]:
        length += 1
    return length


def longest_match(history: Sequence[int], count: int, min_match: int) -> list[int]:
    """What followed the longest earlier occurrence of the end, the latest of equally long ones.

    A match counts up to LONGEST tokens, and the LOOKED_AT latest places are enough.
    """
    lengths = {end: common_suffix(history[:end], history) for end in range(1, len(history))}
    places = [end for end, length in lengths.items() if length >= min_match][-LOOKED_AT:]
    if not places:
        return []
    best = max(places, key=lambda end: (lengths[end], end))
    copied = list(history)
    for offset in range(count):
        copied.append(copied[best + offset])
    return copied[len(history) :]


@given(
    history=st.lists(st.integers(0, 2), min_size=1, max_size=120),
    count=st.integers(1, 16),
    min_match=st.integers(1, 6),
)
@example(history=[0] * 60, count=3, min_match=4)
@example(history=[0, 1] * 30, count=3, min_match=4)
@example(history=[*range(40), 50, *range(30, 40), 51, *range(40)], count=3, min_match=4)
def test_a_proposal_is_what_followed_the_longest_match(
    history: list[int], count: int, min_match: int
) -> None:
    proposed = propose(SuffixMatch(min_match), history, count)
    assert proposed == longest_match(history, count, min_match)


@given(
    texts=st.lists(
        st.tuples(st.integers(0, 40), st.lists(st.integers(0, 2), max_size=25)),
        min_size=1,
        max_size=8,
    )
)
def test_an_index_that_grows_or_starts_again_equals_a_new_one(
    texts: list[tuple[int, list[int]]],
) -> None:
    source, history = SuffixMatch(), [0]
    for kept, new in texts:
        history = [*history[: max(kept, 1)], *new]
        assert propose(source, history, 8) == longest_match(history, 8, 4)


@pytest.mark.parametrize("count", [1, 3])
def test_a_repeated_phrase_is_continued(count: int) -> None:
    history = [9, 1, 2, 3, 4, 5, 6, 7, 1, 2, 3, 4]
    assert propose(SuffixMatch(), history, count) == [5, 6, 7][:count]


def test_nothing_is_proposed_without_a_match() -> None:
    assert propose(SuffixMatch(), range(100), 4) == []
    assert propose(SuffixMatch(), [1, 2, 3], 4) == []
