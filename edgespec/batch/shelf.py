"""Where what was decoded of an answer waits while it has no room, so that it is not done again."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from tempfile import TemporaryFile
from time import perf_counter
from typing import IO

from edgespec.batch.stream import Stream
from edgespec.batch.tasks import Task
from edgespec.protocols import Saving


@dataclass(frozen=True, slots=True)
class _Kept:
    file: IO[bytes]
    tokens: int


class Shelf:
    """Files without a name, which are gone with the process.

    A file is written if that is faster than to decode its tokens again, by what writing took so
    far. What cannot be written or read is decoded again.
    """

    def __init__(self, context: Saving, clock: Callable[[], float] = perf_counter) -> None:
        self._context = context
        self._clock = clock
        self._kept: dict[Stream, _Kept] = {}
        self._seconds_a_byte = 0.0

    def put(self, stream: Stream, again: float) -> None:
        """Keep what the context holds of an answer; decoding it again would take so long."""
        assert stream.slot is not None
        size = self._context.state_size(stream.slot.sequence)
        if 2 * size * self._seconds_a_byte > again:
            return
        begin = self._clock()
        with suppress(OSError):
            file = TemporaryFile()  # noqa: SIM115 (`take` closes it)
            self._kept[stream] = _Kept(file, stream.decoded)
            file.write(self._context.save(stream.slot.sequence))
            file.flush()
            self._seconds_a_byte = (self._clock() - begin) / size
            return
        self.take(stream)

    def tokens(self, stream: Stream) -> int:
        """How many tokens of an answer are kept."""
        kept = self._kept.get(stream)
        return kept.tokens if kept else 0

    def drop(self, task: Task) -> None:
        """The task is given up."""
        for stream in [stream for stream in self._kept if stream.task is task]:
            self._kept.pop(stream).file.close()

    def take(self, stream: Stream) -> bytes:
        """What was kept of an answer, once; nothing if it cannot be read."""
        kept = self._kept.pop(stream, None)
        if kept is None:
            return b""
        with kept.file, suppress(OSError):
            kept.file.seek(0)
            return kept.file.read()
        return b""
