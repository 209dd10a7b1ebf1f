from collections.abc import Callable

import pytest

from edgespec.cli.plain.lines import Typed, read_message


def keyboard(*lines: str) -> Callable[[str], str]:
    rest = iter(lines)

    def read_line(_label: str) -> str:
        try:
            return next(rest)
        except StopIteration:
            raise EOFError from None

    return read_line


@pytest.mark.parametrize(
    ("lines", "typed"),
    [
        (["  hello  "], Typed("hello")),
        ([""], Typed("")),
        (["one \\", "two\\", "three"], Typed("one \ntwo\nthree")),
        (["one\\"], Typed("one")),
        (['"""one"""'], Typed("one", block=True)),
        (['"""', "  one", "", 'two"""'], Typed("  one\n\ntwo", block=True)),
        (['"""one', "two", '"""  '], Typed("one\ntwo", block=True)),
        (['"""', "/exit", '"""'], Typed("/exit", block=True)),
        (['"""one', "two"], Typed("one\ntwo", block=True)),
        (['""""""'], Typed("", block=True)),
    ],
)
def test_a_message(lines: list[str], typed: Typed) -> None:
    assert read_message(keyboard(*lines), "User: ") == typed


def test_the_end_of_input_is_no_message() -> None:
    with pytest.raises(EOFError):
        read_message(keyboard(), "User: ")


def test_messages_follow_each_other() -> None:
    read_line = keyboard("one\\", "two", "three")
    assert read_message(read_line, "") == Typed("one\ntwo")
    assert read_message(read_line, "") == Typed("three")
