"""The line above the keys: what goes on and how fast."""

from textual.content import Content
from textual.widgets import Static

from edgespec.cli.output import printable
from edgespec.live import Live

_FULL, _WORTH_TELLING = 0.9, 0.75

Item = tuple[str, str]
"""A text and its style."""


class StatsLine(Static):
    """One line: a state, then numbers; those for which there is no room are left out."""

    def __init__(self) -> None:
        super().__init__()
        self._shown = Content()

    def show_loading(self, what: str, fraction: float) -> None:
        """A model is on its way."""
        width = 12
        done = round(fraction * width)
        bar = Content.assemble(("━" * done, "$primary"), ("─" * (width - done), "$faint"))
        self._put(
            Content.assemble(("◌ ", "$accent"), f"{printable(what)} ", bar, f" {fraction:4.0%}")
        )

    def show_problem(self, text: str) -> None:
        """Nothing works before the user does something."""
        self._put(Content.assemble(("✗ ", "bold $error"), printable(text)))

    def show(self, state: str, live: Live | None, n_ctx: int) -> None:
        """The model's `state`, an answer's numbers, and how much of the context it has used."""
        mark = "● " if state == "ready" else "◐ "
        line = Content.assemble((mark, "$primary"), state)
        rate, first = (_rate(live), _first(live)) if live else ([], [])
        for item in (*rate, *_context(live, n_ctx), *first):
            longer = Content.assemble(line, (" · ", "$faint"), item)
            if longer.cell_length <= self.content_size.width:
                line = longer
        self._put(line)

    def _put(self, content: Content) -> None:
        """Show `content`; what is there already is not drawn again."""
        if content != self._shown:
            self._shown = content
            self.update(content, layout=False)


def _rate(live: Live) -> list[Item]:
    """How fast an answer came."""
    items = []
    if live.rate is not None:
        items.append((f"{live.rate:.1f} tok/s", ""))
    if live.stats and live.stats.drafted and live.stats.speedup is not None:
        items.append((f"{live.stats.speedup:.2f}× plain", ""))
    return items


def _context(live: Live | None, n_ctx: int) -> list[Item]:
    """How much of the context is used."""
    if not n_ctx:
        return []
    used = live.position if live else 0
    share = used / n_ctx
    style = "$error" if share > _FULL else "$warning" if share > _WORTH_TELLING else ""
    return [(f"context {used}/{n_ctx}", style)]


def _first(live: Live) -> list[Item]:
    """How soon it began, and what became of the drafts."""
    items = []
    first = live.stats.ttft if live.stats else live.first
    if first is not None:
        items.append((f"TTFT {first:.2f} s", ""))
    if live.stats and live.stats.acceptance_rate is not None:
        items.append((f"{live.stats.acceptance_rate:.0%} accepted", ""))
    return items
