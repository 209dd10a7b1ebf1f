"""Tasks that wait for room, and which of them is next."""

from edgespec.batch.sequences import Sequences, common
from edgespec.batch.stream import Stream
from edgespec.batch.tasks import Task

_WORTH_WAITING = 16
"""Tokens of a prompt that it pays to wait for until a neighbour has decoded them."""
_PATIENCE = 256
"""Answers that may overtake one that has waited for so long."""


class Queue:
    """Longest expected answer first, so that no long one is left alone at the end.

    What waited long enough, or lost its room, comes before all others.
    """

    def __init__(self, sequences: Sequences) -> None:
        self._sequences = sequences
        self._waiting: list[tuple[int, Stream]] = []
        self._number = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, stream: Stream) -> None:
        """A new task."""
        self._number += 1
        self._waiting.append((self._number, stream))

    def put_back(self, stream: Stream) -> None:
        """One that was under way."""
        self._waiting.append((0, stream))

    def discard(self, task: Task) -> None:
        """Forget a task, if it waits."""
        self._waiting = [entry for entry in self._waiting if entry[1].task is not task]

    def take(self, live: list[Stream]) -> Stream | None:
        """The next one that fits beside those that are live; None if there is none for now."""
        spare = self._sequences.available() - sum(_still_to_come(stream) for stream in live)
        for entry in sorted(self._waiting, key=self._rank):
            stream = entry[1]
            known = self._sequences.beginning(stream.history, stream.layout)
            needs = len(stream.history) - known + min(stream.expected, stream.limit)
            if live and (needs > spare or self._soon_shared(stream, known, live)):
                if entry[0] == 0:
                    return None
                continue
            self._waiting.remove(entry)
            return stream
        return None

    def _rank(self, entry: tuple[int, Stream]) -> tuple[bool, float]:
        number, stream = entry
        if number < self._number - _PATIENCE:
            return False, number
        return True, -stream.expected

    def _soon_shared(self, stream: Stream, known: int, live: list[Stream]) -> bool:
        """Whether a live neighbour is about to decode much of what this one begins with."""
        return any(
            common(other.history, stream.history) >= known + _WORTH_WAITING
            for other in live
            if other.pending > 1
        )


def _still_to_come(stream: Stream) -> float:
    return stream.pending + min(stream.expected, stream.limit)
