"""What the two devices did of late: pure numbers, for whoever draws them."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from edgespec.events import Round

Span = tuple[float, float]
Cell = tuple[float, int]
"""How full a piece of time is, and which span fills most of it."""

_ROUNDS = 400
_WINDOW = 24
"""Rounds in the picture: few enough to be told apart."""


@dataclass(slots=True)
class Timeline:
    """The last rounds of an answer, on the clock that their spans are measured with."""

    rounds: deque[Round] = field(default_factory=lambda: deque(maxlen=_ROUNDS))

    def add(self, round_: Round) -> None:
        """Take in a further round."""
        self.rounds.append(round_)

    @property
    def drafted(self) -> int:
        """Drafts of all rounds."""
        return sum(round_.drafted for round_ in self.rounds)

    @property
    def accepted(self) -> int:
        """Those of them that were accepted."""
        return sum(round_.accepted for round_ in self.rounds)

    @property
    def recent(self) -> list[Round]:
        """The rounds in the picture, the oldest first."""
        return list(self.rounds)[-_WINDOW:]

    @property
    def window(self) -> Span:
        """From when to when the picture goes; empty without rounds."""
        recent = self.recent
        return (recent[0].verify[0], recent[-1].verify[1]) if recent else (0.0, 0.0)

    @property
    def drafting(self) -> list[Span]:
        """When the drafter was at work, within the window."""
        begin, end = self.window
        spans = [span for round_ in self.recent for span in round_.drafting]
        return [(max(a, begin), min(b, end)) for a, b in spans if b > begin and a < end]

    def acceptance(self) -> list[tuple[int, float]]:
        """For each place in a draft: how often one was there, and the share that was accepted."""
        longest = max((round_.depth for round_ in self.rounds), default=0)
        result = []
        for place in range(longest):
            there = [round_ for round_ in self.rounds if round_.depth > place]
            accepted = sum(round_.accepted > place for round_ in there)
            result.append((len(there), accepted / len(there)))
        return result


def busy(spans: Iterable[Span], window: Span) -> float:
    """The share of `window` that `spans`, which do not overlap, fill."""
    begin, end = window
    if end <= begin:
        return 0.0
    return sum(max(min(b, end) - max(a, begin), 0) for a, b in spans) / (end - begin)


def cells(spans: Sequence[Span], window: Span, width: int) -> list[Cell]:
    """`window` cut into `width` cells."""
    begin, end = window
    step = (end - begin) / width if width and end > begin else 0.0
    if not step:
        return [(0.0, 0)] * width
    result = []
    for cell in range(width):
        here = begin + cell * step, begin + (cell + 1) * step
        shares = [busy([span], here) for span in spans]
        which = max(range(len(spans)), key=shares.__getitem__) if spans else 0
        result.append((min(sum(shares), 1.0), which))
    return result
