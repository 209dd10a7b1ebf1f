"""The policy: how many drafts to verify now, and which drafting is worth its time."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from edgespec.costs import CostModel
from edgespec.guard import DebtGuard
from edgespec.lookahead import worth

_MEMORY = 0.98
_LOOK_SHARE = 0.01
"""The most that looking at drafts may add to plain decoding."""
_LOOK_AHEAD = 4
_STEADY = 0.9
_PLANNING_SHARE = 0.01
"""The most that planning may add to plain decoding."""
_ROUNDING = 1e-9
_PLAIN_EVERY = 64
"""Rounds after which a plain step shows what the guard compares with."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the target could do now.

    `survival[r-1]` is P(the first r drafts of the best path are all accepted); `growth` the
    acceptance expected of drafts that do not exist yet, 0 if there is no drafter to make them;
    `limit` the most drafts that a batch can hold; `depth` the positions in the cache; `waited` the
    seconds that the target has been idle in this round. Where the target can verify a tree,
    `likeliest` has the chances of the drafts of all branches to be emitted, the best first. If it
    `replays`, it must decode again what it keeps of a batch that was not accepted as a whole. The
    last `unchecked` drafts of the path are such that a drafter at hand has not been asked for.
    """

    survival: Sequence[float]
    growth: float
    limit: int
    depth: int
    waited: float = 0.0
    prepared: bool = True
    likeliest: Sequence[float] = ()
    replays: bool = False
    unchecked: int = 0


@dataclass(frozen=True, slots=True)
class Verify:
    """Verify the first `drafts` of the best path, or the likeliest of all branches; 0 is plain."""

    drafts: int
    branching: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """Let the drafter go on until `drafts` are ready, but for no longer than `patience` seconds."""

    drafts: int
    patience: float


_PATIENCE = 3.0, 0.05
"""How much longer than estimated (factor, and seconds on top) a drafter may take."""


def _patience(eta: float) -> float:
    return _PATIENCE[0] * eta + _PATIENCE[1]


class Policy(Protocol):
    """What the scheduler asks; see Controller for the meaning of each call."""

    costs: CostModel

    @property
    def rest(self) -> int: ...
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

    @property
    def rest(self) -> int:
        """None: every round is planned."""
        return 0

    def start(self) -> None:
        """Nothing to reset."""

    def plan(self, outlook: Outlook) -> Verify | Wait:
        """Wait until there are enough drafts, or no more can come."""
        wanted = min(self._drafts, outlook.limit)
        ready = len(outlook.survival)
        if ready >= wanted or outlook.growth == 0:
            return Verify(min(ready, wanted))
        return Wait(wanted, _patience((wanted - ready) * self.costs.draft(outlook.depth)))

    def finished(self, seconds: float, step: float, drafts: int, tokens: int, depth: int) -> None:
        """Nothing to learn."""

    def overlaps(self, drafts: float, hit_rate: float, depth: int) -> bool:
        """As told."""
        return self._overlap


class Controller:
    """The marginal-rate rule with a debt guard; pure, given what it is told.

    Tokens per second over a long run are maximal if each round maximises
    E[tokens] - rate * time, where `rate` is the tokens per second that are achieved
    (Dinkelbach 1967). Every draft count is tried, because V(n) is a staircase, and what a round
    leaves of the path counts as well (see lookahead).
    """

    def __init__(self, costs: CostModel, guard: DebtGuard | None = None) -> None:
        self.costs = costs
        self.guard = guard or DebtGuard()
        self._tokens = 0.0
        self._seconds = 0.0
        self._plain_run = 0
        self._unseen = 0
        self._unchecked = 0
        self._waited = False
        self._overlapping = False
        self._planning = 0.0

    def rate(self, depth: int) -> float:
        """Tokens per second that are achieved, at least those of plain decoding."""
        plain = 1 / self.costs.verify(1, depth)
        return max(self._tokens / self._seconds, plain) if self._seconds else plain

    def plan(self, outlook: Outlook) -> Verify | Wait:
        """What the idle target should do now."""
        if self._unchecked >= _PLAIN_EVERY:
            return Verify(0)
        ready = len(outlook.survival)
        # How long the drafter still needs for a prompt is not known: the target goes on alone.
        limit = outlook.limit if outlook.prepared else min(ready, outlook.limit)
        worth = self._worth(limit, outlook)
        allowed = [k for k in range(limit + 1) if self._allowed(k, outlook)]
        best = max(allowed, key=worth.__getitem__)
        if best == 0 and ready == 0 and self._time_to_look(outlook):
            best = min(_LOOK_AHEAD, outlook.limit)
            if not self._allowed(best, outlook):
                return Verify(0)
        elif best <= ready and self._worth_checking(best, outlook):
            return Wait(best, self._patience(best, outlook))
        elif tree := self._best_tree(worth[best], outlook):
            return Verify(tree, branching=True)
        if best <= ready:
            return Verify(best)
        self._waited = True
        return Wait(best, self._patience(best, outlook))

    def _best_tree(self, least: float, outlook: Outlook) -> int:
        """How many of the likeliest drafts to verify; 0 if that is worth no more than `least`.

        What a node adds is the chance that it is emitted, so that trees and chains compare.
        """
        best, tokens = 0, 1.0
        for count, chance in enumerate(outlook.likeliest[: outlook.limit], start=1):
            tokens += chance
            value = tokens - self.rate(outlook.depth) * self._step(count, outlook)
            if value > least + _ROUNDING and self._allowed(count, outlook):
                best, least = count, value
        return best

    def start(self) -> None:
        """A new answer begins."""
        self.guard.start()

    @property
    def rest(self) -> int:
        """Plain steps that dilute the cost of a plan which led to a plain step.

        Next to a large model's step a plan costs nothing; next to a tiny one's it would eat the
        slack that the guard allows.
        """
        return int(self._planning / _PLANNING_SHARE) if self._plain_run else 0

    def finished(self, seconds: float, step: float, drafts: int, tokens: int, depth: int) -> None:
        """A round ended: `drafts` verified and `tokens` emitted, `seconds` since the one before.

        `step` of them went into the target's decode and the choice of its tokens.
        """
        self._tokens = _MEMORY * self._tokens + tokens
        self._seconds = _MEMORY * self._seconds + seconds
        # A plain step is its own measure of what plain decoding would have cost, slow or not.
        self.guard.record(seconds, tokens, self.costs.verify(1, depth) if drafts else step)
        if drafts:
            self._plain_run = 0
            self._unchecked += 1
        else:
            self._plain_run += tokens
            self._unseen += tokens
            self._unchecked = 0
            if seconds > step and not self._waited:
                share = min((seconds - step) / step, 1.0)
                self._planning += (1 - _STEADY) * (share - self._planning)
        self._waited = False

    def overlaps(self, drafts: float, hit_rate: float, depth: int) -> bool:
        """True if drafting while the target verifies hides more time than it costs.

        `drafts` is the usual number of drafts in a round, `hit_rate` how often what was drafted
        ahead survived the verification.
        """
        hidden = hit_rate * drafts * self.costs.draft(depth)
        size = round(drafts) + 1
        slowed = self.costs.verify(size, depth, contended=True) - self.costs.verify(size, depth)
        self._overlapping = hidden > slowed
        return self._overlapping

    def _worth(self, limit: int, outlook: Outlook) -> list[float]:
        """E[tokens] - rate * time of a round with 0 ... `limit` drafts and of what it leads to."""
        rate, ready = self.rate(outlook.depth), min(len(outlook.survival), limit)
        steps = [rate * self._step(drafts, outlook) for drafts in range(limit + 1)]
        draft = rate * self.costs.draft(outlook.depth)
        return worth(_survival(limit, outlook), steps, ready, draft)

    def _worth_checking(self, drafts: int, outlook: Outlook) -> bool:
        """True if the drafter may mend more of these drafts than asking it for them costs."""
        checked = len(outlook.survival) - outlook.unchecked
        rows = drafts - checked
        if rows <= 0 or outlook.growth == 0 or not outlook.prepared:
            return False
        draft, row = self.costs.draft(outlook.depth), self.costs.table.draft_row
        # Where a further row costs nothing there may be room for one alone, and they take turns.
        seconds = self.costs.draft(outlook.depth, rows=rows) if row else rows * draft
        before, after = (1.0, *outlook.survival)[checked], outlook.survival[drafts - 1]
        gain = (before - after) * outlook.growth
        step = self.costs.feared(drafts + 1, outlook.depth)
        plain = self.costs.verify(1, outlook.depth)
        allowed = self.guard.allows(outlook.waited + seconds + step, plain)
        return allowed and gain > self.rate(outlook.depth) * seconds

    def _step(self, drafts: int, outlook: Outlook) -> float:
        """Seconds of a batch of so many drafts, with what must be decoded again after it."""
        step = self.costs.verify(drafts + 1, outlook.depth, contended=self._overlapping)
        return step + (self._replay(drafts, outlook) if outlook.replays else 0.0)

    def _replay(self, drafts: int, outlook: Outlook) -> float:
        """E[seconds] of decoding again what is kept; nothing if all drafts are accepted."""
        known = _survival(drafts, outlook)
        chances = [before - after for before, after in pairwise((1.0, *known))]
        return sum(
            chance * self.costs.verify(kept, outlook.depth)
            for kept, chance in enumerate(chances, start=1)
        )

    def _eta(self, drafts: int, outlook: Outlook) -> float:
        """Seconds until that many drafts are ready."""
        missing = drafts - len(outlook.survival)
        return missing * self.costs.draft(outlook.depth) if missing > 0 else 0.0

    def _patience(self, drafts: int, outlook: Outlook) -> float:
        """How long the target may wait: a late drafter must not break the guard's bound either."""
        depth = outlook.depth
        room = self.guard.room(self.costs.verify(1, depth)) - self.costs.feared(drafts + 1, depth)
        return min(_patience(self._eta(drafts, outlook)), max(room - outlook.waited, 0.0))

    def _allowed(self, drafts: int, outlook: Outlook) -> bool:
        step = self.costs.feared(drafts + 1, outlook.depth)
        if outlook.replays and drafts:
            step += self.costs.feared(drafts, outlook.depth)
        seconds = outlook.waited + self._eta(drafts, outlook) + step
        return drafts == 0 or self.guard.allows(seconds, self.costs.verify(1, outlook.depth))

    def _time_to_look(self, outlook: Outlook) -> bool:
        """True as often among plain steps as a look at the next drafts is cheap beside them.

        What the drafter says here may be far better than what it said of late, and whether it was
        right is learnt for nothing.
        """
        step = self.costs.verify(1, outlook.depth)
        look = min(_LOOK_AHEAD, outlook.limit) * self.costs.draft(outlook.depth)
        if outlook.growth == 0 or not outlook.prepared or self._unseen * step < look / _LOOK_SHARE:
            return False
        self._unseen = 0
        return True


def _survival(drafts: int, outlook: Outlook) -> list[float]:
    """S_1 ... S_k; drafts that do not exist yet continue with the expected growth."""
    known = list(outlook.survival[:drafts])
    survival = known[-1] if known else 1.0
    for _ in range(drafts - len(known)):
        survival *= outlook.growth
        known.append(survival)
    return known
