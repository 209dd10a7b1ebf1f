"""Bridged contexts over toy models: what they propose, hold, take back and forget."""

from collections.abc import Sequence

import numpy as np
import pytest

from edgespec.bridging.choice import ENOUGH, Bridge, bridge
from edgespec.bridging.context import UNLIKELY
from edgespec.bridging.intersection import IntersectionContext
from edgespec.bridging.retokenizing import RetokenizingContext
from edgespec.bridging.words import CommonWords
from edgespec.errors import Aborted, VocabularyMismatch
from edgespec.protocols import ContextOptions, Logits, Row
from tests.fakes import FakeContext, FakeTokenizer, ToyLanguage


class Letters(FakeTokenizer):
    """Given letters and words, and an end; what they cannot spell is left out of a text."""

    def __init__(self, letters: str, words: Sequence[str] = ()) -> None:
        super().__init__(32)
        self._pieces = [*(text.encode() for text in [*letters, *words]), b"<eog>"]
        self.n_vocab = len(self._pieces)
        self.eos = self.n_vocab - 1
        self._letters = frozenset(letters)

    def encode(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """The longest piece that fits, again and again."""
        known = "".join(letter for letter in text if letter in self._letters)
        return super().encode(known, add_special=False, parse_special=False)


class Alphabet(ToyLanguage):
    """After each letter comes the next; after the last, the end."""

    def __init__(self, letters: str) -> None:
        super().__init__(len(letters) + 1)

    def logits(self, tokens: Sequence[int]) -> Logits:
        """A clear favourite and a second choice."""
        row = np.zeros(self.n_vocab, np.float32)
        row[min(tokens[-1] + 1, self.n_vocab - 1)] = 9
        row[0] += 5
        return row


ALPHABET = "abcdefghijklmnopqrstuvwxyz"
DRAFTER = Letters(ALPHABET)
BACKWARDS = Letters(ALPHABET[::-1])
PAIRED = Letters(ALPHABET[::-1], ["cd", "ef", "ijk"])


def over(kind: type, target: FakeTokenizer, n_ctx: int = 64) -> tuple[FakeContext, Bridge]:
    inner = FakeContext(Alphabet(ALPHABET), ContextOptions(n_ctx=n_ctx, max_outputs=1))
    return inner, Bridge(target, DRAFTER, CommonWords.of(target, DRAFTER), kind)


def spelt(target: FakeTokenizer, text: str) -> list[int]:
    return target.encode(text, add_special=False, parse_special=False)


def proposed(target: FakeTokenizer, logits: Logits) -> bytes:
    return target.piece(int(logits.argmax()), special=True)


def test_common_tokens_get_the_drafters_logits_under_the_targets_ids() -> None:
    inner, made = over(IntersectionContext, PAIRED)
    context = made.over(inner)
    context.decode(spelt(PAIRED, "xab"), 0, outputs=1)
    logits = context.logits(0)
    assert logits.shape == (PAIRED.n_vocab,)
    assert proposed(PAIRED, logits) == b"c"
    by_piece = {PAIRED.piece(token, special=True): float(logits[token]) for token in range(30)}
    assert by_piece[b"c"] == 9
    assert by_piece[b"a"] == 5
    assert by_piece[b"z"] == 0
    assert by_piece[b"cd"] == UNLIKELY
    assert inner.held() == (23, 0, 1)


def test_the_drafters_end_ends_the_targets_answer() -> None:
    for kind in (IntersectionContext, RetokenizingContext):
        inner, made = over(kind, PAIRED)
        context = made.over(inner)
        context.decode(spelt(PAIRED, "z"), 0, outputs=1)
        assert proposed(PAIRED, context.logits(0)) == b"<eog>"


@pytest.mark.parametrize(
    ("before", "expected"), [("a", b"b"), ("b", b"cd"), ("d", b"ef"), ("g", b"h"), ("h", b"ijk")]
)
def test_text_is_cut_into_the_targets_longest_tokens(before: str, expected: bytes) -> None:
    inner, made = over(RetokenizingContext, PAIRED)
    context = made.over(inner)
    context.decode(spelt(PAIRED, before), 0, outputs=1)
    assert proposed(PAIRED, context.logits(0)) == expected


def test_text_written_ahead_serves_the_next_proposals() -> None:
    inner, made = over(RetokenizingContext, PAIRED)
    context = made.over(inner)
    tokens = spelt(PAIRED, "a")
    context.decode(tokens, 0, outputs=1)
    while (piece := proposed(PAIRED, context.logits(0))) != b"<eog>":
        token = spelt(PAIRED, piece.decode())
        context.decode(token, context.length(), outputs=1)
        tokens += token
    assert b"".join(map(PAIRED.piece, tokens)).decode() == ALPHABET
    assert inner.decodes <= len(ALPHABET) + 2


def test_text_that_turns_out_otherwise_is_dropped() -> None:
    inner, made = over(RetokenizingContext, PAIRED)
    context = made.over(inner)
    context.decode(spelt(PAIRED, "ab"), 0, outputs=1)
    context.decode(spelt(PAIRED, "x"), 2, outputs=1)
    assert proposed(PAIRED, context.logits(0)) == b"y"
    assert context.truncate(1)
    context.decode(spelt(PAIRED, "e"), 1, outputs=1)
    assert proposed(PAIRED, context.logits(0)) == b"f"
    context.clear()
    assert context.length() == 0
    context.decode(spelt(PAIRED, "a"), 0, outputs=1)
    assert proposed(PAIRED, context.logits(0)) == b"b"


@pytest.mark.parametrize("kind", [IntersectionContext, RetokenizingContext])
def test_it_goes_on_when_the_drafters_context_is_full(kind: type) -> None:
    inner, made = over(kind, BACKWARDS, n_ctx=16)
    context = made.over(inner)
    text = (ALPHABET[:20] * 5)[:90]
    for place, letter in enumerate(text):
        context.decode(spelt(BACKWARDS, letter), place, outputs=1)
        following = chr(ord(letter) + 1).encode()
        assert proposed(BACKWARDS, context.logits(0)) == following
    assert context.truncate(3)
    context.decode(spelt(BACKWARDS, "h"), 3, outputs=1)
    assert proposed(BACKWARDS, context.logits(0)) == b"i"
    assert inner.held()[:4] == (0, 1, 2, 7)


def test_a_prompt_longer_than_the_drafters_context_is_read_from_its_end() -> None:
    inner, made = over(IntersectionContext, BACKWARDS, n_ctx=16)
    context = made.over(inner)
    context.decode(spelt(BACKWARDS, "abc" * 30), 0, outputs=0)
    context.decode(spelt(BACKWARDS, "k"), 90, outputs=1)
    assert proposed(BACKWARDS, context.logits(0)) == b"l"
    with pytest.raises(IndexError):
        context.logits(1)


def test_rows_come_one_after_the_other() -> None:
    inner, made = over(IntersectionContext, BACKWARDS)
    context = made.over(inner)
    tokens = spelt(BACKWARDS, "ab")
    rows = [Row(token, n, 0, output=n == 1) for n, token in enumerate(tokens)]
    context.decode_rows(rows)
    assert proposed(BACKWARDS, context.logits(0)) == b"c"
    with pytest.raises(ValueError, match="more than one output"):
        context.decode_rows([Row(1, 2, 0, output=True), Row(1, 3, 0, output=True)])
    for position, sequence in ((5, 0), (2, 1)):
        with pytest.raises(ValueError, match=f"position {position} of {sequence}"):
            context.decode([1], position, outputs=1, sequence=sequence)
    with pytest.raises(ValueError, match="sequence 1"):
        context.copy(0, 1, 1)


def test_an_aborted_decode_leaves_what_was_held() -> None:
    inner, made = over(RetokenizingContext, BACKWARDS)
    context = made.over(inner)
    context.decode(spelt(BACKWARDS, "abc"), 0, outputs=1)
    context.abort()
    with pytest.raises(Aborted):
        context.decode(spelt(BACKWARDS, "m"), 3, outputs=1)
    context.resume()
    assert context.length() == 3
    context.decode(spelt(BACKWARDS, "d"), 3, outputs=1)
    assert proposed(BACKWARDS, context.logits(0)) == b"e"
    context.close()
    assert inner.closed


def test_the_bridge_follows_from_the_vocabularies() -> None:
    assert bridge(DRAFTER, Letters(ALPHABET)) is None
    visible = "".join(map(chr, range(32, 127)))
    whole = Letters(visible)
    other = bridge(whole, Letters(visible[::-1]))
    assert other
    assert other.kind is IntersectionContext
    assert "common tokens" in other.note
    # The sample has spaces and punctuation, which letters alone do not cover.
    poor = bridge(whole, Letters("aeiou"))
    assert poor
    assert poor.words.coverage < ENOUGH
    assert poor.kind is RetokenizingContext
    assert "text" in poor.note


def test_vocabularies_with_nothing_in_common_are_refused() -> None:
    with pytest.raises(VocabularyMismatch):
        bridge(Letters("abc"), Unending("xyz"))


class Unending(Letters):
    """Letters whose end no one can match."""

    def __init__(self, letters: str) -> None:
        super().__init__(letters)
        self.eos = None
        self._pieces[-1] = b"another"
