"""Another look at which processors are fastest, once steps take another time than was measured."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from edgespec import balance
from edgespec.balance import Balance, Balancer
from edgespec.costs import CostModel
from edgespec.cpu_sets import CpuSet
from edgespec.drafter_seat import take
from edgespec.errors import Aborted, BackendError, NotEnoughMemory
from edgespec.protocols import Bindable, Context, ContextOptions, Model
from edgespec.topology import cpu_lists

_TOLERANCE = 1.3
_SETTLED = 32
"""Steps after a look that tell what is usual from then on."""
_PAUSE = 60.0
"""Seconds from one look to the next, at least."""
_SIZE = 256
_BATCH = 64
_OUTPUTS = 4


@dataclass(slots=True)
class Rebalancer:
    """Measures the processors of `context`, the target's, anew when its steps drift.

    That is done on a small context of its own over the same weights, so that nothing which is
    cached is lost, and takes as long as at the beginning, some seconds at most. `now` are the
    processors in use, `candidates` tells what to try, and `file` is where the best are kept.
    `scratch` are the options of the small context, `seat` tells where a drafter usually computes
    beside a target on some processors (None = where it does, in any case). Used by the thread that
    decodes, but for `stop` and `resume`.
    """

    costs: CostModel
    model: Model
    context: Bindable
    now: Balance
    candidates: Callable[[], Sequence[CpuSet]]
    file: Path
    scratch: ContextOptions
    seat: Callable[[Balance], CpuSet] | None = None
    clock: Callable[[], float] = perf_counter
    _usual: float = field(default=1.0, init=False)
    _settling: bool = field(default=False, init=False)
    _steps: int = field(default=-_SETTLED, init=False)
    _next: float = field(init=False)
    _measured: Context | None = field(default=None, init=False)
    _stopped: bool = field(default=False, init=False)
    _moved: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._next = self.clock() + _PAUSE  # It was measured just now.

    def due(self) -> bool:
        """True if steps take another time than they did after the last look."""
        drift = self.costs.drift
        if drift is None or self.costs.steps - self._steps < _SETTLED:
            return False
        if self._settling:
            # What became worse since the last look has not become usual.
            self._usual, self._settling = min(drift, self._usual), False
        changed = not 1 / _TOLERANCE < drift / self._usual < _TOLERANCE
        return changed and self.clock() >= self._next

    def look(self) -> str:
        """Compute where that is fastest now; says what was seen and done, nothing if stopped."""
        drift, before = self.costs.drift or 1.0, self.now
        try:
            self.now = self._measure()
        except Aborted:
            return ""
        except (NotEnoughMemory, BackendError):
            pass  # There is no room to find out; what is usual from now on is seen all the same.
        self._usual, self._settling = drift, True
        self._steps, self._next = self.costs.steps, self.clock() + _PAUSE
        if self.now is before:
            return ""
        self._moved = (self.now.single, self.now.batch) != (before.single, before.batch)
        self.context.bind(self.now.single, self.now.batch, self.now.prompt)
        balance.save(self.file, self.now)
        found = _in_words(before, self.now)
        return f"steps took {drift:.1f} times as long as measured, so another look: {found}"

    def move(self, drafter: Context) -> None:
        """If the target has moved, let the drafter compute where it usually does beside it."""
        if self._moved and self.seat and isinstance(drafter, Bindable):
            take(drafter, self.seat(self.now))

    def stop(self) -> None:
        """Break off a look, from any thread, and let none begin until `resume`."""
        # Without a lock: a signal handler may call this.
        self._stopped = True
        if measured := self._measured:
            measured.abort()

    def resume(self) -> None:
        """Looks are welcome again."""
        self._stopped = False

    def _measure(self) -> Balance:
        sets = self.candidates()
        context = self.model.context(self.scratch)
        try:
            self._measured = context
            if self._stopped:
                raise Aborted
            assert isinstance(context, Bindable)
            return Balancer(context, sets, clock=self.clock).measure()
        finally:
            self._measured = None
            context.close()


def small(kv_type: str, *, flash: bool) -> ContextOptions:
    """The options of a context to measure on, which attends in this way."""
    return ContextOptions(_SIZE, _BATCH, max_outputs=_OUTPUTS, kv_type=kv_type, flash=flash)


def _in_words(before: Balance, now: Balance) -> str:
    old, new = cpu_lists.render(before.single), cpu_lists.render(now.single)
    if old == new:
        return f"the target is still fastest on processors {new}"
    return f"the target computes on processors {new} now, on {old} before"
