"""The output: one line per finished row, in the input's order or as rows finish."""

from collections.abc import Iterator
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from edgespec.batch.journal import SUFFIX, Journal, Record
from edgespec.batch.storage import AppendFile
from edgespec.errors import InvalidInput


class Order(StrEnum):
    """In which order rows are written."""

    INPUT = "input"
    COMPLETED = "completed"


class Sink(Protocol):
    """Where the lines go."""

    def append(self, data: bytes) -> object:
        """Add whole lines."""


class Output:
    """Lines in a sink, always a function of the journal, which must hold a row before it."""

    def __init__(self, sink: Sink, journal: Journal, rows: int, order: Order) -> None:
        self._sink = sink
        self._journal = journal
        self._rows = rows
        self._order = order
        self._next = 0

    def add(self, record: Record) -> None:
        """Write what can be written now that the journal holds `record` as well."""
        if self._order is Order.COMPLETED:
            self._sink.append(record.payload + b"\n")
            return
        while self._next < self._rows and self._journal.holds(self._next):
            own = self._next == record.row
            payload = record.payload if own else self._journal.read(self._next).payload
            self._next += 1
            self._sink.append(payload + b"\n")

    def recover(self, file: AppendFile) -> None:
        """Make `file`, the sink, hold exactly what the journal says.

        A torn line at its end, or what a power cut left of it, is written again. Raises
        InvalidInput if somebody else changed it.
        """
        at = 0
        for payload in self._written():
            line = payload + b"\n"
            if at < file.size:
                found = file.read(at, len(line))
                if found != line:
                    _require_remains(file, at, found, line)
                    file.truncate(at)
            if at >= file.size:
                file.append(line)
            at += len(line)
        if file.size > at:
            raise _changed(file.path)

    def _written(self) -> Iterator[bytes]:
        """The lines that should be there."""
        if self._order is Order.COMPLETED:
            yield from (record.payload for record in self._journal.records())
            return
        while self._next < self._rows and self._journal.holds(self._next):
            self._next += 1
            yield self._journal.read(self._next - 1).payload


def _require_remains(file: AppendFile, at: int, found: bytes, line: bytes) -> None:
    """What a crash leaves: the beginning of the line, then nothing but zeros, to the end."""
    text = found.rstrip(b"\0")
    if not line.startswith(text) or (len(found) == len(line) and len(text) == len(line)):
        raise _changed(file.path)
    rest = file.size - at - len(found)
    if rest > 0 and file.read(at + len(found), min(rest, 1 << 20)).strip(b"\0"):
        raise _changed(file.path)


def _changed(path: Path) -> InvalidInput:
    return InvalidInput(
        f"{path} was changed since edgespec wrote it",
        "move it away and run the same command again: it is written anew from its journal",
    )


def require_new(path: Path) -> None:
    """Raise InvalidInput if there is an output at `path` that no journal belongs to."""
    journal = path.with_name(path.name + SUFFIX)
    with suppress(FileNotFoundError):
        if path.stat().st_size and not (journal.is_file() and journal.stat().st_size):
            raise InvalidInput(
                f"{path} exists and there is no {journal.name} to go on from",
                "move it away, or use another -o",
            )
