"""Reads a models.toml: which pairs have a name, and what is known of them.

Every mistake is an InvalidInput that names the file, the line and the key.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from edgespec.errors import InvalidInput
from edgespec.hub.names import PREFIX, parse

_KEYS = {"default": str, "pairs": dict}
_NEEDED = {"description": str, "licence": str, "target": str}
_OPTIONAL = {
    "drafter": str,
    "context": int,
    "parameters": float,
    "active": float,
    "size": float,
    "tokenizer": str,
    "hybrid": bool,
    "quants": list,
    "sidecars": list,
    "notes": str,
}
_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
_NAMES |= {list: "a list of texts", dict: "a table"}


@dataclass(frozen=True, slots=True)
class Record:
    """A pair as a file has it.

    `target` and `drafter` are models of the Hub ("hf:...") or paths, `folder` is where relative
    paths begin. `parameters` and, where only some of them work on a token, `active` are in 10^9;
    `quants` are some that the target's repository has, `size` is the target's in the first of them
    in 10^9 bytes, `context` is in tokens. `hybrid` models have recurrent layers, `sidecars` are
    kinds of draft heads that are published with them.
    What is not known is empty or 0.
    """

    name: str
    description: str
    licence: str
    target: str
    folder: Path
    drafter: str = ""
    context: int = 0
    parameters: float = 0.0
    active: float = 0.0
    size: float = 0.0
    tokenizer: str = ""
    hybrid: bool = False
    quants: tuple[str, ...] = ()
    sidecars: tuple[str, ...] = ()
    notes: str = ""


@dataclass(frozen=True, slots=True)
class CatalogFile:
    """The pairs of a file in its order, and the default that it names, if any."""

    path: Path
    default: str
    records: Mapping[str, Record] = field(default_factory=dict)


def read(path: Path, folder: Path, *, outside: bool) -> CatalogFile:
    """The pairs in the file at `path`, whose relative paths begin at `folder`.

    Only if `outside`, they may lead out of there. Raises InvalidInput.
    """
    try:
        text = path.read_text(encoding="utf-8")
        table = tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}", "mend it or remove it") from error
    file = _File(path, folder, text, outside)
    return CatalogFile(path, *file.read(table))


class _File:
    """One file while it is checked."""

    def __init__(self, path: Path, folder: Path, text: str, outside: bool) -> None:
        self._path = path
        self._folder = folder
        self._lines = text.splitlines()
        self._outside = outside

    def read(self, table: dict[str, Any]) -> tuple[str, dict[str, Record]]:
        self._check(table, {}, _KEYS, "")
        pairs = table.get("pairs", {})
        return table.get("default", ""), {name: self._pair(name, pairs[name]) for name in pairs}

    def _pair(self, name: str, table: object) -> Record:
        where = f"pairs.{name}"
        if not isinstance(table, dict):
            raise self._error(where, "is not a table")
        self._check(table, _NEEDED, _OPTIONAL, where)
        for key in ("target", "drafter"):
            if key in table:
                self._check_place(f"{where}.{key}", table[key])
        values = dict(table)
        for key, value in table.items():
            if isinstance(value, list):
                values[key] = tuple(value)
                if not all(isinstance(text, str) for text in value):
                    raise self._error(f"{where}.{key}", f"is not {_NAMES[list]}")
        return Record(name, folder=self._folder, **values)

    def _check(
        self,
        table: Mapping[str, object],
        needed: Mapping[str, type],
        optional: Mapping[str, type],
        where: str,
    ) -> None:
        """Raise InvalidInput unless `table` has the keys it may have, each of its type."""
        kinds = {**needed, **optional}
        prefix = f"{where}." if where else ""
        for key, value in table.items():
            if key not in kinds:
                near = get_close_matches(key, kinds, 1)
                hint = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(kinds)}"
                raise self._error(prefix + key, "is not a known key", hint)
            whole = kinds[key] is float and type(value) is int
            if type(value) is not kinds[key] and not whole:
                raise self._error(prefix + key, f"is not {_NAMES[kinds[key]]}")
            if isinstance(value, int | float) and value < 0:
                raise self._error(prefix + key, "is negative")
        for key in needed:
            if key not in table:
                raise self._error(where, f"lacks the key {key}")

    def _check_place(self, key: str, text: str) -> None:
        """Whether `text` is a model of the Hub, or a file that may be named here."""
        if text.startswith(PREFIX):
            try:
                parse(text)
            except InvalidInput as error:
                raise self._error(key, f"is not usable: {error}") from error
            return
        path = Path(text)
        if path.suffix not in (".gguf", ".onnx"):
            raise self._error(key, "is neither a model of the Hub nor a .gguf or .onnx file")
        if not self._outside and (path.is_absolute() or ".." in path.parts):
            raise self._error(key, "is not a .gguf file inside the package")

    def _error(self, key: str, what: str, hint: str = "") -> InvalidInput:
        line = self._line(key)
        place = f"{self._path}, line {line}" if line else f"{self._path}"
        return InvalidInput(f"{place}: {key} {what}", hint)

    def _line(self, key: str) -> int:
        """Where `key` stands, or the table that it belongs to; 0 if it is not spelt out."""
        table, _, last = key.rpartition(".") if key.count(".") > 1 else ("", "", key)
        begin = self._find(re.compile(rf"\s*\[\s*{_spelt(table or last)}\s*\]"), 0)
        if not table and begin:
            return begin
        assignment = re.compile(rf"\s*{_spelt(last.rpartition('.')[2])}\s*=")
        return self._find(assignment, begin) or begin

    def _find(self, pattern: re.Pattern[str], after: int) -> int:
        lines = enumerate(self._lines[after:], after + 1)
        return next((number for number, line in lines if pattern.match(line)), 0)


def _spelt(key: str) -> str:
    """A pattern for a dotted key, whose parts may be quoted and, as names, hold dots themselves."""
    head, _, name = key.partition(".")
    name = name or head
    quoted = rf"""(?:"{re.escape(name)}"|'{re.escape(name)}'|{re.escape(name)})"""
    return quoted if name == head else rf"{re.escape(head)}\s*\.\s*{quoted}"
