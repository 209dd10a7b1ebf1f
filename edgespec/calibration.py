"""Measuring what a step costs: V(n, depth) of the target, d of the drafter, their contention."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from threading import Event, Thread
from time import perf_counter
from typing import Self

from edgespec import cpus
from edgespec.costs import CostModel, CostTable
from edgespec.protocols import Context, Rollback, Row

SIZES = (1, 4, 2, 8, 3, 16, 6, 5, 12, 7, 10, 9, 14, 11, 13, 15, 24, 32)
"""Batch sizes in the order in which it matters to know them."""
_REPEATS = 3
_TOLERANCE = 1.3
_LONG_ENOUGH = 0.005
_MOST_STEPS = 16


@dataclass(slots=True)
class Calibrator:
    """Times decodes of a target and a drafter on empty caches, which it leaves empty.

    Each repetition visits the sizes in turn, so that a disturbance hits one sample of each and
    not all samples of one; the least of them counts. Stops early when `budget` seconds are spent;
    the sizes that matter most come first.
    """

    target: Context
    drafter: Context | None
    on_progress: Callable[[float], None] = lambda fraction: None
    budget: float = 5.0
    clock: Callable[[], float] = perf_counter

    def agrees(self, table: CostTable) -> bool:
        """True if a few steps of today take about what the table says."""
        sizes = [n for n in (1, 4) if n <= self.target.max_outputs]
        today = self._verify_times(sizes, 0, self.clock() + self.budget)
        self.target.clear()
        costs = CostModel(table)
        ratios = [seconds / costs.verify(n, 0) for n, seconds in today.items()]
        return all(1 / _TOLERANCE < ratio < _TOLERANCE for ratio in ratios)

    def measure(self) -> CostTable:
        """The table of this machine and these models, now."""
        end = self.clock() + self.budget
        sizes = [n for n in SIZES if n <= min(self.target.max_outputs, self.target.n_batch)]
        shallow = self._verify_times(sizes, 0, end)
        verify = {0: shallow}
        deep = min(1024, self.target.n_ctx // 2)
        affordable = self.clock() + deep / 8 * shallow[1] < end
        if affordable and len(sizes) > 1 and self.target.rollback is Rollback.ANY:
            self._fill(self.target, deep)
            verify[deep] = self._verify_times([n for n in sizes if n in (1, 4, 16)], deep, end)
        self.target.clear()
        if self.drafter is None:
            return CostTable(verify, {0: 0.0})
        draft = {0: self._draft_time(1)}
        row = self._row_cost(draft[0])
        slow_target, slow_drafter = self._contention()
        self.target.clear()
        self.drafter.clear()
        return CostTable(verify, draft, slow_target, slow_drafter, row)

    def _verify_times(self, sizes: Sequence[int], depth: int, end: float) -> dict[int, float]:
        times: dict[int, list[float]] = {}
        for _ in range(_REPEATS + 1):
            for n in sizes:
                left = end - self.clock()
                if n > 1 and left < 0:
                    break
                self.on_progress(1 - max(left, 0) / self.budget)
                times.setdefault(n, []).append(self._time(self.target, n, depth))
        # Whatever disturbs a step only ever adds to it, and no larger one can be the faster: else
        # every sample of the single step was disturbed, and speculation would seem to do wonders.
        least = {n: min(samples) for n, samples in times.items()}
        return least | {1: min(least.values())} if 1 in least else least

    def _draft_time(self, rows: int) -> float:
        assert self.drafter is not None
        drafter = self.drafter
        return min(self._time_rows(drafter, rows) for _ in range(2 * _REPEATS + 1))

    def _row_cost(self, single: float) -> float:
        """Extra cost of a further row, as a fraction of a step of one row.

        Nothing where there is room for one alone: the others wait and delay nobody.
        """
        assert self.drafter is not None
        rows = min(4, self.drafter.max_outputs)
        if rows < 2:
            return 0.0
        return max(self._draft_time(rows) / single - 1, 0.0) / (rows - 1)

    def _contention(self) -> tuple[float, float]:
        """By what factors target and drafter slow down while the other runs.

        Each busy step has an idle one right before it, so that whatever else slows this machine
        down slows both.
        """
        assert self.drafter is not None
        drafter = self.drafter
        targets: list[float] = []
        drafters: list[float] = []
        for _ in range(2 * _REPEATS + 1):
            idle, steps = self._run(1)
            alone = self._time_rows(drafter, 1)
            with _Busy(lambda: self._time_rows(drafter, 1)) as busy:
                slowed, _ = self._run(steps)
            targets.append(slowed / idle)
            drafters.extend(seconds / alone for seconds in busy.times)
        return max(median(targets), 1.0), max(median(drafters), 1.0)

    def _run(self, steps: int) -> tuple[float, int]:
        """Seconds of a plain step, over at least `steps` of them and long enough to be slowed."""
        begin, done = self.clock(), 0
        while done < steps or (done < _MOST_STEPS and self.clock() - begin < _LONG_ENOUGH):
            self._time(self.target, 1, 0)
            done += 1
        return (self.clock() - begin) / done, done

    def _time(self, context: Context, n: int, depth: int) -> float:
        tokens = [index % context.n_vocab for index in range(7, 7 + n)]
        begin = self.clock()
        context.decode(tokens, depth, outputs=n)
        context.logits(0)
        seconds = self.clock() - begin
        if depth == 0 or not context.truncate(depth):
            context.clear()
        return seconds

    def _time_rows(self, context: Context, rows: int) -> float:
        begin = self.clock()
        context.decode_rows([Row(7 + row, 0, row, True) for row in range(rows)])
        seconds = self.clock() - begin
        context.clear()
        return seconds

    def _fill(self, context: Context, depth: int) -> None:
        for start in range(0, depth, context.n_batch):
            count = min(context.n_batch, depth - start)
            context.decode(_filler(count), start, outputs=0)


class _Busy:
    """Repeats a step on a thread of its own until the context ends; at least once."""

    def __init__(self, step: Callable[[], float]) -> None:
        self.times: list[float] = []
        self._step = step
        self._stop = Event()
        self._begun = Event()
        self._thread = Thread(target=self._run, name="edgespec-calibration")

    def __enter__(self) -> Self:
        self._thread.start()
        self._begun.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        cpus.unbind()
        self._begun.set()
        while not (self.times and self._stop.is_set()):
            self.times.append(self._step())


def _filler(count: int) -> Sequence[int]:
    return [7] * count
