"""Which format an input is written in, and how its lines become rows."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import PurePath

from edgespec.batch.native import parse_native, parse_text
from edgespec.batch.openai import parse_openai
from edgespec.batch.rows import Row, Settings
from edgespec.batch.source import Source, open_input, open_source, shown
from edgespec.batch.strict_json import Fault, Path, column, decode_line, parse_object
from edgespec.batch.tables import open_csv, open_parquet, parse_table
from edgespec.errors import InvalidInput

_JSON = {".jsonl", ".ndjson", ".json"}
_TEXT = {".txt", ".text", ".md"}
_LOOK_AT = 100


class FormatName(StrEnum):
    """What a line is."""

    JSONL = "jsonl"
    OPENAI = "openai"
    TEXT = "text"
    CSV = "csv"
    PARQUET = "parquet"


@dataclass(frozen=True, slots=True)
class Format:
    """How lines are read. `id_key` is the member with a row's name.

    `place` says in which column of a line the value at a path stands. `note` is what the user
    should know.
    """

    name: FormatName
    parse: Callable[[str, Settings], Row]
    id_key: str | None
    place: Callable[[str, Path], int] = column
    note: str = ""

    def read(self, data: bytes, settings: Settings) -> Row:
        """The row in a line. Raises Fault, with its column, for what is wrong with it."""
        text = decode_line(data)
        try:
            return self.parse(text, settings)
        except Fault as fault:
            raise self.located(fault, text) from None

    def located(self, fault: Fault, text: str) -> Fault:
        """`fault` with its column in the line `text`, which is not JSON if it is plain text."""
        if fault.column is not None:
            return fault
        place = self.place(text, fault.path) if fault.path else 1
        return Fault(fault.message, fault.path, place)

    def identity(self, data: bytes) -> str | int | None:
        """The row's name, if a line that cannot be used has one."""
        if self.id_key is not None:
            with suppress(Fault):
                value = parse_object(decode_line(data)).get(self.id_key)
                return value if type(value) in (str, int) else None
        return None


FORMATS = {
    FormatName.JSONL: Format(FormatName.JSONL, parse_native, "id"),
    FormatName.OPENAI: Format(FormatName.OPENAI, parse_openai, "custom_id"),
    FormatName.TEXT: Format(FormatName.TEXT, parse_text, None),
}


_TABLES = {".csv": FormatName.CSV, ".tsv": FormatName.CSV, ".parquet": FormatName.PARQUET}


def open_rows(name: str, wanted: FormatName | None) -> tuple[Source, Format]:
    """The input `name` ("-" for stdin), and its format: the one that is wanted, else by its looks.

    Raises InvalidInput if it cannot be read, or is no table although it is called one.
    """
    wanted = wanted or _TABLES.get(PurePath(name).suffix.lower())
    if wanted not in (FormatName.CSV, FormatName.PARQUET):
        source = open_source(name)
        return source, FORMATS[wanted] if wanted else detect(source)
    open_table = open_csv if wanted is FormatName.CSV else open_parquet
    source, columns = open_table(open_input(name), shown(name))
    unused = ", ".join(columns.unused)
    note = f"columns of {shown(name)} that are not used: {unused}" if unused else ""
    return source, Format(wanted, parse_table, "id", columns.place, note)


def detect(source: Source) -> Format:
    """The format of an input, by its name and its first rows.

    Raises InvalidInput for a JSON array, which has no lines to read one by one.
    """
    first = source.first().lstrip()
    suffix = PurePath(source.name).suffix.lower()
    if suffix in _JSON and first.startswith(b"["):
        raise InvalidInput(
            f"{source.name} is a JSON array; a batch has one object per line",
            f"make it so with: jq -c '.[]' {source.name}",
        )
    if suffix in _TEXT or not (suffix in _JSON or first.startswith(b"{")):
        return FORMATS[FormatName.TEXT]
    for row in islice(range(len(source)), _LOOK_AT):
        with suppress(Fault):
            value = parse_object(decode_line(source.read(row)))
            requests = "custom_id" in value or "body" in value
            return FORMATS[FormatName.OPENAI if requests else FormatName.JSONL]
    return FORMATS[FormatName.JSONL]
