"""The line that shows how far a pull is, while there is one."""

from textual.content import Content
from textual.widgets import Static

from edgespec.background_pull import Pulling
from edgespec.cli.output import printable

_BAR = 20


class PullLine(Static):
    """Takes no room without a pull."""

    def __init__(self) -> None:
        super().__init__()
        self.display = False
        self._shown = ""

    def show(self, pulling: Pulling | None) -> None:
        """Draw how far it is."""
        self.display = pulling is not None
        if pulling is None:
            return
        fraction = pulling.done / pulling.total if pulling.total else 0.0
        full = round(fraction * _BAR)
        name, note = printable(pulling.name), printable(pulling.note)
        size = (
            f" {fraction:4.0%} of {pulling.total / 1e9:.2f} GB, {note}" if pulling.total else note
        )
        line = Content.assemble(
            ("↓ ", "$accent"),
            f"{name} ",
            ("━" * full, "$accent"),
            ("─" * (_BAR - full), "$faint"),
            f" {size}",
            (" · /pull stops it", "$faint"),
        )
        if line.plain != self._shown:
            self._shown = line.plain
            self.update(line, layout=False)
