"""Aligned columns for people."""

from collections.abc import Sequence

from edgespec.hub.names import shown

_LONGEST = 200


def size_text(size: float) -> str:
    """Bytes for people."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def table(rows: Sequence[Sequence[str]]) -> str:
    """The rows, the heading first, as lines; text from outside stays in its cell."""
    cells = [[shown(cell, _LONGEST) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )
    return "\n".join(lines) + "\n"
