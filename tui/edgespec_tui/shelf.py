"""The models one can choose: their size, and whether they fit."""

from dataclasses import dataclass

from edgespec.catalog import Entry, entries
from edgespec.errors import EdgespecError

_CONTEXT = 8192
_GIB = 2**30


@dataclass(frozen=True, slots=True)
class Offer:
    """A pair; `fits` tells whether the memory that is free now has room for it, if known."""

    name: str
    description: str
    size: int
    fits: bool | None


def offers() -> list[Offer]:
    """All pairs of the catalogue. Reads the files' headers, which can take a moment."""
    return [Offer(entry.name, entry.description, entry.size, _fits(entry)) for entry in entries()]


def _fits(entry: Entry) -> bool | None:
    """Whether the pair fits the memory that is free now; None if nobody can tell."""
    # Not at the top: numpy and its friends would delay the first picture.
    from edgespec import memory
    from edgespec.gguf_header import read_header

    try:
        headers = [read_header(file) for file in entry.files]
        context = min(headers[0].context_length, _CONTEXT)
        total = sum(memory.estimate(header, context, 512, 17).total for header in headers)
    except EdgespecError:
        return None
    return total < memory.available()


def size_text(size: int) -> str:
    """Bytes for people."""
    return f"{size / _GIB:.1f} GiB" if size >= _GIB else f"{size / 2**20:.0f} MiB"
