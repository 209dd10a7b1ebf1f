"""The journal: what was begun, and every finished row, in the order in which they finished.

A line per record: the CRC-32 of what follows it, then a JSON header, or a row's fields and its
output line. The output file is a function of the journal, so the journal is what has to be durable.
"""

import json
import os
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Self
from zlib import crc32

from edgespec.batch.storage import AppendFile, sync_folder
from edgespec.errors import EdgespecError, InvalidInput

SUFFIX = ".journal"
_FORMAT = 1
_ABSENT = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Record:
    """One finished row: the CRC-32 of its input line, the tokens emitted, and its output line."""

    row: int
    line_crc: int
    tokens: int
    failed: bool
    payload: bytes

    def encode(self) -> bytes:
        """The line in the journal."""
        body = b"%d %08x %d %d %b\n" % (
            self.row,
            self.line_crc,
            self.tokens,
            self.failed,
            self.payload,
        )
        return b"%08x %b" % (crc32(body), body)

    @classmethod
    def decode(cls, line: bytes) -> Self | None:
        """The record in a line of the journal; None if that is torn or damaged."""
        body = line[9:]
        try:
            whole = line[8:9] == b" " and line.endswith(b"\n")
            if not whole or int(line[:8], 16) != crc32(body):
                return None
            row, line_crc, tokens, failed, payload = body[:-1].split(b" ", 4)
            return cls(int(row), int(line_crc, 16), int(tokens), failed == b"1", payload)
        except ValueError:
            return None


class Journal:
    """The journal at `path`, locked. `header` is what it was begun with, None for a new one."""

    def __init__(self, path: Path) -> None:
        self._file = AppendFile(path)
        self._places = array("Q")
        try:
            self._file.lock()
            self.header, self._begin = self._read_header()
        except BaseException:
            self._file.close()
            raise

    @property
    def path(self) -> Path:
        """Its file."""
        return self._file.path

    def begin(self, header: Mapping[str, Any]) -> None:
        """Start a new journal; durable when this returns."""
        self._file.truncate(0)
        self._file.append(_header_line({"format": _FORMAT, **header}))
        self._file.sync()
        sync_folder(self.path.absolute().parent)
        self.header, self._begin = dict(header), self._file.size

    def scan(self, rows: int) -> "Scan":
        """Read all records, of `rows` rows at most, and drop a torn one at the end."""
        scan = Scan()
        self._places = array("Q", [_ABSENT]) * rows
        at = end = 0
        for line in self._file.lines():
            record = Record.decode(line) if at >= self._begin else None
            if at < self._begin or record:
                end = at + len(line)
            if record and record.row < rows:
                self._places[record.row] = at
                scan.add(record)
            at += len(line)
        self._file.truncate(end)
        return scan

    def records(self) -> Iterator[Record]:
        """All records, in the order in which they were added."""
        records = map(Record.decode, islice(self._file.lines(), 1, None))
        return (record for record in records if record)

    def append(self, record: Record) -> None:
        """Add a finished row."""
        self._places[record.row] = self._file.append(record.encode())

    def holds(self, row: int) -> bool:
        """Whether the row is finished."""
        return self._places[row] != _ABSENT

    def read(self, row: int) -> Record:
        """The record of a finished row. Raises EdgespecError if it cannot be read any more."""
        place, size = self._places[row], 1 << 12
        data = self._file.read(place, size)
        while b"\n" not in data and len(data) == size:
            size *= 8
            data = self._file.read(place, size)
        record = Record.decode(data[: data.find(b"\n") + 1])
        if record is None or record.row != row:
            raise EdgespecError(f"{self.path} was changed by somebody else, or the disk failed")
        return record

    def sync(self) -> None:
        """Make what was appended durable."""
        self._file.sync()

    def finish(self, facts: Mapping[str, Any]) -> None:
        """All rows are in a durable output: keep the header and `facts` about that, no rows."""
        assert self.header is not None
        header = _header_line({"format": _FORMAT, **self.header, "complete": dict(facts)})
        temporary = AppendFile(self.path.with_name(self.path.name + ".new"))
        try:
            temporary.truncate(0)
            temporary.append(header)
            temporary.sync()
        finally:
            temporary.close()
        os.replace(temporary.path, self.path)
        sync_folder(self.path.absolute().parent)

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        self._file.close()

    def _read_header(self) -> tuple[dict[str, Any] | None, int]:
        """The header and where the records begin; a torn header was the first thing written."""
        line = next(self._file.lines(), b"")
        if not line.endswith(b"\n"):
            return None, 0
        try:
            if int(line[:8], 16) != crc32(line[9:]):
                raise ValueError
            header = json.loads(line[9:])
            if header.pop("format") != _FORMAT:
                raise ValueError
        except (ValueError, KeyError, AttributeError):
            raise InvalidInput(
                f"{self.path} is no journal of this edgespec", "move it away, or use another -o"
            ) from None
        return header, len(line)


@dataclass(slots=True)
class Scan:
    """What a journal holds: rows, how many of them failed, and tokens."""

    rows: int = 0
    failed: int = 0
    tokens: int = 0

    def add(self, record: Record) -> None:
        """Count a record."""
        self.rows += 1
        self.failed += record.failed
        self.tokens += record.tokens


def _header_line(header: Mapping[str, Any]) -> bytes:
    body = json.dumps(header).encode() + b"\n"
    return b"%08x %b" % (crc32(body), body)
