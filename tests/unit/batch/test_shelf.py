"""What an answer that lost its room left on the disk."""

import errno
import tempfile
from typing import IO

import pytest

from edgespec.batch import shelf as shelf_module
from edgespec.batch.sequences import Slot
from edgespec.batch.shelf import Shelf
from edgespec.batch.stream import Stream
from tests.unit.batch.test_seats import stream


class Context:
    """Saves a sequence as so many bytes; each byte takes a second of `now`."""

    def __init__(self) -> None:
        self.now = 0.0

    def state_size(self, sequence: int = 0) -> int:
        """As many bytes as its number."""
        return sequence

    def save(self, sequence: int = 0) -> bytes:
        """Takes its time."""
        self.now += sequence
        return b"x" * sequence

    def load(self, state: bytes, length: int, *, sequence: int = 0) -> bool:
        """Not here."""
        raise NotImplementedError


def live(size: int) -> Stream:
    made = stream([1, 2, 3])
    made.slot = Slot(size, [1, 2])
    return made


def made() -> Shelf:
    context = Context()
    return Shelf(context, lambda: context.now)


def test_what_was_put_there_can_be_taken_once() -> None:
    shelf, one = made(), live(7)
    shelf.put(one, again=100.0)
    assert shelf.tokens(one) == 2
    assert [shelf.take(one), shelf.take(one)] == [b"x" * 7, b""]
    assert shelf.tokens(one) == 0


def test_what_is_decoded_again_faster_is_not_written() -> None:
    shelf = made()
    first, slow, worth_it = live(5), live(5), live(5)
    shelf.put(first, again=1.0)  # How long it takes is not known yet.
    shelf.put(slow, again=9.0)
    shelf.put(worth_it, again=11.0)
    assert [shelf.tokens(one) for one in (first, slow, worth_it)] == [2, 0, 2]
    shelf.drop(first.task)
    shelf.drop(worth_it.task)


def test_a_full_disk_means_to_decode_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> IO[bytes]:
        file = tempfile.TemporaryFile()  # noqa: SIM115 (the shelf closes it)

        def write(data: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(file, "write", write, raising=False)
        return file

    monkeypatch.setattr(shelf_module, "TemporaryFile", full)
    shelf, one = made(), live(5)
    shelf.put(one, again=100.0)
    assert (shelf.tokens(one), shelf.take(one)) == (0, b"")
