"""The target's tokens in the drafter's spelling."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgespec.bridging.respelling import Respelling
from edgespec.protocols import Tokenizer
from tests.fakes import FakeTokenizer

TARGET = FakeTokenizer(32)


class Letters(FakeTokenizer):
    """One token per byte, the last but one begins and the last ends; text cannot be broken."""

    def __init__(self, *, opens: bool = False) -> None:
        super().__init__(32)
        self._pieces = [*(bytes([byte]) for byte in range(256)), b"<begin>", b"<end>"]
        self.n_vocab = 258
        self.bos, self.eos = 256, 257
        self._opens = opens

    def encode(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """The bytes of `text`."""
        return [*[256][: self._opens and add_special], *text.encode()]

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """The byte."""
        return b"" if token > 255 and not special else self._pieces[token]


class Spaced(Letters):
    """Puts a space before every text, as SentencePiece does."""

    def encode(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """A space, and the bytes of `text`."""
        return [32, *text.encode()]


def respelling(drafter: Tokenizer, controls: dict[int, int] | None = None) -> Respelling:
    table = {drafter.piece(token): token for token in range(256)}
    return Respelling(TARGET, drafter, table, controls or {})


def text(tokens: Sequence[int]) -> bytes:
    return b"".join(map(TARGET.piece, tokens))


histories = st.lists(st.integers(0, 30), max_size=80)


@pytest.mark.parametrize("drafter", [Letters(), Spaced()])
@given(history=histories, other=histories)
def test_any_tokens_keep_their_text_whatever_was_asked_before(
    drafter: Letters, history: list[int], other: list[int]
) -> None:
    spelt = respelling(drafter)
    for tokens in (history, other, history[: len(history) // 2], history):
        assert bytes(spelt.ids(tokens)) == text(tokens)


def test_broken_characters_are_spelt_byte_by_byte() -> None:
    spelt = respelling(Letters())
    assert spelt.spell(b"a\xe2\x82") == [97, 0xE2, 0x82]
    assert spelt.spell("a€b".encode()[1:]) == [0xE2, 0x82, 0xAC, 98]
    assert spelt.spell(b"\xac\xffb") == [0xAC, 0xFF, 98]
    assert spelt.spell(b"") == []


def test_what_cannot_be_spelt_is_left_out() -> None:
    spelt = Respelling(TARGET, Spaced(), {b"a": 97, b"ab": 200}, {})
    assert spelt.spell(b"xabay") == [200, 97]


def test_control_tokens_are_mapped_or_left_out() -> None:
    end = TARGET.n_vocab - 1
    assert respelling(Letters(), {end: 257}).ids([0, end, 1]) == [97, 257, 98]
    assert respelling(Letters()).ids([0, end, 1]) == [97, 98]


def test_the_drafters_opening_comes_first_and_once() -> None:
    begin = TARGET.n_vocab - 1
    opening = Letters(opens=True)
    assert respelling(opening, {begin: 256}).ids([]) == [256]
    assert respelling(opening, {begin: 256}).ids([begin, 0]) == [256, 97]
    assert respelling(opening, {begin: 257}).ids([begin, 0]) == [256, 257, 97]
    assert respelling(opening, {begin: 256}).ids([0, begin]) == [256, 97, 256]
    assert respelling(Letters(), {begin: 256}).ids([begin, 0]) == [256, 97]
