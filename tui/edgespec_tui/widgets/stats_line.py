"""The line above the keys: what goes on and how fast."""

from textual.content import Content
from textual.widgets import Static

from edgespec.cli.output import printable
from edgespec.live import Live

_FULL, _WORTH_TELLING = 0.9, 0.75


class StatsLine(Static):
    """One line: a state, then numbers, the most important first, because narrow screens cut it."""

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
        parts: list[Content | tuple[str, str]] = [("● " if state == "ready" else "◐ ", "$primary")]
        parts.append(Content(state))
        if live:
            parts += [_item(text) for text in _numbers(live)]
        if n_ctx:
            used = live.position if live else 0
            share = used / n_ctx
            style = "$error" if share > _FULL else "$warning" if share > _WORTH_TELLING else ""
            parts.append(_item(f"context {used}/{n_ctx}", style))
        self._put(Content.assemble(*parts))

    def _put(self, content: Content) -> None:
        """Show `content`; what is there already is not drawn again."""
        if content != self._shown:
            self._shown = content
            self.update(content, layout=False)


def _numbers(live: Live) -> list[str]:
    numbers = []
    if live.rate is not None:
        numbers.append(f"{live.rate:.1f} tok/s")
    if live.stats and live.stats.drafted and live.stats.speedup is not None:
        numbers.append(f"{live.stats.speedup:.2f}× plain")
    first = live.stats.ttft if live.stats else live.first
    if first is not None:
        numbers.append(f"TTFT {first:.2f} s")
    if live.stats and live.stats.acceptance_rate is not None:
        numbers.append(f"{live.stats.acceptance_rate:.0%} accepted")
    return numbers


def _item(text: str, style: str = "") -> Content:
    return Content.assemble((" · ", "$faint"), (text, style))
