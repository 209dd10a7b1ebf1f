"""How fast a batch goes, what drafts it can afford, and the promise that they never slow it."""

from collections.abc import Sequence
from dataclasses import dataclass

from edgespec.batch.budget import deepen, spend
from edgespec.costs import CostModel
from edgespec.guard import DebtGuard

_MEMORY = 0.95
_PLAIN_EVERY = 64
"""Steps with drafts after which a plain one shows what they are compared with."""
_PIECE = 32
"""Tokens of the largest step that is measured."""
_LOOK_SHARE = 0.01
"""The most that looking at what the drafter would say may add to plain steps."""


@dataclass(frozen=True, slots=True)
class Prospect:
    """An answer as the drafter sees it.

    `survival[r-1]` is P(its first r drafts are all accepted), `growth` the acceptance to expect of
    the next one, 0 if there can be none. The drafter has to decode `behind` tokens before, once for
    all of the `remaining` ones.
    """

    survival: Sequence[float]
    growth: float
    behind: int
    remaining: float


class Pace:
    """Chooses how many drafts each answer gets in a step, by measured step times.

    The guard keeps the time spent within 5 % and two steps of what the same tokens would have
    taken with as many answers and no drafts.
    """

    def __init__(self, costs: CostModel) -> None:
        self.costs = costs
        self._guard = DebtGuard()
        self._gain = 1.0
        self._unchecked = 0
        self._unlooked = 0.0
        self._planning = 0.0

    def plain_step(self, depth: int) -> float:
        """Seconds of a step for a single answer, for comparison."""
        return self.costs.verify(1, depth)

    def again(self, tokens: int) -> float:
        """Seconds to decode so many tokens of a text once more."""
        return tokens / _PIECE * self.costs.verify(_PIECE, tokens)

    def rate(self, answers: int, depth: int) -> float:
        """Tokens per second that are achieved with so many answers."""
        return self._gain * answers / self.costs.verify(answers, depth)

    def pays(self, answers: int, depth: int, limit: int) -> bool:
        """Whether drafts that are surely right would be worth their time, and may be tried now."""
        if self._unchecked >= _PLAIN_EVERY:
            return False
        rate, plain = self.rate(answers, depth), self.costs.verify(answers, depth)
        return any(
            more > rate * (self.costs.verify(answers + more, depth) - plain)
            for more in range(1, self._allowed(answers, depth, limit) + 1)
        )

    def further(
        self, prospects: Sequence[Prospect], depth: int, limit: int, spent: float
    ) -> list[int]:
        """The answers, by number, that the drafter shall look past now; see `deepen`.

        `spent` seconds went into drafts of this step already.
        """
        answers = len(prospects)
        limit = self._allowed(answers, depth, limit, spent + self.costs.draft(depth))
        survivals = [prospect.survival for prospect in prospects]
        growths = [prospect.growth for prospect in prospects]
        catching_up = [self._catching_up(prospect.behind, depth) for prospect in prospects]
        chosen = deepen(
            survivals,
            growths,
            [
                cost / max(prospect.remaining, 1.0)
                for cost, prospect in zip(catching_up, prospects, strict=True)
            ],
            answers,
            limit,
            self.rate(answers, depth),
            lambda size: self.costs.verify(size, depth),
            lambda rows: self.costs.draft(depth, rows=rows),
        )
        if not chosen and not any(survivals):
            chosen = self._look(growths, catching_up, depth)
        spent += self.costs.draft(depth, rows=max(len(chosen), 1))
        spent += sum(catching_up[index] for index in chosen)
        return chosen if self._allowed(answers, depth, 1, spent) else []

    def affordable(self, survivals: Sequence[Sequence[float]], depth: int, limit: int) -> list[int]:
        """How many of each answer's drafts to verify; see `spend`."""
        answers = len(survivals)
        limit = self._allowed(answers, depth, limit, self._planning)
        rate = self.rate(answers, depth)
        return spend(survivals, answers, limit, rate, lambda size: self.costs.verify(size, depth))

    def planned(self, seconds: float) -> None:
        """So much time of the step went into its drafts, whether they are verified or not."""
        self._planning = seconds

    def finished(self, answers: int, drafts: int, emitted: int, depth: int, seconds: float) -> None:
        """A step without prompts took so long, after its drafts, and emitted so many tokens."""
        plain = self.costs.verify(answers, depth)
        self.costs.observe_verify(answers + drafts, depth, seconds)
        if drafts == 0:
            self._unchecked = 0
            self._unlooked += seconds
            plain = seconds
        else:
            self._unchecked += 1
        worth = emitted / answers * plain
        seconds += self._planning
        self._planning = 0.0
        self._guard.record(seconds, 1, worth)
        self._gain += (1 - _MEMORY) * (max(worth / seconds, 1.0) - self._gain)

    def _allowed(self, answers: int, depth: int, limit: int, spent: float = 0.0) -> int:
        """The most drafts, up to `limit`, that cannot break the bound after `spent` seconds."""
        plain = self.costs.verify(answers, depth)
        sizes = range(limit, 0, -1)
        fears = ((more, spent + self.costs.feared(answers + more, depth)) for more in sizes)
        return next((more for more, fear in fears if self._guard.allows(fear, plain)), 0)

    def _catching_up(self, tokens: int, depth: int) -> float:
        return self.costs.draft(depth) * self.costs.table.draft_row * max(tokens - 1, 0)

    def _look(
        self, growths: Sequence[float], catching_up: Sequence[float], depth: int
    ) -> list[int]:
        """The answer that is cheapest to look past, as often as that is cheap beside plain steps.

        What the drafter says here may be far better than what it said of late, and whether it was
        right is learnt for nothing.
        """
        open_ = [index for index, growth in enumerate(growths) if growth]
        if not open_:
            return []
        nearest = min(open_, key=catching_up.__getitem__)
        if self._unlooked * _LOOK_SHARE < catching_up[nearest] + self.costs.draft(depth):
            return []
        self._unlooked = 0.0
        return [nearest]
