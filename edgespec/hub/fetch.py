"""Gets one file whole: under a lock, from where the last attempt ended, until it is verified."""

import errno
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from time import monotonic

from filelock import FileLock, Timeout

from edgespec.errors import Cancelled, DownloadFailed
from edgespec.hub.client import Hub, RemoteFile
from edgespec.hub.part import Part, lock_path
from edgespec.hub.patience import KEPT, Attempts, Changed, Transient
from edgespec.hub.progress import State
from edgespec.hub.stream import Source, Span, opened

OnState = Callable[[State, int, str], None]
"""Told the state, the bytes that are here, and why it waits."""

_POLL = 0.2
_INTERVAL = 0.1
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True, slots=True)
class Job:
    """A file to get from `repository` at `commit`; only the verified file will be at `target`.

    `model` names what it is part of.
    """

    model: str
    repository: str
    commit: str
    file: RemoteFile
    target: Path


class Fetch:
    """Does one job, with the folder `models` around its target and room for what is half done."""

    def __init__(
        self,
        hub: Hub,
        source: Source,
        job: Job,
        models: Path,
        on_state: OnState,
        stop: Event,
    ) -> None:
        self._hub = hub
        self._source = source
        self._file = job.file
        self._models = models
        self._target = job.target
        self._on_state = on_state
        self._stop = stop
        self._told = 0.0

    def run(self) -> None:
        """Return when the file is there.

        Raises DownloadFailed or ModelUnavailable if it cannot be had, Cancelled if told to stop.
        """
        try:
            self._run()
        except OSError as error:
            raise self._cannot_write(error) from error
        self._on_state(State.DONE, self._file.size, "")

    def _run(self) -> None:
        lock = lock_path(self._models, self._file.sha256)
        lock.parent.mkdir(parents=True, exist_ok=True)
        with self._locked(FileLock(lock)):
            if self._target.is_file():
                return
            with Part(self._models, self._file) as part:
                part.recover(lambda done: self._tell(State.CHECKING, done))
                self._complete(part)
                part.finish(self._target)

    def _locked(self, lock: FileLock) -> FileLock:
        while True:
            try:
                lock.acquire(timeout=0)
            except Timeout:
                self._on_state(State.WAITING, 0, "another edgespec is fetching it")
                if self._stop.wait(_POLL):
                    raise Cancelled("stopped", KEPT) from None
            else:
                return lock

    def _complete(self, part: Part) -> None:
        attempts = Attempts(self._source.what, self._hub.patience, self._stop)
        while part.size < self._file.size:
            before = part.size
            self._on_state(State.FETCHING, part.size, "")
            try:
                self._more(part)
                if part.size < self._file.size:
                    raise Transient("the connection was cut")
            except Transient as failure:
                attempts.brought(part.size - before)
                wait = attempts.next_wait(failure)
                self._on_state(State.WAITING, part.size, f"{failure}; next try in {wait:.0f} s")
                attempts.sleep(wait)
            except Changed as change:
                raise DownloadFailed(
                    f"{self._source.what} is not what the Hub announced: it changed meanwhile",
                    "pull it again to get the new one",
                ) from change

    def _more(self, part: Part) -> None:
        span = Span(part.size, self._file.size)
        with opened(self._source, span, self._hub.patience.silence) as pieces:
            for piece in pieces:
                part.append(piece)
                self._tell(State.FETCHING, part.size)

    def _tell(self, state: State, done: int) -> None:
        """Report now and then, and stop if told to."""
        if self._stop.is_set():
            raise Cancelled("stopped", KEPT)
        now = monotonic()
        if now - self._told >= _INTERVAL:
            self._told = now
            self._on_state(state, done, "")

    def _cannot_write(self, error: OSError) -> DownloadFailed:
        if error.errno in _FULL:
            return DownloadFailed(
                f"there is no room for {self._source.what} in {self._models}: {error.strerror}",
                f"free some and pull it again; {KEPT}",
            )
        reason = error.strerror or error
        return DownloadFailed(f"{self._source.what} cannot be kept in {self._models}: {reason}")
