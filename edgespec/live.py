"""The numbers of an answer while it is being written."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edgespec.events import Finish, Round, Source, Stats, Token
from edgespec.timeline import Timeline

_WINDOW = 2.0


@dataclass(slots=True)
class Live:
    """Counts tokens by their source; `begin` is when the answer was asked for, in seconds."""

    begin: float
    tokens: int = 0
    position: int = 0
    first: float | None = None
    stats: Stats | None = None
    reason: str = "stopped"
    sources: dict[Source, int] = field(default_factory=dict)
    runs: list[tuple[str, int]] = field(default_factory=list)
    """Which source how many characters in a row came from."""
    timeline: Timeline = field(default_factory=Timeline)
    _recent: deque[tuple[float, int]] = field(default_factory=deque)

    def add(self, event: Token | Round | Finish, now: float) -> None:
        """Take in an event that came by `now`."""
        if isinstance(event, Round):
            self.timeline.add(event)
            return
        if isinstance(event, Finish):
            self.stats, self.reason = event.stats, event.reason.value
            return
        self._note(event)
        self.first = now - self.begin if self.first is None else self.first
        self.tokens += 1
        self.position = event.position + 1
        self.sources[event.source] = self.sources.get(event.source, 0) + 1
        if self._recent and self._recent[-1][0] == now:
            self._recent[-1] = now, self._recent[-1][1] + 1
        else:
            self._recent.append((now, 1))
        while self._recent[0][0] < now - _WINDOW:
            self._recent.popleft()

    @property
    def rate(self) -> float | None:
        """Tokens per second: of late while it goes on, of the whole once it is over."""
        if self.stats:
            return self.stats.tokens_per_second
        if len(self._recent) < 2:
            return None
        seconds = self._recent[-1][0] - self._recent[0][0]
        counted = sum(count for _, count in self._recent) - self._recent[0][1]
        return counted / seconds if seconds > 0 else None

    def _note(self, token: Token) -> None:
        if self.runs and self.runs[-1][0] == token.source.value:
            self.runs[-1] = token.source.value, self.runs[-1][1] + len(token.piece)
        elif token.piece:
            self.runs.append((token.source.value, len(token.piece)))

    def facts(self) -> Mapping[str, Any]:
        """What to keep with the answer."""
        stats = self.stats
        known = {
            "reason": self.reason,
            "tokens": self.tokens,
            "rate": self.rate,
            "ttft": stats.ttft if stats else self.first,
            "speedup": stats.speedup if stats and stats.drafted else None,
            "acceptance": stats.acceptance_rate if stats else None,
            "ties": stats.ties if stats else 0,
            "runs": self.runs if len(self.sources) > 1 else None,
        }
        return {key: value for key, value in known.items() if value is not None}


def begun_runs(begun: str, facts: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Where the beginning of an answer came from; nobody knows of one that was not told."""
    known = [(source, length) for source, length in facts.get("runs", ())]
    return known or ([(Source.TARGET.value, len(begun))] if begun else [])


def describe(facts: Mapping[str, Any]) -> str:
    """An answer's facts in one line, for people."""
    parts = []
    if "tokens" in facts:
        parts.append(f"{facts['tokens']} token{'s' * (facts['tokens'] != 1)}")
    if "rate" in facts:
        parts.append(f"{facts['rate']:.1f} tok/s")
    if "speedup" in facts:
        parts.append(f"{facts['speedup']:.2f}× plain")
    if "ttft" in facts:
        parts.append(f"TTFT {facts['ttft']:.2f} s")
    if "acceptance" in facts:
        parts.append(f"{facts['acceptance']:.0%} accepted")
    ends = {"stopped": "stopped", "length": "cut off at its length", "context": "context full"}
    if facts.get("reason") in ends:
        parts.append(ends[facts["reason"]])
    return " · ".join(parts)
