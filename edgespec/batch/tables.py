"""Tables as inputs: CSV and Parquet, whose columns are called like the members of a JSON row.

Their rows are written once, as lines of JSON, into a temporary file, so that all that follows is
as it is for any other input.
"""

import csv
import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from tempfile import TemporaryFile
from typing import IO, Any

from edgespec.batch.native import MEMBERS, parse_native
from edgespec.batch.rows import Row, Settings
from edgespec.batch.source import MAX_LINE, Source
from edgespec.batch.strict_json import Fault, Path
from edgespec.errors import BackendUnavailable, InvalidInput

_PLAIN = {"id", "prompt", "system", "grammar"}
_NESTED = {"messages", "logit_bias", "json_schema", "stop"}
_DELIMITERS = ",;\t"

_Cells = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a table, in its order; `unused` are those that mean nothing here."""

    names: Sequence[str]

    @property
    def unused(self) -> list[str]:
        """Columns that no row has a member for."""
        return [name for name in self.names if name not in MEMBERS]

    def place(self, text: str, path: Path) -> int:
        """The number of the column, from 1, that `path` begins with."""
        return self.names.index(path[0]) + 1 if path and path[0] in self.names else 1


def open_csv(file: IO[bytes], name: str) -> tuple[Source, Columns]:
    """The rows of a CSV file and its columns. Raises InvalidInput for one without a prompt."""
    with TextIOWrapper(file, "utf-8-sig", "surrogateescape", newline="") as text:
        header = text.readline()
        found = [next(csv.reader([header], delimiter=mark), []) for mark in _DELIMITERS]
        names = max(found, key=lambda one: ("prompt" in one or "messages" in one, len(one)))
        columns = _checked(names, name)
        csv.field_size_limit(MAX_LINE)
        reader = csv.reader(text, delimiter=_DELIMITERS[found.index(names)], strict=True)
        return _spooled(_csv_rows(reader, names), name), columns


def open_parquet(file: IO[bytes], name: str) -> tuple[Source, Columns]:
    """The rows of a Parquet file and its columns. Raises InvalidInput and BackendUnavailable."""
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise BackendUnavailable(
            f"Parquet needs pyarrow: {error}", 'pip install "edgespec[table]"'
        ) from error
    try:
        with file, ParquetFile(file) as table:
            columns = _checked(table.schema_arrow.names, name)
            used = [column for column in columns.names if column not in columns.unused]
            batches = table.iter_batches(columns=used)
            rows = (row for batch in batches for row in batch.to_pylist())
            return _spooled(enumerate(rows, 1), name), columns
    except (ArrowException, OSError) as error:
        raise InvalidInput(f"{name} cannot be read as Parquet: {error}") from error


def parse_table(line: str, settings: Settings) -> Row:
    """The row of a spooled line. Raises Fault for whatever is wrong with it."""
    if line.startswith("["):
        column, message = json.loads(line)
        raise Fault(message, (), column)
    return parse_native(line, settings)


def _checked(names: Sequence[str], name: str) -> Columns:
    if not {"prompt", "messages"} & set(names):
        shown = ", ".join(names) or "none"
        raise InvalidInput(f"{name} has no column called prompt or messages; it has {shown[:200]}")
    twice = next((one for one in names if names.count(one) > 1 and one in MEMBERS), None)
    if twice is not None:
        raise InvalidInput(f"{name} has two columns called {twice}")
    return Columns(names)


def _spooled(rows: Iterable[tuple[int, _Cells | list[Any]]], name: str) -> Source:
    file = TemporaryFile()  # noqa: SIM115 (the source closes it)
    lines = array("Q")
    for line, row in rows:
        lines.append(line)
        file.write(json.dumps(row, default=str).encode() + b"\n")
    file.flush()
    return Source(file, name, lines)


def _csv_rows(reader: Any, names: Sequence[str]) -> Iterator[tuple[int, _Cells | list[Any]]]:
    """Each row with its first line; what is wrong with one is a list of column and message."""
    while True:
        line = reader.line_num + 2  # The header was read before.
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield line, [1, f"this is not CSV: {error}"]
            continue
        if cells is None:
            return
        if cells:
            yield line, _row(cells, names)


def _row(cells: Sequence[str], names: Sequence[str]) -> _Cells | list[Any]:
    if len(cells) != len(names):
        column = min(len(cells), len(names)) + 1
        return [column, f"the row has {len(cells)} cells, the first line has {len(names)}"]
    for column, cell in enumerate(cells, 1):
        if any("\udc80" <= letter <= "\udcff" for letter in cell):
            return [column, "this is not UTF-8 text"]
    used = ((key, cell) for key, cell in zip(names, cells, strict=True) if key in MEMBERS)
    return {key: _value(key, cell) for key, cell in used}


def _value(name: str, cell: str) -> Any:
    """What a cell means; one that is not what its column needs stays text, and is refused later."""
    if not cell or name in _PLAIN:
        return cell or None
    if name in _NESTED and not cell.lstrip().startswith(("{", "[")):
        return cell
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return cell
