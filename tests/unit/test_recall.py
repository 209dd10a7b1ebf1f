"""Texts kept in memory: the one of most use is found, the least recently used make room."""

from hypothesis import given
from hypothesis import strategies as st

from edgespec.recall import WORTH, Kept, Recall
from edgespec.snapshots import Snapshot

LONG = tuple(range(WORTH))


def text(*tokens: int, size: int = 10) -> Kept:
    return Kept(Snapshot(tokens, b"x" * size))


def found(recall: Recall, *prompt: int, held: int = 0) -> Kept | None:
    return recall.find(lambda kept: kept.snapshot.shared(prompt), held)


def test_the_text_that_begins_with_most_of_a_prompt_is_found() -> None:
    recall, short, long = Recall(100), text(*LONG, 7), text(*LONG, 8, 9)
    recall.keep(short)
    recall.keep(long)
    assert found(recall, *LONG, 8, 9, 10) is long
    assert found(recall, *LONG, 7) is short


def test_what_is_held_anyway_counts() -> None:
    recall, kept = Recall(100), text(*LONG, 7)
    recall.keep(kept)
    assert found(recall, *LONG, 7, held=1) is kept
    assert found(recall, *LONG, 7, held=2) is None
    assert found(recall, 5, *LONG) is None


def test_a_longer_text_takes_the_place_of_its_beginning() -> None:
    recall, other, longer = Recall(25), text(*LONG, 1), text(*LONG, 7, 8)
    recall.keep(other)
    recall.keep(text(*LONG, 7))
    recall.keep(longer)
    assert found(recall, *LONG, 7) is longer
    assert found(recall, *LONG, 1) is other
    recall.keep(text(*LONG, 7))
    assert found(recall, *LONG, 7) is longer


def test_the_least_recently_used_makes_room() -> None:
    recall, texts = Recall(30), [text(*LONG, number) for number in range(4)]
    for one in texts[:3]:
        recall.keep(one)
    assert found(recall, *LONG, 0) is texts[0]
    recall.keep(texts[3])
    assert [found(recall, *LONG, n) is texts[n] for n in range(4)] == [True, False, True, True]


def test_what_alone_is_too_large_costs_no_other_its_place() -> None:
    recall, small = Recall(30), text(*LONG, 1)
    recall.keep(small)
    recall.keep(text(*LONG, 2, size=31))
    assert found(recall, *LONG, 2) is small
    assert found(Recall(0), *LONG) is None


@given(
    st.lists(st.tuples(st.lists(st.integers(0, 1), min_size=1, max_size=6), st.integers(0, 40))),
    st.integers(0, 60),
)
def test_there_is_never_more_than_the_limit(texts: list[tuple[list[int], int]], limit: int) -> None:
    recall = Recall(limit)
    for tokens, size in texts:
        recall.keep(text(*tokens, size=size))
        kept = [one.snapshot for one in recall._kept]
        assert sum(one.size for one in kept) <= limit
        known = any(one.tokens[: len(tokens)] == tuple(tokens) for one in kept)
        assert known or size > limit
