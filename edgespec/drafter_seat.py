"""Where the drafter's thread runs beside the target: suggested processors, measured at work."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median
from time import perf_counter

from edgespec.cpu_sets import CpuSet
from edgespec.protocols import Bindable, Context

_DRAFTS = 3
"""Drafts of a typical round, which are verified together with the last token."""
_AHEAD = 0.6
"""The part of the drafting ahead that is not in vain, as long as nothing else is known."""
_VISITS = 3
_GAIN = 0.95
"""A round must take at most this part of the first seat's time to replace it."""


@dataclass(slots=True)
class SeatTrial:
    """Times rounds of `target` and `drafter` with the drafter's thread on each of `seats`.

    The first is the usual one. In a round the drafter either goes first or works at the same time;
    what the latter saves counts as far as drafting ahead is not in vain. Used by the thread that
    decodes; the caches are left empty. After `budget` seconds each seat has had one visit at least.
    """

    target: Context
    drafter: Bindable
    seats: Sequence[CpuSet]
    budget: float = 1.0
    clock: Callable[[], float] = perf_counter

    def best(self) -> CpuSet:
        """The seat to take; the drafter is on it."""
        end = self.clock() + self.budget
        times: list[list[float]] = [[] for _ in self.seats]
        # On a thread that ends, as the drafter's own is elsewhere.
        with ThreadPoolExecutor(1, thread_name_prefix="edgespec-seat") as thread:
            for visit in range(_VISITS):
                if visit and self.clock() > end:
                    break
                for seat, seen in zip(self.seats, times, strict=True):
                    thread.submit(self._sit, seat).result()
                    seen.append(self._round(thread))
        rounds = list(map(median, times))
        index = rounds.index(min(rounds))
        best = self.seats[index if rounds[index] <= _GAIN * rounds[0] else 0]
        self._sit(best)
        return best

    def _sit(self, seat: CpuSet) -> None:
        take(self.drafter, seat)
        self._draft(1)  # The first step after a change does not count.

    def _round(self, thread: ThreadPoolExecutor) -> float:
        in_turn = thread.submit(self._draft, _DRAFTS).result() + self._verify()
        drafting = thread.submit(self._draft, _DRAFTS)
        beside = max(self._verify(), drafting.result())
        return in_turn - _AHEAD * max(in_turn - beside, 0.0)

    def _draft(self, steps: int) -> float:
        begin = self.clock()
        for position in range(steps):
            self.drafter.decode([7], position, outputs=1)
        seconds = self.clock() - begin
        self.drafter.clear()
        return seconds

    def _verify(self) -> float:
        size = min(_DRAFTS + 1, self.target.max_outputs)
        begin = self.clock()
        self.target.decode([7] * size, 0, outputs=size)
        seconds = self.clock() - begin
        self.target.clear()
        return seconds


def take(drafter: Bindable, seat: CpuSet) -> None:
    """Let the drafter compute on `seat`."""
    drafter.bind(seat.cpus, seat.cpus, seat.cpus, threads=seat.threads)
