"""What the hardware does: when target and drafter work, and what becomes of the drafts.

Every lane is a shape as well as a colour, so that it can be read without colours.
"""

from collections.abc import Sequence
from math import ceil

from textual.content import Content
from textual.widgets import Static

from edgespec.events import Source
from edgespec.live import Live
from edgespec.timeline import Cell, Span, Timeline, busy, cells

_LABEL, _FIGURE = 10, 12
_LEVELS = "▁▂▃▄▅▆▇"
_PLACES, _PLACE = 8, 11
"""Places in a draft that are shown at most, and the least columns that one takes."""
_COLOURS = {
    Source.TARGET: "$primary",
    Source.DRAFTER: "$accent",
    Source.SUFFIX: "$secondary",
}
_SHAPES = {Source.TARGET: "█", Source.DRAFTER: "▒", Source.SUFFIX: "░"}
_HALF, _GAP = 0.5, 0.1
"""Shares of a cell from which on it counts as filled, and as not empty."""


class Hardware(Static):
    """The panel; `show` draws it anew."""

    def __init__(self) -> None:
        super().__init__()
        self.display = False
        self.border_title = "Hardware"
        self._live: Live | None = None

    def show(self, live: Live | None) -> None:
        """Draw what is known of an answer."""
        self._live = live
        if live is None or not live.timeline.rounds:
            self.update(_idle(live))
            return
        width = max(self.size.width - _LABEL - _FIGURE, 8)
        timeline = live.timeline
        verify = [round_.verify for round_ in timeline.recent]
        lane = cells(verify, timeline.window, width)
        rows = [
            _target(lane, busy(verify, timeline.window)),
            _drafter(timeline.drafting, timeline.window, width),
            _row("", Content.styled(_scale(timeline.window, width), "$faint"), ""),
            *_drafts(timeline, lane),
            _places(timeline, width),
            _sources(live, width),
        ]
        self.update(Content("\n").join(rows), layout=False)

    def on_resize(self) -> None:
        """The picture is as wide as the panel."""
        self.show(self._live)


def _idle(live: Live | None) -> Content:
    text = (
        "nothing was drafted in this answer"
        if live
        else "send a message to see what target and drafter do while it is answered"
    )
    return Content.styled(text, "$muted")


def _target(lane: Sequence[Cell], share: float) -> Content:
    """The target over time; neighbouring rounds have different shades."""
    shapes = [
        "█▓"[which % 2] if full > _HALF else "·" if full > _GAP else " " for full, which in lane
    ]
    return _lane("target", shapes, "$primary", f"{share:.0%} busy")


def _drafter(spans: Sequence[Span], window: Span, width: int) -> Content:
    """The drafter over time, whose steps are too short to be told apart."""
    shapes = [" ░▒▓"[ceil(share * 3)] for share, _ in cells(spans, window, width)]
    return _lane("drafter", shapes, "$accent", f"{busy(spans, window):.0%} busy")


def _drafts(timeline: Timeline, lane: Sequence[Cell]) -> tuple[Content, Content]:
    """K over time, below the rounds' spans: how many drafts each had, and how many were right."""
    recent, count = timeline.recent, len(timeline.rounds)
    most = max(max(round_.drafted for round_ in recent), 1)
    rounds = [recent[which] if full > _GAP else None for full, which in lane]
    return (
        _lane(
            "drafts K",
            [_level(round_.drafted, most) if round_ else " " for round_ in rounds],
            "$accent",
            f"{timeline.drafted / count:.1f} a round",
        ),
        _lane(
            "accepted",
            [_level(round_.accepted, most) if round_ else " " for round_ in rounds],
            "$success",
            f"{timeline.accepted / count:.1f} a round",
        ),
    )


def _level(count: int, most: int) -> str:
    """A bar as high as `count` is beside `most`."""
    return _LEVELS[round(count / most * (len(_LEVELS) - 1))] if count else "·"


def _lane(name: str, shapes: Sequence[str], colour: str, figure: str) -> Content:
    return _row(name, Content.styled("".join(shapes), colour), figure)


def _scale(window: Span, width: int) -> str:
    seconds = window[1] - window[0]
    text = f" {seconds:.2f} s " if seconds >= 1 else f" {seconds * 1000:.0f} ms "
    return "├" + text.center(width - 2, "─") + "┤"


def _places(timeline: Timeline, width: int) -> Content:
    """How often the first draft of a round was accepted, the second, ..."""
    parts: list[tuple[str, str]] = []
    places = max(min(width // _PLACE, _PLACES), 1)
    bar = width // places - _PLACE + 2
    for place, (_, share) in enumerate(timeline.acceptance()[:places], 1):
        full = round(share * bar)
        parts.append((f"{place} ", "$muted"))
        parts.append(("━" * full, "$success"))
        parts.append(("─" * (bar - full), "$faint"))
        parts.append((f" {share:3.0%}  ", ""))
    drafted = timeline.drafted
    total = f"{timeline.accepted / drafted:.0%} of all" if drafted else ""
    line = Content.assemble(*parts) if parts else Content.styled("no drafts", "$faint")
    return _row("by place", _fitted(line, width), total)


def _sources(live: Live, width: int) -> Content:
    """Where the tokens came from."""
    total = max(sum(live.sources.values()), 1)
    parts: list[tuple[str, str]] = []
    for source in Source:
        share = live.sources.get(source, 0) / total
        label = f"{_SHAPES[source]} {source.value} {share:.0%}"
        parts += [(label, _COLOURS[source]), ("   ", "")]
    line = Content.assemble(*parts)
    return _row("tokens", _fitted(line, width), f"{live.tokens} in all")


def _fitted(line: Content, width: int) -> Content:
    """`line` in exactly `width` cells."""
    line = line.truncate(width)
    return Content.assemble(line, " " * (width - line.cell_length))


def _row(label: str, line: Content, figure: str) -> Content:
    return Content.assemble((f"{label:<{_LABEL}}", "$muted"), line, f"{figure:>{_FIGURE}}")
