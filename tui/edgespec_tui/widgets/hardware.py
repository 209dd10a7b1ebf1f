"""What the hardware does: when target and drafter work, and what becomes of the drafts.

Every lane is a shape as well as a colour, so that it can be read without colours.
"""

from collections.abc import Sequence
from math import ceil

from textual.content import Content
from textual.widgets import Static

from edgespec.events import Source
from edgespec_tui.live import Live
from edgespec_tui.timeline import Span, Timeline, busy, cells

_LABEL, _FIGURE = 10, 12
_LEVELS = " ▁▂▃▄▅▆▇█"
_PLACES = 6
_COLOURS = {
    Source.TARGET: "$primary",
    Source.DRAFTER: "$accent",
    Source.SUFFIX: "$secondary",
}
_SHAPES = {Source.TARGET: "█", Source.DRAFTER: "▒", Source.SUFFIX: "░"}


class Hardware(Static):
    """The panel; `show` draws it anew."""

    def __init__(self) -> None:
        super().__init__()
        self.display = False

    def show(self, live: Live | None) -> None:
        """Draw what is known of an answer."""
        width = max(self.size.width - _LABEL - _FIGURE - 1, 8)
        if live is None or not live.timeline.rounds:
            self.update(_idle(live))
            return
        timeline = live.timeline
        verify = [round_.verify for round_ in timeline.recent]
        seconds = timeline.window[1] - timeline.window[0]
        rows = [
            _target(verify, timeline.window, width),
            _drafter(timeline.drafting, timeline.window, width),
            _row("", Content.styled(_scale(seconds, width), "$faint"), ""),
            _drafts(timeline, width),
            _accepted(timeline, width),
            _sources(live, width),
        ]
        self.update(Content("\n").join(rows), layout=False)


def _idle(live: Live | None) -> Content:
    text = "nothing was drafted in this answer" if live else "send a message to see both devices"
    return Content.styled(f"\n\n  {text}", "$muted")


def _target(spans: Sequence[Span], window: Span, width: int) -> Content:
    """The target over time; neighbouring rounds have different shades."""
    shapes = [
        "█▓"[which % 2] if share > 0.5 else "·" if share > 0.1 else " "
        for share, which in cells(spans, window, width)
    ]
    return _lane("target", shapes, "$primary", busy(spans, window))


def _drafter(spans: Sequence[Span], window: Span, width: int) -> Content:
    """The drafter over time, whose steps are too short to be told apart."""
    shapes = [" ░▒▓"[ceil(share * 3)] for share, _ in cells(spans, window, width)]
    return _lane("drafter", shapes, "$accent", busy(spans, window))


def _lane(name: str, shapes: Sequence[str], colour: str, share: float) -> Content:
    return _row(name, Content.styled("".join(shapes), colour), f"{share:.0%} busy")


def _scale(seconds: float, width: int) -> str:
    text = f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
    line = "─" * max((width - len(text) - 4) // 2, 0)
    return f"├{line} {text} {line}┤"


def _drafts(timeline: Timeline, width: int) -> Content:
    """K over time: how many drafts each round had."""
    counts = [round_.drafted for round_ in timeline.rounds][-width:]
    most = max([*counts, 1])
    bars = "".join(_LEVELS[round(count / most * 8)] for count in counts)
    mean = sum(counts) / len(counts)
    return _row("drafts K", Content.styled(bars.ljust(width), "$accent"), f"mean {mean:.1f}")


def _accepted(timeline: Timeline, width: int) -> Content:
    """How often the first draft of a round was accepted, the second, ..."""
    parts: list[Content | tuple[str, str]] = []
    bar = max(width // _PLACES - 9, 2)
    for place, (_, share) in enumerate(timeline.acceptance()[:_PLACES], 1):
        full = round(share * bar)
        parts.append((f"{place} ", "$muted"))
        parts.append(("█" * full, "$success"))
        parts.append(("░" * (bar - full), "$faint"))
        parts.append((f" {share:3.0%}  ", ""))
    drafted = sum(round_.drafted for round_ in timeline.rounds)
    accepted = sum(round_.accepted for round_ in timeline.rounds)
    total = f"{accepted / drafted:.0%} of all" if drafted else ""
    line = Content.assemble(*parts) if parts else Content.styled("no drafts", "$faint")
    return _row("accepted", _fitted(line, width), total)


def _sources(live: Live, width: int) -> Content:
    """Where the tokens came from."""
    total = max(sum(live.sources.values()), 1)
    parts: list[tuple[str, str]] = []
    for source in Source:
        share = live.sources.get(source, 0) / total
        label = f"{_SHAPES[source]} {source.value} {share:.0%}"
        parts += [(label, _COLOURS[source]), ("   ", "")]
    line = Content.assemble(*parts)
    return _row("tokens", _fitted(line, width), f"{live.tokens}")


def _fitted(line: Content, width: int) -> Content:
    """`line` in exactly `width` cells."""
    line = line.truncate(width)
    return Content.assemble(line, " " * (width - line.cell_length))


def _row(label: str, line: Content, figure: str) -> Content:
    return Content.assemble((f"{label:<{_LABEL}}", "$muted"), line, f" {figure}")
