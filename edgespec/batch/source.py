"""The input: where each of its rows stands, so that any can be read when its turn comes."""

import os
import shutil
import sys
from array import array
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from edgespec.batch.strict_json import Fault
from edgespec.errors import InvalidInput

MAX_LINE = 64 * 2**20
"""Bytes of the longest line that is read."""

_BOM = b"\xef\xbb\xbf"
_CHUNK = 1 << 20


class Source:
    """The lines of a file that hold anything, called rows and counted from 0.

    Memory grows by a few bytes a row: the text stays in the file, which must not change meanwhile.
    `digest` is the SHA-256 of its `size` bytes. `lines` are the numbers of the rows' lines where
    the file was made of another one.
    """

    def __init__(self, file: IO[bytes], name: str, lines: "array[int] | None" = None) -> None:
        self.name = name
        self._file = file
        self._starts = array("Q")
        self._sizes = array("Q")
        self._lines = array("Q")
        self.size = 0
        self.digest = self._scan()
        self._lines = lines or self._lines
        self._state = self._look()

    def __len__(self) -> int:
        return len(self._starts)

    def line(self, row: int) -> int:
        """The number of the row's line, from 1."""
        return self._lines[row]

    def weight(self, row: int) -> int:
        """Bytes of the row's line."""
        return self._sizes[row]

    def read(self, row: int) -> bytes:
        """The row's line without its end. Raises Fault for one that is too long to be read.

        Raises InvalidInput if the file changed since it was opened.
        """
        if self._look() != self._state:
            raise InvalidInput(
                f"{self.name} changed while it was being answered",
                "bring it back as it was and run the same command again",
            )
        if self._sizes[row] > MAX_LINE:
            raise Fault(f"the line has {self._sizes[row]} bytes; {MAX_LINE} are possible", (), 1)
        self._file.seek(self._starts[row])
        return self._file.read(self._sizes[row])

    def first(self) -> bytes:
        """The first row's line, or nothing."""
        return self.read(0) if len(self) and self._sizes[0] <= MAX_LINE else b""

    def digest_of(self, size: int) -> str:
        """The SHA-256 of the first `size` bytes."""
        self._file.seek(0)
        digest = sha256()
        while size > 0 and (data := self._file.read(min(size, _CHUNK))):
            digest.update(data)
            size -= len(data)
        return digest.hexdigest()

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._file.close()

    def _scan(self) -> str:
        digest, line, continues = sha256(), 0, False
        self._file.seek(0)
        while data := self._file.readline(MAX_LINE):
            digest.update(data)
            if not continues:
                line += 1
                self._note(data, line)
            elif len(self._lines) and self._lines[-1] == line:
                self._sizes[-1] += len(data.rstrip(b"\r\n"))
            continues = not data.endswith(b"\n")
            self.size += len(data)
        return digest.hexdigest()

    def _note(self, data: bytes, line: int) -> None:
        begin = len(_BOM) if self.size == 0 and data.startswith(_BOM) else 0
        if not data[begin:].strip() and len(data) < MAX_LINE:
            return
        self._starts.append(self.size + begin)
        self._sizes.append(len(data[begin:].rstrip(b"\r\n")))
        self._lines.append(line)

    def _look(self) -> tuple[int, int]:
        state = os.fstat(self._file.fileno())
        return state.st_size, state.st_mtime_ns


def open_source(name: str) -> Source:
    """The file `name`, or all of stdin for "-". Raises InvalidInput if it cannot be read."""
    return Source(open_input(name), shown(name))


def open_input(name: str) -> IO[bytes]:
    """As `open_source`, but the file itself, which can be read at any place."""
    if name == "-":
        return _stdin()
    try:
        file = Path(name).open("rb")  # noqa: SIM115 (whoever asked closes it)
        return file if file.seekable() else _spooled(file)
    except OSError as error:
        raise InvalidInput(f"{name} cannot be read: {error.strerror}") from error


def shown(name: str) -> str:
    """What an input is called."""
    return "stdin" if name == "-" else name


def _stdin() -> IO[bytes]:
    if sys.stdin is None:
        raise InvalidInput("there is no stdin to read from")
    return _spooled(sys.stdin.buffer)


def _spooled(stream: IO[bytes]) -> IO[bytes]:
    """A copy of what cannot be read twice."""
    file = TemporaryFile()  # noqa: SIM115 (the source closes it)
    shutil.copyfileobj(stream, file, _CHUNK)
    file.flush()
    file.seek(0)
    return file
