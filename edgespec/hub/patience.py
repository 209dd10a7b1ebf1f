"""How long edgespec puts up with a network that fails, and the failures that are worth a wait."""

from dataclasses import dataclass, replace
from threading import Event

from edgespec.errors import Cancelled, DownloadFailed

_PROGRESS = 1 << 16
"""Bytes that make an attempt count as one that brought the file forward."""


class Transient(Exception):
    """Something that may go well the next time; `wait` is what the server asked for, in seconds.

    The text is what happened: "the connection was cut".
    """

    def __init__(self, what: str, wait: float | None = None) -> None:
        super().__init__(what)
        self.wait = wait


class Changed(Exception):
    """The server has another file there than it had said before."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Times in seconds.

    After `tries` failures in a row it is over; the waits between them double from `first_wait` to
    `longest_wait`. A server may ask for up to `longest_asked`. A connection that is silent for
    `silence`, or brings less than 1 KiB/s over that time, has failed.
    """

    tries: int = 8
    first_wait: float = 1.0
    longest_wait: float = 30.0
    longest_asked: float = 300.0
    silence: float = 10.0

    def short(self) -> "Patience":
        """For what a person waits for, before anything was fetched."""
        return replace(self, tries=min(self.tries, 3))


class Attempts:
    """The failures in a row of one task, which is to get `what`."""

    def __init__(self, what: str, patience: Patience, stop: Event) -> None:
        self._what = what
        self._patience = patience
        self._stop = stop
        self._failures = 0

    def brought(self, size: int) -> None:
        """The last attempt fetched `size` bytes before it failed."""
        if size >= _PROGRESS:
            self._failures = 0

    def next_wait(self, failure: Transient) -> float:
        """Seconds until the next attempt. Raises DownloadFailed if there shall be none."""
        self._failures += 1
        patience = self._patience
        if failure.wait is not None and failure.wait > patience.longest_asked:
            asked = f"asks to wait for {failure.wait:.0f} seconds"
            raise DownloadFailed(f"{self._what}: {failure} and {asked}", _LATER) from failure
        if self._failures >= patience.tries:
            times = f"{self._failures} times in a row"
            raise DownloadFailed(f"{self._what}: {failure}, {times}", _LATER) from failure
        usual = min(patience.first_wait * 2 ** (self._failures - 1), patience.longest_wait)
        return usual if failure.wait is None else max(failure.wait, patience.first_wait)

    def sleep(self, seconds: float) -> None:
        """Wait for the next attempt. Raises Cancelled if told to stop."""
        if self._stop.wait(seconds):
            raise Cancelled("stopped", KEPT)


KEPT = "what was fetched is kept, and the same command goes on from there"
_LATER = f"try again later: {KEPT}"
