"""What a benchmark leaves: a table for people and a JSON file for everything else."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Markdown, the first column to the left, all others to the right."""
    cells = [list(headers), *([_text(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headers))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [_line(cells[0], widths), _line(rule, widths)]
    return "\n".join([*lines, *(_line(row, widths) for row in cells[1:])])


def save(path: Path | None, record: dict[str, Any]) -> None:
    """Write `record`, if a file is wanted."""
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"
    return str(value)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first = row[0].ljust(widths[0])
    others = [text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True)]
    return f"| {' | '.join([first, *others])} |"
