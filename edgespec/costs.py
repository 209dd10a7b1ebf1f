"""What a step costs on this machine: V(n, context) of the target and d of the drafter."""

from bisect import bisect_left
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from statistics import median_low

_REMEMBERED = 9
_FORGOTTEN = 64
"""Steps after which a drift that was not seen again is no longer believed."""
_CONTENTION = "contention"
_DEPTH_STEP = 32
_DOUBT, _DISTRUST = 1.15, 2.0


@dataclass(frozen=True, slots=True)
class CostTable:
    """Measured seconds; each mapping is never empty.

    `verify[depth][n]` is one target decode of n tokens with `depth` positions in the cache,
    `draft[depth]` one drafter step. `verify_contention` and `draft_contention` are the factors by
    which each slows down while the other runs.
    """

    verify: Mapping[int, Mapping[int, float]]
    draft: Mapping[int, float]
    verify_contention: float = 1.0
    draft_contention: float = 1.0
    draft_row: float = 0.1
    """Extra cost of each further row in a drafter batch, as a fraction of one step."""


class CostModel:
    """A cost table that follows the machine: each prediction is scaled by recent observations.

    Staircases are kept: nothing is fitted, unmeasured sizes are interpolated between their
    neighbours, and every batch size has a drift factor of its own (the median of its last nine
    observed/predicted ratios, so that one interrupted step says nothing). Drifts pass: one that
    kept a size from being tried must not do so for ever. A table that was not measured just now is
    not `trusted` until a few steps have confirmed it.
    """

    def __init__(self, table: CostTable, *, trusted: bool = True) -> None:
        self.table = table
        self._trusted = trusted
        self._drift: dict[str, deque[float]] = {}
        self._factors: dict[str, float] = {}
        self._measured: dict[tuple[int, int], float] = {}
        self._steps = 0
        self._noted: dict[str, int] = {}

    def verify(self, n: int, depth: int, *, contended: bool = False) -> float:
        """Seconds of one target decode of n tokens at `depth`."""
        # How batches drift says nothing of the single step, by which the guard measures debts.
        others = "batch" if n > 1 else ""
        seconds = self._verify(n, depth) * self._factor(f"verify {n}", others)
        return seconds * self._contention if contended else seconds

    def feared(self, n: int, depth: int) -> float:
        """Seconds that `verify` should not exceed, even if it is wrong."""
        confirmed = self._trusted or n == 1 or self._drift_known("batch")
        return self.verify(n, depth) * (_DOUBT if confirmed else _DISTRUST)

    def draft(self, depth: int, *, rows: int = 1, contended: bool = False) -> float:
        """Seconds of one drafter step of `rows` rows at `depth`."""
        seconds = _interpolate(self.table.draft, depth) * self._factor("draft", "draft")
        seconds *= 1 + self.table.draft_row * (rows - 1)
        return seconds * self.table.draft_contention if contended else seconds

    def observe_verify(
        self, n: int, depth: int, seconds: float, *, contended: bool = False
    ) -> None:
        """Learn from one target decode that took `seconds`, alone or beside a busy drafter."""
        self._steps += 1
        if contended:
            self._note(_CONTENTION, seconds / self.verify(n, depth))
            return
        expected = self._verify(n, depth)
        self._note(f"verify {n}", seconds / expected)
        if n > 1:
            self._note("batch", seconds / expected)

    def observe_draft(
        self, depth: int, seconds: float, *, rows: int = 1, contended: bool = False
    ) -> None:
        """Learn from one drafter step that took `seconds`."""
        expected = _interpolate(self.table.draft, depth) * (1 + self.table.draft_row * (rows - 1))
        if contended:
            expected *= self.table.draft_contention
        if expected > 0:
            self._note("draft", seconds / expected)

    @property
    def steps(self) -> int:
        """How many decodes of the target were observed."""
        return self._steps

    @property
    def drift(self) -> float | None:
        """How many times as long as in the table the target's steps take, of whatever kind.

        None as long as too few were seen.
        """
        usual = {"verify 1": 1.0, "batch": 1.0, _CONTENTION: self.table.verify_contention}
        seen = [
            self._factors[key] / factor
            for key, factor in usual.items()
            if len(self._drift.get(key, ())) == _REMEMBERED and self._drift_known(key)
        ]
        return min(seen, key=lambda ratio: abs(log(ratio)), default=None)

    @property
    def _contention(self) -> float:
        """By what factor the target slows down beside the drafter; seen at work, if it was."""
        if self._drift_known(_CONTENTION):
            return max(self._factors[_CONTENTION], 1.0)
        return self.table.verify_contention

    def _verify(self, n: int, depth: int) -> float:
        key = n, depth // _DEPTH_STEP
        if key not in self._measured:
            by_depth = {at: _interpolate(sizes, n) for at, sizes in self.table.verify.items()}
            self._measured[key] = _interpolate(by_depth, depth)
        return self._measured[key]

    def _note(self, key: str, ratio: float) -> None:
        seen = self._drift.setdefault(key, deque(maxlen=_REMEMBERED))
        if self._passed(key):
            seen.clear()
            self._factors.pop(key, None)
        seen.append(ratio)
        self._noted[key] = self._steps
        # One observation of a new size includes the engine's building of a new graph.
        if len(seen) > 1:
            self._factors[key] = median_low(seen)

    def _factor(self, key: str, fallback: str) -> float:
        for known in (key, fallback):
            if self._drift_known(known):
                return self._factors[known]
        return 1.0

    def _drift_known(self, key: str) -> bool:
        return key in self._factors and not self._passed(key)

    def _passed(self, key: str) -> bool:
        # What keeps the drafter from working beside the target is not put to the test too often.
        limit = 8 * _FORGOTTEN if key == _CONTENTION else _FORGOTTEN
        return self._steps - self._noted.get(key, 0) > limit


def _interpolate(points: Mapping[int, float], at: int) -> float:
    """Piecewise linear through `points`; beyond the last, its slope goes on, but never down."""
    if at in points:
        return points[at]
    known: Sequence[int] = sorted(points)
    if len(known) == 1 or at < known[0]:
        return points[known[0]]
    right = min(bisect_left(known, at), len(known) - 1)
    x0, x1 = known[right - 1], known[right]
    slope = (points[x1] - points[x0]) / (x1 - x0)
    if at > x1:
        return points[x1] + max(slope, 0.0) * (at - x1)
    return points[x0] + slope * (at - x0)
