"""Lines of JSON: everything wrong is found, and at the right column."""

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgespec.batch.strict_json import Fault, Path, column, decode_line, parse_object

NUMBERS = st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
NAMES = st.text(max_size=4)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(max_size=6), VALUES, max_size=5)


def fault(line: str | bytes) -> Fault:
    with pytest.raises(Fault) as caught:
        parse_object(decode_line(line.encode() if isinstance(line, str) else line))
    return caught.value


def paths(value: Any, path: Path = ()) -> list[Path]:
    if not isinstance(value, dict | list):
        return [path]
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return [path, *(found for key, inner in items for found in paths(inner, (*path, key)))]


@given(OBJECTS, st.booleans())
def test_what_json_can_say_is_read_as_it_is(value: dict[str, Any], ascii_only: bool) -> None:
    line = json.dumps(value, ensure_ascii=ascii_only)
    assert parse_object(line) == value


@given(OBJECTS, st.sampled_from([None, 2]), st.text(" \t", max_size=3))
def test_the_column_of_every_value_is_found(
    value: dict[str, Any], indent: int | None, before: str
) -> None:
    text = before + json.dumps(value, indent=indent)
    for path in paths(value):
        at = column(text, path) - 1
        found = value
        for step in path:
            found = found[step]  # type: ignore[index]
        assert json.JSONDecoder().raw_decode(text, at)[0] == found


def test_a_value_that_is_absent_is_where_its_parent_is() -> None:
    assert column('{"a": {"b": 1}}', ("a", "c")) == 7


@pytest.mark.parametrize(
    ("line", "at", "message"),
    [
        ("", 1, "Expecting value"),
        ("nonsense", 1, "Expecting value"),
        ('{"a": 1', 8, "Expecting ',' delimiter"),
        ('{"a": 1}}', 9, "Extra data"),
        ('{"a": "x}', 7, "Unterminated string"),
        ('{"a": NaN}', 7, "NaN is not JSON"),
        ('{"a": [1, -Infinity]}', 11, "-Infinity is not JSON"),
        ('{"a": 1e999}', 7, "too large"),
        ('{"a": ' + "9" * 5000 + "}", 7, "many digits"),
        ('{"a": 1, "b": 2, "a": 3}', 23, "'a' occurs twice"),
        ('  ["a"]', 3, "no JSON object"),
        ('"a"', 1, "no JSON object"),
        ('{"a": "é\x01"}', 9, "control character"),
        (b'{"a": "\xc3\xa9\xff"}', 9, "not UTF-8"),
        ('{"a":' + "[" * 101 + "]" * 101 + "}", 106, "nested too deeply"),
        ('{"a":' + "[" * 99999 + "]" * 99999 + "}", 106, "nested too deeply"),
    ],
)
def test_what_is_wrong_is_told_with_its_column(line: str | bytes, at: int, message: str) -> None:
    found = fault(line)
    assert message in found.message
    assert found.column == at


def test_no_damage_to_a_line_goes_unnoticed_or_does_any() -> None:
    random = Random(3)
    good = json.dumps({"prompt": "Wörter 😀", "stop": ["a", "b"], "n": 3, "x": {"y": [1, 2.5]}})
    for _ in range(3000):
        data = bytearray(good.encode())
        for _ in range(random.choice((1, 1, 2, 5))):
            at = random.randrange(len(data))
            match random.randrange(3):
                case 0:
                    data[at] = random.randrange(256)
                case 1:
                    del data[at]
                case _:
                    data.insert(at, random.choice(b'{}[]",:\\ \x00\xff0eE-'))
        found: Fault | None = None
        try:
            value = parse_object(decode_line(bytes(data)))
        except Fault as fault:
            found = fault
        if found is None:
            assert value == json.loads(bytes(data))
        else:
            assert found.column is not None
            assert 1 <= found.column <= len(data) + 1
