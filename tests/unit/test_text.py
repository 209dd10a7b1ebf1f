"""Text that is certain: whole characters only, nothing of a stop string, however tokens are cut."""

import itertools
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgespec.text import TextStream
from tests.oracle import cut_at_stop

FEW_LETTERS = st.text(alphabet="abé€😀", max_size=12)
STOPS = st.lists(st.text(alphabet="abé€😀", min_size=1, max_size=4), max_size=3)


def pieces(tokens: Sequence[bytes], stop: Sequence[str] = ()) -> list[str]:
    stream = TextStream(stop)
    return [*(stream.push(token) for token in tokens), stream.finish()]


def splits(data: bytes) -> Iterator[list[bytes]]:
    """Every way of cutting `data` into tokens."""
    for cuts in itertools.product((False, True), repeat=max(len(data) - 1, 0)):
        edges = [0, *(at for at, cut in enumerate(cuts, 1) if cut), len(data)]
        yield [data[a:b] for a, b in itertools.pairwise(edges)]


@st.composite
def tokens_of(draw: st.DrawFn, data: st.SearchStrategy[bytes]) -> list[bytes]:
    whole = draw(data)
    cuts = draw(st.lists(st.integers(0, len(whole)), max_size=10))
    edges = [0, *sorted(cuts), len(whole)]
    return [whole[a:b] for a, b in itertools.pairwise(edges)]


@pytest.mark.parametrize("text", ["é", "€", "😀", "aé", "😀é", "é€a"])
def test_a_character_appears_with_its_last_byte_and_never_before(text: str) -> None:
    for tokens in splits(text.encode()):
        stream, sent = TextStream(), b""
        for token in tokens:
            sent += token
            whole = sent.decode("utf-8", "ignore")
            assert stream.push(token) == whole[len(sent[: -len(token)].decode("utf-8", "ignore")) :]
        assert stream.finish() == ""


@pytest.mark.parametrize("missing", [1, 2, 3])
def test_an_incomplete_character_at_the_end_is_replaced(missing: int) -> None:
    assert pieces([b"a", "😀".encode()[:-missing]]) == ["a", "", "\ufffd"]


def test_a_broken_byte_is_replaced_and_the_rest_kept() -> None:
    assert "".join(pieces([b"a\xff", b"\xc3", b"b"])) == "a\ufffd\ufffdb"


@pytest.mark.parametrize("stop", ["\n", "</end>", "é€", "aab"])
def test_a_stop_string_is_found_however_it_is_cut(stop: str) -> None:
    data = f"aa{stop}b".encode()
    expected = cut_at_stop(data.decode(), [stop])
    for tokens in splits(data):
        assert "".join(pieces(tokens, [stop])) == expected


@pytest.mark.parametrize(
    ("text", "stop", "expected"),
    [
        ("xabcd", ["abcd", "bc"], "xa"),
        ("xabcd", ["abc", "bc"], "x"),
        ("xabcd", ["ab", "abcd"], "x"),
        ("xabcd", ["abcd", "abce"], "x"),
        ("aaab", ["aab"], "a"),
        ("ababac", ["abac"], "ab"),
        ("xabc", ["abcd", "bcd", "cd"], "xabc"),
        ("ab", ["", "abc"], "ab"),
        ("a\ufffdb", ["\ufffd"], "a"),
    ],
)
def test_the_stop_string_that_is_complete_first_ends_the_text(
    text: str, stop: list[str], expected: str
) -> None:
    for tokens in splits(text.encode()):
        assert "".join(pieces(tokens, stop)) == expected, tokens


def test_what_may_become_a_stop_string_is_held_and_nothing_else() -> None:
    stream = TextStream(["stop", "!"])
    assert [stream.push(token) for token in (b"a", b"s", b"to", b"st", b"o", b"s")] == [
        *("a", "", ""),
        *("sto", "", "sto"),
    ]
    assert not stream.stopped
    assert stream.finish() == "s"


def test_nothing_follows_a_stop_string() -> None:
    stream = TextStream(["b"])
    assert stream.push(b"abc") == "a"
    assert stream.stopped
    assert stream.push(b"de") == ""
    assert stream.finish() == ""


def test_a_stop_string_can_be_completed_by_the_replacement_of_a_broken_character() -> None:
    stream = TextStream(["\ufffd"])
    assert stream.push(b"a\xe2\x82") == "a"
    assert stream.finish() == ""
    assert stream.stopped


@given(tokens=tokens_of(FEW_LETTERS.map(str.encode) | st.binary(max_size=12)), stop=STOPS)
@example(tokens=[b"aba"], stop=["aba", "b"])
@example(tokens=[b"a", b"ba"], stop=["aba", "b"])
def test_the_pieces_are_the_decoded_text_cut_at_the_first_stop_string(
    tokens: list[bytes], stop: list[str]
) -> None:
    text = b"".join(tokens).decode("utf-8", "replace")
    assert "".join(pieces(tokens, stop)) == cut_at_stop(text, stop)


@given(tokens=tokens_of(FEW_LETTERS.map(str.encode)), stop=STOPS)
def test_a_piece_is_certain_as_soon_as_it_can_be(tokens: list[bytes], stop: list[str]) -> None:
    stream, sent, shown = TextStream(stop), b"", ""
    for token in tokens:
        sent += token
        shown += stream.push(token)
        text = sent.decode("utf-8", "ignore")
        cut = cut_at_stop(text, stop)
        assert cut.startswith(shown)
        assert stream.stopped == (cut != text)
        if not stream.stopped:
            held = cut[len(shown) :]
            assert held == "" or any(s.startswith(held) and s != held for s in stop)
