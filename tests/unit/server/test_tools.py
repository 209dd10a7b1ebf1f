import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgespec.batch.fields import Fields
from edgespec.batch.strict_json import Fault
from edgespec.server.tools import Call, Calls, Tools, read_tools

CALL = '<tool_call>\n{"name": "weather", "arguments": {"day": "today"}}\n</tool_call>'
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


def taken_apart(pieces: list[str]) -> tuple[str, list[tuple[str, str]]]:
    calls, text = Calls(), ""
    for piece in pieces:
        text += calls.push(piece)[0]
    return text + calls.finish(), [(call.name, call.arguments) for call in calls.found]


@given(st.lists(st.integers(0, 200)))
def test_calls_are_found_however_the_text_comes(cuts: list[int]) -> None:
    text = f"I look. {CALL}\n{CALL}"
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[a:b] for a, b in pairwise(edges)]
    assert taken_apart(pieces) == ("I look. ", [("weather", '{"day": "today"}')] * 2)


@pytest.mark.parametrize(
    "text",
    ["a < b", "<tool", "<tool_call>{", "<tool_call>no</tool_call>", "<tool_call>[1]</tool_call>."],
)
def test_what_is_no_call_is_text(text: str) -> None:
    assert taken_apart(list(text)) == (text, [])


def test_text_is_told_as_soon_as_it_is_certain() -> None:
    calls = Calls()
    assert calls.push("a <") == ("a ", [])
    assert calls.push("b") == ("<b", [])


def test_every_call_has_a_name_of_its_own() -> None:
    first, second = (call.id for call in _found(CALL + CALL))
    assert first != second


def _found(text: str) -> list[Call]:
    return Calls().push(text)[1]


@pytest.mark.parametrize(
    ("choice", "shown", "forced"),
    [(None, 1, 0), ("auto", 1, 0), ("none", 0, 0), ("required", 1, 1)],
)
def test_the_choice_among_tools(choice: str | None, shown: int, forced: int) -> None:
    tools = read_tools(Fields({"tools": [WEATHER], "tool_choice": choice}))
    assert (len(tools.shown), len(tools.forced)) == (shown, forced)


@pytest.mark.parametrize(
    "data",
    [
        {"tools": [{"type": "web_search"}]},
        {"tools": [{"type": "function"}]},
        {"tools": [{"type": "function", "function": {"name": "a b"}}]},
        {"tools": [WEATHER], "tool_choice": "never"},
        {"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "x"}}},
        {"tool_choice": "required"},
        {"tools": "weather"},
    ],
)
def test_unusable_tools_are_refused(data: dict[str, object]) -> None:
    with pytest.raises(Fault):
        read_tools(Fields(data))


def test_a_forced_call_follows_the_tools_schema() -> None:
    seen: list[object] = []

    def of_schema(schema: str) -> str:
        seen.append(json.loads(schema))
        return 'root ::= "{}"'

    grammar = Tools((WEATHER,), (WEATHER,)).grammar(of_schema)
    assert grammar.splitlines()[0] == 'call ::= "{}"'
    assert '"<tool_call>\\n" call "\\n</tool_call>"' in grammar
    assert "weather" in json.dumps(seen)
