"""How fast a batch goes, what drafts it can afford, and the promise that they never slow it."""

from collections.abc import Sequence

from edgespec.batch.budget import spend
from edgespec.costs import CostModel
from edgespec.guard import DebtGuard

_MEMORY = 0.95
_PLAIN_EVERY = 64
"""Steps with drafts after which a plain one shows what they are compared with."""


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

    def plain_step(self, depth: int) -> float:
        """Seconds of a step for a single answer, for comparison."""
        return self.costs.verify(1, depth)

    def rate(self, answers: int, depth: int) -> float:
        """Tokens per second that are achieved with so many answers."""
        return self._gain * answers / self.costs.verify(answers, depth)

    def pays(self, answers: int, depth: int, limit: int) -> bool:
        """Whether drafts that are surely right would be worth their time."""
        rate = self.rate(answers, depth)
        plain = self.costs.verify(answers, depth)
        return any(
            more > rate * (self.costs.verify(answers + more, depth) - plain)
            for more in range(1, limit + 1)
        )

    def affordable(self, survivals: Sequence[Sequence[float]], depth: int, limit: int) -> list[int]:
        """How many of each answer's drafts to verify; see `spend`."""
        answers = len(survivals)
        nothing = [0] * answers
        if self._unchecked >= _PLAIN_EVERY:
            return nothing
        rate = self.rate(answers, depth)
        counts = spend(survivals, answers, limit, rate, lambda size: self.costs.verify(size, depth))
        feared = self.costs.feared(answers + sum(counts), depth)
        return counts if self._guard.allows(feared, self.costs.verify(answers, depth)) else nothing

    def finished(self, answers: int, drafts: int, emitted: int, depth: int, seconds: float) -> None:
        """A step without prompts took so long and emitted so many tokens."""
        plain = self.costs.verify(answers, depth)
        self.costs.observe_verify(answers + drafts, depth, seconds)
        if drafts == 0:
            self._unchecked = 0
            plain = seconds
        else:
            self._unchecked += 1
        worth = emitted / answers * plain
        self._guard.record(seconds, 1, worth)
        self._gain += (1 - _MEMORY) * (max(worth / seconds, 1.0) - self._gain)
