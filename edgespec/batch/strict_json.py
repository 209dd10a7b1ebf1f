"""One line of JSON, read strictly: whatever is wrong with it is told with its column."""

import json
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from math import isinf
from typing import Any

Path = tuple[str | int, ...]
"""The way from the top to a value: keys and indices."""

_SPACE = " \t\n\r"
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str)
"""Finds where a value ends; the value itself does not matter."""
_LONGEST_NUMBER = 64
_DEEPEST = 100


class Fault(Exception):
    """What is wrong with the value at `path`; `column` counts from 1 once it is known."""

    def __init__(self, message: str, path: Path = (), column: int | None = None) -> None:
        super().__init__(message)
        self.message = " ".join(message.split())
        self.path = path
        self.column = column


@dataclass(frozen=True, slots=True)
class _Unusable:
    """Stands where the decoder would let something through that is no JSON."""

    what: str


def decode_line(data: bytes) -> str:
    """The text of a line. Raises Fault where it is not UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        raise Fault("this byte is not UTF-8 text", (), len(before) + 1) from None


def parse_object(text: str) -> dict[str, Any]:
    """The JSON object that `text` is. Raises Fault, with its column, for anything else.

    Python's own reading of JSON is wider than the standard: names that occur twice, NaN, and
    numbers beyond all measure are refused here.
    """
    try:
        value = json.loads(
            text,
            parse_constant=_Unusable,
            parse_int=_integer,
            parse_float=_real,
            object_pairs_hook=_object,
        )
    except json.JSONDecodeError as error:
        raise Fault(error.msg, (), error.pos + 1) from None
    except RecursionError:
        value = _Unusable("it is nested too deeply")
    if found := _unusable(value, ()):
        path, what = found
        raise Fault(what, path, _column_of_last(text, path))
    if not isinstance(value, dict):
        raise Fault("it is no JSON object", (), len(text) - len(text.lstrip(_SPACE)) + 1)
    return value


def column(text: str, path: Path) -> int:
    """The column, from 1, of the value at `path` in JSON that parsed; of its parent if absent."""
    places = dict(_walk(text, _skip(text, 0), ()))
    while path not in places:
        path = path[:-1]
    return places[path] + 1


def _column_of_last(text: str, path: Path) -> int:
    return max(offset for at, offset in _walk(text, _skip(text, 0), ()) if at == path) + 1


def _integer(digits: str) -> int | _Unusable:
    return int(digits) if len(digits) <= _LONGEST_NUMBER else _Unusable("a number of many digits")


def _real(digits: str) -> float | _Unusable:
    value = float(digits)
    return _Unusable(f"{digits[:_LONGEST_NUMBER]} is too large a number") if isinf(value) else value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        found[name] = _Unusable(f"{name!r} occurs twice") if name in found else value
    return found


def _unusable(value: object, path: Path) -> tuple[Path, str] | None:
    """Where the first unusable value stands, and what is wrong with it."""
    if len(path) > _DEEPEST:
        return path, "it is nested too deeply"
    if isinstance(value, _Unusable):
        known = value.what in ("NaN", "Infinity", "-Infinity")
        return path, f"{value.what} is not JSON" if known else value.what
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    inner = ((key, item) for key, item in items if isinstance(item, dict | list | _Unusable))
    return next((found for key, item in inner if (found := _unusable(item, (*path, key)))), None)


def _walk(text: str, at: int, path: Path) -> Generator[tuple[Path, int], None, int]:
    """The offset of every value in `text`, in order; returns where the one at `at` ends.

    Raises Fault where it is nested too deeply to go on.
    """
    if len(path) > _DEEPEST:
        raise Fault("it is nested too deeply", (), at + 1)
    yield path, at
    if text[at] not in "{[":
        return _DECODER.raw_decode(text, at)[1]
    close, index = ("}", None) if text[at] == "{" else ("]", 0)
    at = _skip(text, at + 1)
    while text[at] != close:
        step: str | int
        if index is None:
            step, at = _DECODER.raw_decode(text, at)
            at = _skip(text, _skip(text, at) + 1)
        else:
            step, index = index, index + 1
        at = _skip(text, (yield from _walk(text, at, (*path, step))))
        if text[at] == ",":
            at = _skip(text, at + 1)
    return at + 1


def _skip(text: str, at: int) -> int:
    """The first place from `at` on that is no white space."""
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at
