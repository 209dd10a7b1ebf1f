"""What target and drafter did in the last answer, in words."""

from collections.abc import Iterator

from edgespec.cli import diagnostics
from edgespec.cli.plain.answering import Answering
from edgespec.cli.plain.commands import Command
from edgespec.cli.plain.loaded import Loaded
from edgespec.cli.plain.messages import Messages
from edgespec.errors import InvalidInput
from edgespec.events import Source
from edgespec.live import Live
from edgespec.timeline import Timeline, busy

_MARKS = {Source.DRAFTER.value: ("«", "»"), Source.SUFFIX.value: ("««", "»»")}
"""Neither code nor prose in most languages has them, and screen readers have names for them."""
_PLACES = 8
"""Places in a draft that are told at most."""


class Figures:
    """The numbers of the screen's panel, and the sources of tokens marked in the text."""

    def __init__(self, loaded: Loaded, messages: Messages, answering: Answering) -> None:
        self._loaded = loaded
        self._messages = messages
        self._answering = answering

    @property
    def commands(self) -> list[Command]:
        """What can be typed."""
        return [
            Command("stats", "", "tells what the last answer cost", self._stats),
            Command(
                "hardware", "", "tells what target and drafter did in that time", self._hardware
            ),
            Command(
                "origins",
                "",
                "marks in an answer what came from the drafter, and from suffix matches",
                self._origins,
            ),
        ]

    def _stats(self, _argument: str) -> None:
        diagnostics.say(self._answering.stats)
        if live := self._answering.live:
            n_ctx = self._loaded.engine.n_ctx
            diagnostics.say(f"context: {live.position} of {n_ctx} tokens")

    def _hardware(self, _argument: str) -> None:
        live = self._answering.live
        if live is None:
            raise InvalidInput("nothing was answered yet")
        if not live.timeline.rounds:
            raise InvalidInput("nothing was drafted in that answer")
        diagnostics.say("\n".join(lines(live)))

    def _origins(self, _argument: str) -> None:
        message = self._messages.answer
        if "runs" not in message.facts:
            raise InvalidInput("all of that answer came from the target, or nobody knows any more")
        diagnostics.say("«drafter», ««suffix match»», the rest is the target's\n")
        diagnostics.say(marked(message.text, message.facts["runs"]))


def lines(live: Live) -> Iterator[str]:
    """What the screen draws of an answer, in words."""
    timeline = live.timeline
    begin, end = window = timeline.window
    recent = timeline.recent
    verify = busy([round_.verify for round_ in recent], window)
    yield f"last {len(recent)} of {len(timeline.rounds)} rounds, {(end - begin) * 1000:.0f} ms"
    yield f"target: {verify:.0%} busy"
    yield f"drafter: {busy(timeline.drafting, window):.0%} busy"
    yield f"drafts K: {' '.join(str(round_.drafted) for round_ in recent)}"
    yield f"accepted: {' '.join(str(round_.accepted) for round_ in recent)}"
    yield from _drafts(timeline)
    shares = [
        f"{source.value} {live.sources.get(source, 0) / max(live.tokens, 1):.0%}"
        for source in Source
    ]
    yield f"tokens: {live.tokens}, {', '.join(shares)}"


def _drafts(timeline: Timeline) -> Iterator[str]:
    """What became of the drafts of all rounds."""
    count, drafted, accepted = len(timeline.rounds), timeline.drafted, timeline.accepted
    yield f"a round: {drafted / count:.1f} drafts, {accepted / count:.1f} accepted"
    if drafted:
        places = [
            f"{place}: {share:.0%}"
            for place, (_, share) in enumerate(timeline.acceptance()[:_PLACES], 1)
        ]
        yield f"accepted by place: {', '.join(places)}, {accepted / drafted:.0%} of all"


def marked(text: str, runs: list[tuple[str, int]]) -> str:
    """`text` with what did not come from the target between marks; `runs` cover it."""
    parts, at = [], 0
    for source, length in runs:
        left, right = _MARKS.get(source, ("", ""))
        parts.append(left + text[at : at + length] + right)
        at += length
    return "".join(parts) + text[at:]
