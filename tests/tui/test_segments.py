from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from edgespec_tui.segments import Segmenter, segments

KINDS = ("text\n", "\n", "```\n", "```python\n", "~~~\n", "````\n", "  ~~~~ x\n", "a ``` b\n")
RUNS = st.tuples(st.sampled_from(KINDS), st.integers(1, 90))
LINES = st.lists(RUNS, max_size=12).map(lambda runs: [line for line, n in runs for _ in range(n)])


def test_a_short_text_is_one_segment() -> None:
    assert segments("one\n\ntwo\n") == ["one\n\ntwo\n"]
    assert segments("") == [""]


def test_a_long_text_is_cut_between_paragraphs() -> None:
    text = "line\nline\n\n" * 100
    parts = segments(text)
    assert "".join(parts) == text
    assert [part.count("\n") for part in parts] == [32, *[30] * 8, 28]
    assert all(part.startswith("\n") for part in parts[1:])


def test_a_long_fence_is_closed_and_opened_again() -> None:
    first, second, third = segments("```python\n" + "x = 1\n" * 250 + "```\nafter\n")
    assert first == "```python\n" + "x = 1\n" * 119 + "```\n"
    assert second == "```python\n" + "x = 1\n" * 120 + "```\n"
    assert third == "```python\n" + "x = 1\n" * 11 + "```\nafter\n"


def code_lines(text: str) -> int:
    return sum(
        token.content.count("\n") for token in MarkdownIt().parse(text) if token.type == "fence"
    )


@given(LINES)
def test_a_cut_changes_nothing_about_what_is_code(lines: list[str]) -> None:
    parts = segments("".join(lines))
    assert sum(map(code_lines, parts)) == code_lines("".join(lines))


@given(LINES, st.lists(st.integers(1, 40), min_size=1))
def test_growing_bit_by_bit_gives_the_same_segments(lines: list[str], sizes: list[int]) -> None:
    segmenter = Segmenter()
    grown = [""]
    at = 0
    while at < len(lines):
        for size in sizes:
            here, *further = segmenter.push(lines[at : at + size])
            grown[-1] += here
            grown += further
            at += size
    assert grown == segments("".join(lines))


@given(LINES)
def test_segments_are_bounded(lines: list[str]) -> None:
    assert all(part.count("\n") <= 123 for part in segments("".join(lines)))
