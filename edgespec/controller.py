"""The policy: how many drafts to verify now, and which drafting is worth its time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from edgespec.costs import CostModel
from edgespec.guard import DebtGuard

_MEMORY = 0.98
_FIRST_LOOK, _RAREST_LOOK = 4, 128
_LOOK_AHEAD = 4
_PLAIN_EVERY = 64
"""Rounds after which a plain step shows what the guard compares with."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the target could do now.

    `survival[r-1]` is P(the first r drafts are all accepted); `growth` the acceptance expected of
    drafts that do not exist yet, 0 if there is no drafter to make them; `limit` the most drafts
    that a batch can hold; `depth` the positions in the cache; `waited` the seconds that the target
    has been idle in this round.
    """

    survival: Sequence[float]
    growth: float
    limit: int
    depth: int
    waited: float = 0.0


@dataclass(frozen=True, slots=True)
class Verify:
    """Verify the first `drafts` of the best path; 0 is a plain step."""

    drafts: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Let the drafter go on; `drafts` in all are worth waiting for, `seconds` is the estimate."""

    drafts: int
    seconds: float


class Policy(Protocol):
    """What the scheduler asks; see Controller for the meaning of each call."""

    costs: CostModel

    def start(self) -> None: ...
    def plan(self, outlook: Outlook) -> Verify | Wait: ...
    def finished(
        self, seconds: float, step: float, drafts: int, tokens: int, depth: int
    ) -> None: ...
    def overlaps(self, drafts: float, hit_rate: float, depth: int) -> bool: ...


class FixedPolicy:
    """Always the same number of drafts: what most engines do; for comparisons and tests."""

    def __init__(self, costs: CostModel, drafts: int, overlap: bool = False) -> None:
        self.costs = costs
        self._drafts = drafts
        self._overlap = overlap

    def start(self) -> None:
        """Nothing to reset."""

    def plan(self, outlook: Outlook) -> Verify | Wait:
        """Wait until there are enough drafts, or no more can come."""
        wanted = min(self._drafts, outlook.limit)
        ready = len(outlook.survival)
        if ready >= wanted or outlook.growth == 0:
            return Verify(min(ready, wanted))
        return Wait(wanted, (wanted - ready) * self.costs.draft(outlook.depth))

    def finished(self, seconds: float, step: float, drafts: int, tokens: int, depth: int) -> None:
        """Nothing to learn."""

    def overlaps(self, drafts: float, hit_rate: float, depth: int) -> bool:
        """As told."""
        return self._overlap


class Controller:
    """The marginal-rate rule with a debt guard; pure, given what it is told.

    Tokens per second over a long run are maximal if each round maximises
    E[tokens] - rate * time, where `rate` is the tokens per second that are achieved
    (Dinkelbach 1967). Every draft count is tried, because V(n) is a staircase.
    """

    def __init__(self, costs: CostModel, guard: DebtGuard | None = None) -> None:
        self.costs = costs
        self.guard = guard or DebtGuard()
        self._tokens = 0.0
        self._seconds = 0.0
        self._plain_run = 0
        self._next_look = _FIRST_LOOK
        self._unchecked = 0

    def rate(self, depth: int) -> float:
        """Tokens per second that are achieved, at least those of plain decoding."""
        plain = 1 / self.costs.verify(1, depth)
        return max(self._tokens / self._seconds, plain) if self._seconds else plain

    def plan(self, outlook: Outlook) -> Verify | Wait:
        """What the idle target should do now."""
        if self._unchecked >= _PLAIN_EVERY:
            return Verify(0)
        allowed = [k for k in range(outlook.limit + 1) if self._allowed(k, outlook)]
        best = max(allowed, key=lambda k: self._value(k, outlook))
        ready = len(outlook.survival)
        if best == 0 and ready == 0 and self._time_to_look(outlook):
            best = min(_LOOK_AHEAD, outlook.limit)
            if not self._allowed(best, outlook):
                return Verify(0)
        if best <= ready:
            return Verify(best)
        return Wait(best, self._eta(best, outlook))

    def start(self) -> None:
        """A new answer begins."""
        self.guard.start()

    def finished(self, seconds: float, step: float, drafts: int, tokens: int, depth: int) -> None:
        """A round ended: `drafts` verified and `tokens` emitted, `seconds` since the one before.

        `step` of them went into the target's decode and the choice of its tokens.
        """
        self._tokens = _MEMORY * self._tokens + tokens
        self._seconds = _MEMORY * self._seconds + seconds
        # A plain step is its own measure of what plain decoding would have cost, slow or not.
        self.guard.record(seconds, tokens, self.costs.verify(1, depth) if drafts else step)
        if drafts:
            self._plain_run, self._next_look = 0, _FIRST_LOOK
            self._unchecked += 1
        else:
            self._plain_run += 1
            self._unchecked = 0

    def overlaps(self, drafts: float, hit_rate: float, depth: int) -> bool:
        """True if drafting while the target verifies hides more time than it costs.

        `drafts` is the usual number of drafts in a round, `hit_rate` how often what was drafted
        ahead survived the verification.
        """
        hidden = hit_rate * drafts * self.costs.draft(depth)
        size = round(drafts) + 1
        slowed = self.costs.verify(size, depth, contended=True) - self.costs.verify(size, depth)
        return hidden > slowed

    def _value(self, drafts: int, outlook: Outlook) -> float:
        """E[tokens] - rate * time of a round that verifies `drafts` drafts."""
        seconds = self._eta(drafts, outlook) + self.costs.verify(drafts + 1, outlook.depth)
        return _expected_tokens(drafts, outlook) - self.rate(outlook.depth) * seconds

    def _eta(self, drafts: int, outlook: Outlook) -> float:
        """Seconds until that many drafts are ready."""
        missing = drafts - len(outlook.survival)
        return missing * self.costs.draft(outlook.depth) if missing > 0 else 0.0

    def _allowed(self, drafts: int, outlook: Outlook) -> bool:
        step = self.costs.feared(drafts + 1, outlook.depth)
        seconds = outlook.waited + self._eta(drafts, outlook) + step
        return drafts == 0 or self.guard.allows(seconds, self.costs.verify(1, outlook.depth))

    def _time_to_look(self, outlook: Outlook) -> bool:
        """True every so often in a run of plain steps, ever more rarely while nothing changes."""
        if outlook.growth == 0 or self._plain_run < self._next_look:
            return False
        self._plain_run, self._next_look = 0, min(2 * self._next_look, _RAREST_LOOK)
        return True


def _expected_tokens(drafts: int, outlook: Outlook) -> float:
    """1 + S_1 + ... + S_k; drafts that do not exist yet continue with the expected growth."""
    known = outlook.survival[:drafts]
    tokens = 1.0 + sum(known)
    survival = known[-1] if known else 1.0
    for _ in range(drafts - len(known)):
        survival *= outlook.growth
        tokens += survival
    return tokens
