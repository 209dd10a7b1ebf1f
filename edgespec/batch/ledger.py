"""What is finished: first in the journal, then in the output, and how a batch is taken up again."""

import shlex
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any
from zlib import crc32

from edgespec.batch.journal import SUFFIX, Journal, Record, Scan
from edgespec.batch.output import Order, Output, Sink, require_new
from edgespec.batch.source import Source
from edgespec.batch.storage import AppendFile
from edgespec.batch.strict_json import Fault
from edgespec.errors import InvalidInput

SYNC_EVERY = 1.0
"""Seconds of finished rows that a power cut can cost; they are answered again."""


class Ledger:
    """The finished rows of one batch.

    A row is written to the journal, then to the output. The journal is made durable once a second
    while rows finish, and at the end; then the output is, and the journal shrinks to a header.
    """

    def __init__(
        self,
        journal: Journal,
        output: Output | None,
        file: AppendFile | None,
        found: Scan,
    ) -> None:
        assert journal.header is not None
        self.header = journal.header
        """What it was begun with; "complete" if it is finished and knows of no single row."""
        self._journal = journal
        self._output = output
        self._file = file
        self.found = found
        """What is finished so far."""
        self._synced = monotonic()

    @property
    def complete(self) -> bool:
        """True if all rows were finished in an earlier run."""
        return "complete" in self.header

    def holds(self, row: int) -> bool:
        """Whether the row is finished."""
        return self._journal.holds(row)

    def add(self, record: Record) -> None:
        """A row is finished. Raises EdgespecError if it cannot be written, which loses nothing."""
        self._journal.append(record)
        self.found.add(record)
        if (now := monotonic()) - self._synced >= SYNC_EVERY:
            self._journal.sync()
            self._synced = now
        assert self._output is not None
        self._output.add(record)

    def sync(self) -> None:
        """Make everything so far durable."""
        self._journal.sync()

    def finish(self) -> None:
        """All rows are finished."""
        self._journal.sync()
        if self._file is not None:
            self._file.sync()
            self._journal.finish({**asdict(self.found), "size": self._file.size})


def open_stream(sink: Sink, rows: int, order: Order, stack: ExitStack) -> Ledger:
    """A ledger whose output cannot be taken up again, as stdout."""
    folder = Path(stack.enter_context(TemporaryDirectory(prefix="edgespec-")))
    journal = Journal(folder / f"rows{SUFFIX}")
    stack.callback(journal.close)
    journal.begin({})
    found = journal.scan(rows)
    return Ledger(journal, Output(sink, journal, rows, order), None, found)


def open_file(
    path: Path,
    source: Source,
    settings: Mapping[str, Any],
    order: Order,
    stack: ExitStack,
    free: Collection[str] = (),
) -> Ledger:
    """The ledger of the output at `path`, begun or taken up again.

    `settings` is all that answers depend on but for the rows, by the names of the options; what is
    `free` may differ. Raises InvalidInput if the batch was begun with other settings or rows, or
    if its files were changed.
    """
    require_new(path)
    journal = Journal(path.with_name(path.name + SUFFIX))
    stack.callback(journal.close)
    if journal.header is None:
        facts = {"name": source.name, "size": source.size, "rows": len(source)}
        journal.begin({"input": {**facts, "digest": source.digest}, "settings": dict(settings)})
    assert journal.header is not None
    bound = {name: value for name, value in settings.items() if name not in free}
    _require_same_settings(path, journal.header["settings"], bound)
    _require_same_input(path, journal, source)
    if done := journal.header.get("complete"):
        _require_complete(path, done["size"])
        return Ledger(journal, None, None, Scan(done["rows"], done["failed"], done["tokens"]))
    found = journal.scan(len(source))
    file = AppendFile(path)
    stack.callback(file.close)
    output = Output(file, journal, len(source), order)
    output.recover(file)
    return Ledger(journal, output, file, found)


def _require_same_settings(path: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    for name in now:
        if before.get(name) != now[name]:
            was, is_ = (_shown(settings.get(name)) for settings in (before, now))
            raise InvalidInput(
                f"{path} was begun with another --{name.replace('_', '-')}: {was}, not {is_}",
                "use what it was begun with, or another -o",
            )


def _require_same_input(path: Path, journal: Journal, source: Source) -> None:
    assert journal.header is not None
    before = journal.header["input"]
    if before["digest"] == source.digest:
        return
    hint = "bring back the input as it was, or use another -o"
    if source.size > before["size"] and source.digest_of(before["size"]) == before["digest"]:
        added = len(source) - before["rows"]
        raise InvalidInput(
            f"{source.name} has grown by {added} rows since {path} was begun",
            f"put the new rows into a file of their own, or {hint}",
        )
    what = f"{source.name} changed since {path} was begun: {_change(journal, source)}"
    raise InvalidInput(what, hint)


def _require_complete(path: Path, expected: int) -> None:
    size = path.stat().st_size if path.is_file() else -1
    if size != expected:
        what = "was changed" if size >= 0 else "is gone"
        journal = path.with_name(path.name + SUFFIX)
        raise InvalidInput(
            f"{path} was finished before, and {what} since",
            f"to answer everything again, remove it: rm {shlex.quote(str(journal))}",
        )


def _change(journal: Journal, source: Source) -> str:
    """The first answered row whose line is another one now."""
    changed = [
        source.line(record.row)
        for record in journal.records()
        if record.row < len(source) and record.line_crc != line_crc(source, record.row)
    ]
    if changed:
        return f"line {min(changed)} is answered already and is another one now"
    before = journal.header["input"]["rows"] if journal.header else 0
    if len(source) != before:
        return f"it had {before} rows, now it has {len(source)}"
    return "the lines that are answered already are the same, others are not"


def line_crc(source: Source, row: int) -> int:
    """The CRC-32 of a row's line; 0 for one that is too long to be read."""
    try:
        return crc32(source.read(row))
    except Fault:
        return 0


def _shown(value: object) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
