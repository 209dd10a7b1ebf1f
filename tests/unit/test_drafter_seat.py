"""Where a drafter's thread runs, on fakes whose decodes take scripted times on their threads."""

from collections.abc import Mapping, Sequence
from threading import get_ident

import pytest

from edgespec.cpu_sets import CpuSet, beside
from edgespec.drafter_seat import SeatTrial
from edgespec.protocols import ContextOptions
from edgespec.topology import detect
from tests.fakes import FakeContext, ToyLanguage

LANGUAGE = ToyLanguage()
FREE, SHARED = beside(detect.plain(8), range(7))


class Clock:
    """A virtual time for each thread."""

    def __init__(self) -> None:
        self._times: dict[int, float] = {}

    def __call__(self) -> float:
        return self._times.get(get_ident(), 0.0)

    def pass_(self, seconds: float) -> None:
        self._times[get_ident()] = self() + seconds


class Timed(FakeContext):
    """A context whose decodes take `step` seconds, divided by the speed where it is bound."""

    def __init__(self, clock: Clock, step: float, speeds: Mapping[int, float]) -> None:
        super().__init__(LANGUAGE, ContextOptions(64, 64, max_outputs=8))
        self._clock, self._step, self._speeds = clock, step, speeds

    def decode(
        self, tokens: Sequence[int], position: int, *, outputs: int, sequence: int = 0
    ) -> None:
        self._owner = get_ident()
        super().decode(tokens, position, outputs=outputs, sequence=sequence)
        speed = self._speeds[self.bound[0][0]] if self.bound else 1.0
        self._clock.pass_(self._step / speed)

    def clear(self) -> None:
        self._owner = get_ident()
        super().clear()


@pytest.mark.parametrize(
    ("free", "step", "seat"),
    [
        (1.0, 1.0, FREE),
        (0.9, 1.0, FREE),  # What is hidden makes up for it.
        (0.2, 1.0, SHARED),
        (0.2, 0.01, FREE),  # It hardly matters.
    ],
)
def test_the_seat_with_the_shortest_round_is_taken(free: float, step: float, seat: CpuSet) -> None:
    clock = Clock()
    target, drafter = Timed(clock, 5.0, {}), Timed(clock, step, {0: 1.0, 7: free})
    assert SeatTrial(target, drafter, (FREE, SHARED), 1e6, clock).best() is seat
    assert drafter.bound == (seat.cpus,) * 3
    assert drafter.threads == 1
    assert target.length() == drafter.length() == 0


def test_each_seat_is_tried_whatever_it_takes() -> None:
    clock = Clock()
    target, drafter = Timed(clock, 5.0, {}), Timed(clock, 1.0, {0: 1.0, 7: 0.2})
    assert SeatTrial(target, drafter, (FREE, SHARED), 0.0, clock).best() is SHARED
    assert drafter.decodes == 2 * (1 + 3 + 3) + 1
