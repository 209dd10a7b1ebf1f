"""Who computes first: an answer that somebody waits for goes before a batch of another process."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout

from edgespec import paths

_POLL = 0.001
"""Seconds until a claim is tried again that a batch is just looking at."""


def folder() -> Path:
    """Where claims are; a home may be shared by machines, a processor is not."""
    return paths.cache_dir() / "claims" / platform.node()


@contextmanager
def claimed() -> Iterator[None]:
    """In here, batches on this machine rest.

    A claim is a locked file: the system unlocks it when its process ends, however it ends. Where
    none can be made, nothing is claimed.
    """
    lock = FileLock(folder() / f"{uuid4().hex}.lock", thread_local=False)
    with suppress(OSError):
        folder().mkdir(parents=True, exist_ok=True)
        lock.acquire(poll_interval=_POLL)
    try:
        yield
    finally:
        lock.release()
        _remove(Path(lock.lock_file))


def is_claimed() -> bool:
    """Whether some process on this machine has a claim; what dead ones left is cleared away."""
    try:
        files = [entry.path for entry in os.scandir(folder())]
    except OSError:
        return False
    return any(map(_is_locked, files))


def _is_locked(file: str) -> bool:
    lock = FileLock(file, blocking=False)
    try:
        lock.acquire()
    except Timeout:
        return True
    except OSError:
        return False
    _remove(Path(file))
    lock.release()
    return False


def _remove(file: Path) -> None:
    with suppress(OSError):
        file.unlink(missing_ok=True)
