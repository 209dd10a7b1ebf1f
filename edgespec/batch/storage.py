"""A file that grows by whole records: appended entirely or not at all, and by one process."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edgespec.errors import EdgespecError, InvalidInput

_ADVICE = "make it possible, then run the same command again: it goes on where it stopped"


class AppendFile:
    """Made if it does not exist. Raises EdgespecError for whatever the system refuses.

    A write that fails halfway, as on a full disk, is taken back: the file ends as it did before.
    Only a kill in the middle of one can leave half a record, which `truncate` removes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._synced = True
        with self._explained("opened"):
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        self._closed = False
        with self._explained("read"):
            self.size = os.fstat(self._fd).st_size

    def lock(self) -> None:
        """Keep other processes away until the file is closed. Raises InvalidInput if one is there.

        The system drops the lock with the process, however that ends.
        """
        if sys.platform == "win32":
            return
        import fcntl

        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InvalidInput(
                f"{self.path} is in use by another edgespec batch", "wait for it, or stop it"
            ) from None
        except OSError:
            return  # Some network file systems have no locks.

    def append(self, data: bytes) -> int:
        """Add `data` at the end; where it begins."""
        begin, done = self.size, 0
        with self._explained("written"):
            try:
                while done < len(data):
                    done += os.pwrite(self._fd, data[done:], begin + done)
            except BaseException:
                with suppress(OSError):
                    os.ftruncate(self._fd, begin)
                raise
        self.size = begin + done
        self._synced = False
        return begin

    def read(self, begin: int, size: int) -> bytes:
        """Up to `size` bytes from `begin` on."""
        parts = []
        try:  # Not `_explained`: it takes a quarter of the time in which a batch is taken up.
            while size > 0 and (part := os.pread(self._fd, size, begin)):
                parts.append(part)
                begin, size = begin + len(part), size - len(part)
        except OSError as error:
            raise self._refused("read", error) from error
        return b"".join(parts)

    def lines(self) -> Iterator[bytes]:
        """All lines with their ends, the last one perhaps without."""
        with self._explained("read"), os.fdopen(os.dup(self._fd), "rb") as file:
            file.seek(0)
            yield from file

    def truncate(self, size: int) -> None:
        """Keep the first `size` bytes."""
        if size < self.size:
            with self._explained("written"):
                os.ftruncate(self._fd, size)
            self.size = size
            self._synced = False

    def sync(self) -> None:
        """Return when all that was appended would survive a power cut."""
        if not self._synced:
            with self._explained("written"):
                os.fsync(self._fd)
            self._synced = True

    def close(self) -> None:
        """Close it, which drops the lock. Idempotent."""
        if not self._closed:
            self._closed = True
            os.close(self._fd)

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._refused(what, error) from error

    def _refused(self, what: str, error: OSError) -> EdgespecError:
        return EdgespecError(f"{self.path} cannot be {what}: {error.strerror}", _ADVICE)


def sync_folder(folder: Path) -> None:
    """Let a file's being there survive a power cut, too."""
    with suppress(OSError):  # Windows has no such thing.
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
