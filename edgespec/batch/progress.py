"""How far a batch is, how fast it goes, and when it will be done."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from edgespec.batch.lengths import LengthModel, size_class
from edgespec.batch.tasks import Load

_CLASSES = 32
_BYTES_A_TOKEN = 4.0
_PREFILL = 0.2
"""What a token of a prompt costs, as a fraction of an emitted one; a guess, for the ETA alone."""


@dataclass(frozen=True, slots=True)
class Progress:
    """A moment of a batch. Rates are of this run; `eta` is in seconds, None before any row.

    Neither counts rests, of which `resting` gives the reason, empty while it works. `drafts` is
    the mean number of drafts per step of the target, and `acceptance` how many of them were right.
    """

    rows: int
    done: int
    failed: int
    active: int
    tokens: int
    seconds: float
    rows_per_second: float
    tokens_per_second: float
    drafts: float
    acceptance: float | None
    eta: float | None
    resting: str = ""


class ProgressMeter:
    """Follows a batch of `rows` rows, `weights` of which (bytes, by class) are still to come."""

    def __init__(
        self, rows: int, done: int, failed: int, clock: Callable[[], float] = monotonic
    ) -> None:
        self._rows = rows
        self._before = done
        self._done = done
        self._failed = failed
        self._left = [0] * _CLASSES
        self._bytes_left = 0
        self._work = 0.0
        self._clock = clock
        self._begin = self._last = clock()
        self._rested = 0.0

    def expect(self, weight: int) -> None:
        """A row of `weight` bytes is still to be done."""
        self._left[size_class(weight)] += 1
        self._bytes_left += weight

    def finished(self, weight: int, tokens: int, *, failed: bool) -> None:
        """A row of `weight` bytes is done; its answer has `tokens` tokens in all."""
        self._done += 1
        self._failed += failed
        self._left[size_class(weight)] -= 1
        self._bytes_left -= weight
        self._work += tokens + _prefill(weight)

    def now(self, lengths: LengthModel, load: Load, unfinished: int = 0) -> Progress:
        """The moment; `unfinished` tokens belong to rows that are not done yet."""
        now = self._clock()
        if load.resting:
            self._rested += now - self._last
        self._last = now
        seconds = max(now - self._begin - self._rested, 1e-9)
        return Progress(
            rows=self._rows,
            done=self._done,
            failed=self._failed,
            active=load.active,
            tokens=load.tokens,
            seconds=now - self._begin,
            rows_per_second=(self._done - self._before) / seconds,
            tokens_per_second=load.tokens / seconds,
            drafts=load.drafted / load.steps if load.steps else 0.0,
            acceptance=load.accepted / load.drafted if load.drafted else None,
            eta=self._eta(lengths, unfinished, seconds),
            resting=load.resting,
        )

    def _eta(self, lengths: LengthModel, unfinished: int, seconds: float) -> float | None:
        if self._done == self._rows:
            return 0.0
        if self._done == self._before:
            return None
        done = self._work + unfinished
        left = _prefill(self._bytes_left) - unfinished
        left += sum(count * lengths.of_class(n) for n, count in enumerate(self._left) if count)
        return max(left, 0.0) / done * seconds if done else None


def _prefill(weight: int) -> float:
    return _PREFILL * weight / _BYTES_A_TOKEN
