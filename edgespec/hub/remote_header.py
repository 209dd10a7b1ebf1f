"""The GGUF header of a model that is still on the Hub, by a few requests for its beginning."""

from pathlib import Path, PurePosixPath
from threading import Event

from edgespec.gguf_header import GgufHeader, read_parts
from edgespec.hub.client import Hub
from edgespec.hub.part import part_path
from edgespec.hub.quants import RemoteModel
from edgespec.hub.stream import Source

_FIRST, _LARGEST = 1 << 18, 1 << 22
"""Bytes of the blocks that are asked for, each twice as large as the one before."""


class RemoteBytes:
    """A file on the Hub, read forward, by few requests and without fetching much in vain.

    Bytes that an earlier pull left in the file `part` are not fetched again.
    """

    def __init__(self, hub: Hub, source: Source, part: Path, stop: Event) -> None:
        self._hub = hub
        self._source = source
        self._part = part
        self._stop = stop
        self._at = 0
        self._block = _FIRST
        self._ahead = b""

    def read(self, size: int, /) -> bytes:
        """The next `size` bytes, fewer only at the end."""
        missing = size - len(self._ahead)
        if missing > 0 and self._at < self._source.size:
            self._ahead += self._more(missing)
        data, self._ahead = self._ahead[:size], self._ahead[size:]
        return data

    def _more(self, missing: int) -> bytes:
        """The next `missing` bytes at least, or all up to the end."""
        more = self._left(missing)
        if len(more) < min(missing, self._source.size - self._at):
            start, length = self._at + len(more), max(missing - len(more), self._block)
            more += self._hub.read(self._source, start, length, self._stop)
            self._block = min(2 * self._block, _LARGEST)
        self._at += len(more)
        return more

    def _left(self, size: int) -> bytes:
        """What the part has of the next `size` bytes."""
        try:
            with self._part.open("rb") as file:
                file.seek(self._at)
                return file.read(size)
        except OSError:
            return b""


def read_remote_header(hub: Hub, model: RemoteModel, models: Path, stop: Event) -> GgufHeader:
    """What `model` says about itself; its paths are those in the repository.

    What a pull to the folder `models` left is used.

    Raises ModelFileError if it would not load, and what Hub raises.
    """
    parts = []
    for file in model.files:
        source = hub.source(model.repository, model.commit, file)
        part = part_path(models, file.sha256)
        path = Path(PurePosixPath(model.repository, file.path))
        parts.append((path, RemoteBytes(hub, source, part, stop), file.size))
    return read_parts(parts)
