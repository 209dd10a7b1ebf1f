"""Which tokens two vocabularies have in common."""

from edgespec.bridging.words import CommonWords
from tests.fakes import FakeTokenizer


class Vocabulary(FakeTokenizer):
    """Given pieces; those in angle brackets are control tokens, `eos` and `bos` among them."""

    def __init__(self, *pieces: bytes, eos: int | None = None, bos: int | None = None) -> None:
        super().__init__(32)
        self._pieces = list(pieces)
        self.n_vocab = len(pieces)
        self.eos, self.bos = eos, bos

    def encode(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """Letter by letter, as far as they are known."""
        known = {piece: token for token, piece in enumerate(self._pieces)}
        letters = (known.get(letter.encode()) for letter in text)
        return [letter for letter in letters if letter is not None]

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """The bytes of one token."""
        piece = self._pieces[token]
        return b"" if len(piece) > 1 and piece[:1] == b"<" and not special else piece


def pairs(words: CommonWords) -> set[tuple[int, int]]:
    return set(zip(words.target.tolist(), words.drafter.tolist(), strict=True))


def test_tokens_are_matched_by_their_bytes() -> None:
    target = Vocabulary(b"a", b"b", b"ab", b"\xe2\x82", b"only here")
    drafter = Vocabulary(b"\xe2\x82", b"ab", b"x", b"a", b"b")
    words = CommonWords.of(target, drafter)
    assert pairs(words) == {(0, 3), (1, 4), (2, 1), (3, 0)}
    assert words.pieces == {b"\xe2\x82": 0, b"ab": 1, b"x": 2, b"a": 3, b"b": 4}


def test_of_equal_pieces_the_drafters_first_is_used_for_all_of_the_targets() -> None:
    words = CommonWords.of(Vocabulary(b"a", b"a"), Vocabulary(b"x", b"a", b"a"))
    assert pairs(words) == {(0, 1), (1, 1)}


def test_control_tokens_are_matched_by_spelling_then_by_purpose() -> None:
    target = Vocabulary(b"a", b"<user>", b"<end>", b"<begin>", b"<other>", eos=2, bos=3)
    drafter = Vocabulary(b"</s>", b"<s>", b"<user>", b"a", eos=0, bos=1)
    words = CommonWords.of(target, drafter)
    assert words.controls == {1: 2, 2: 0, 3: 1}
    assert pairs(words) == {(0, 3), (1, 2), (2, 0), (3, 1)}


def test_a_drafter_without_an_end_matches_none() -> None:
    words = CommonWords.of(Vocabulary(b"a", b"<end>", eos=1), Vocabulary(b"a"))
    assert words.controls == {}


def test_text_is_no_control_token() -> None:
    words = CommonWords.of(Vocabulary(b"<user>"), Vocabulary(b"user"))
    assert pairs(words) == set()


def test_coverage_is_the_share_of_the_targets_tokens() -> None:
    letters = [bytes([letter]) for letter in range(32, 127)]
    whole = CommonWords.of(Vocabulary(*letters), Vocabulary(*letters))
    without = CommonWords.of(Vocabulary(*letters), Vocabulary(*letters[1:]))
    nothing = CommonWords.of(Vocabulary(*letters), Vocabulary(b"xyz"))
    assert whole.coverage == 1
    assert 0.6 < without.coverage < 0.95  # No spaces.
    assert nothing.coverage == 0
