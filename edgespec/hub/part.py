"""A file on its way: the bytes that are here already, under the checksum that it shall have.

The checksum is in the name, so bytes of two versions of a file can never be mixed, and a process
that died left nothing behind but a shorter way to go.
"""

import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Self

from edgespec.errors import DownloadFailed
from edgespec.hub.client import RemoteFile

FOLDER = ".partial"
"""Inside the folder of models, so that a finished file need only be renamed."""

_CHUNK = 1 << 20


def part_path(models: Path, digest: str) -> Path:
    """Where the bytes of the file with this checksum are gathered."""
    return models / FOLDER / f"{digest}.part"


def lock_path(models: Path, digest: str) -> Path:
    """What a process holds while it fetches the file with this checksum."""
    return models / FOLDER / f"{digest}.lock"


class Part:
    """Grows by `append`, and becomes the file by `finish`. Only one process may have it open.

    Failures to write are OSErrors; what was written before stays.
    """

    def __init__(self, models: Path, file: RemoteFile) -> None:
        self._path = part_path(models, file.sha256)
        self._file = file
        self._digest = sha256()
        self.size = 0
        """Bytes that are here."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
        self._handle = os.open(self._path, flags, 0o666)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def recover(self, on_progress: Callable[[int], None]) -> None:
        """Take up what an earlier process left; `on_progress` is told the bytes read so far."""
        if os.fstat(self._handle).st_size > self._file.size:
            os.ftruncate(self._handle, 0)
        while chunk := os.read(self._handle, _CHUNK):
            self._digest.update(chunk)
            self.size += len(chunk)
            on_progress(self.size)

    def append(self, data: bytes) -> None:
        """Add the next bytes. They are in the system's hands before this returns."""
        view = memoryview(data)
        while view:
            written = os.write(self._handle, view)
            self._digest.update(view[:written])
            self.size += written
            view = view[written:]

    def finish(self, target: Path) -> None:
        """Give the complete file its name. Raises DownloadFailed if it is not what it should be."""
        found = self._digest.hexdigest()
        if found != self._file.sha256:
            self.__exit__(None, None, None)
            self._path.unlink()
            raise DownloadFailed(
                f"{self._file.path} arrived damaged (SHA-256 {found[:12]}…, not "
                f"{self._file.sha256[:12]}…) and was removed",
                "fetch it again",
            )
        os.fsync(self._handle)
        self.__exit__(None, None, None)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(self._path, target)
        _sync(target.parent)


def _sync(folder: Path) -> None:
    """Have the folder's new entry survive a loss of power, where folders can be synced."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
