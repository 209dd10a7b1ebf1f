"""Policies that draft as a test tells them to, and remember what came of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import cycle

from edgespec.controller import Outlook, Verify, Wait
from edgespec.costs import CostModel, CostTable

TABLE = CostTable({0: {1: 0.5, 17: 1.0}}, {0: 0.01})


@dataclass(frozen=True)
class Round:
    """What the scheduler reported of one round."""

    seconds: float
    drafts: int
    tokens: int


class Told:
    """Verifies the given numbers of drafts, one per round, as far as there are any.

    With `branching` they are the likeliest of all branches in every other round.
    """

    def __init__(
        self, lengths: Iterable[int], *, overlap: bool = False, branching: bool = False
    ) -> None:
        self.costs = CostModel(TABLE)
        self.rounds: list[Round] = []
        self._lengths = cycle(lengths)
        self._wanted: int | None = None
        self._overlap = overlap
        self._branching = branching
        self.rest = 0

    def tell(self, lengths: Iterable[int]) -> None:
        """Other lengths from now on, and a new memory."""
        self._lengths, self._wanted = cycle(lengths), None
        self.rounds.clear()

    def start(self) -> None:
        self._wanted = None

    def plan(self, outlook: Outlook) -> Verify | Wait:
        if self._wanted is None:
            self._wanted = next(self._lengths)
        wanted, ready = min(self._wanted, outlook.limit), len(outlook.survival)
        if ready < wanted and outlook.growth:
            return Wait(wanted, 60.0)
        if self._branching and len(self.rounds) % 2:
            return Verify(min(wanted, len(outlook.likeliest)), branching=True)
        return Verify(min(wanted, ready))

    def finished(self, seconds: float, step: float, drafts: int, tokens: int, depth: int) -> None:
        self._wanted = None
        self.rounds.append(Round(seconds, drafts, tokens))

    def overlaps(self, drafts: float, hit_rate: float, depth: int) -> bool:
        return self._overlap
