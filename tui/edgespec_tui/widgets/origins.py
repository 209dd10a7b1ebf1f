"""An answer as plain text that shows where each of its tokens came from."""

from collections.abc import Sequence

from textual.content import Content
from textual.widgets import Static

from edgespec.cli.output import printable
from edgespec.events import Source

Run = tuple[str, int]
"""A source's name and how many characters in a row came from it."""

_MOST = 8000
"""Characters shown, from the end."""
_STYLES = {
    Source.TARGET.value: "",
    Source.DRAFTER.value: "underline $accent",
    Source.SUFFIX.value: "reverse $secondary",
}


class Origins(Static):
    """Drafted tokens are underlined, suffix matches reversed, the target's own plain."""

    def show(self, text: str, runs: Sequence[Run]) -> None:
        """Mark `text`, which `runs` cover from its beginning."""
        self.update(marked(text, runs))


def marked(text: str, runs: Sequence[Run]) -> Content:
    """`text` in the styles of its sources, below a line that explains them."""
    parts: list[tuple[str, str]] = [
        ("target", ""),
        ("  ", ""),
        ("drafter", _STYLES["drafter"]),
        ("  ", ""),
        ("suffix match", _STYLES["suffix"]),
        ("\n\n", ""),
    ]
    skipped = max(len(text) - _MOST, 0)
    at = 0
    for source, length in runs:
        piece = text[max(at, skipped) : at + length]
        parts.append((printable(piece), _STYLES.get(source, "")))
        at += length
    parts.append((printable(text[max(at, skipped) :]), ""))
    return Content.assemble(*(part for part in parts if part[0]))
