"""The models one can choose: their size, and whether they fit."""

from dataclasses import dataclass
from pathlib import Path

from edgespec.errors import EdgespecError

_GIB = 2**30
_CONTEXT = 8192


@dataclass(frozen=True, slots=True)
class Offer:
    """A model of the list of names; `fits` tells whether the free memory has room for it, if
    known. One that is not `present` was pulled in part."""

    name: str
    description: str
    size: int
    fits: bool | None
    present: bool


def offers() -> list[Offer]:
    """All that can be run here. Reads the files' headers, which can take a moment."""
    # Not at the top: numpy and its friends would delay the first picture.
    from edgespec.inventory import items

    return [
        Offer(
            item.name,
            item.description,
            item.size,
            _fits([item.target, item.drafter]) if item.present else None,
            item.present,
        )
        for item in items()
    ]


def _fits(files: list[str]) -> bool | None:
    from edgespec import memory
    from edgespec.gguf_header import read_header

    try:
        headers = [read_header(Path(file)) for file in files if file]
        total = sum(
            memory.estimate(header, min(header.context_length, _CONTEXT), 512, 17).total
            for header in headers
        )
    except EdgespecError:
        return None
    return total < memory.available()


def size_text(size: int) -> str:
    """Bytes for people."""
    return f"{size / _GIB:.1f} GiB" if size >= _GIB else f"{size / 2**20:.0f} MiB"
