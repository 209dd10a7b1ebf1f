"""When a batch rests. No test waits: the clock is moved by hand."""

import os
import sys
from types import SimpleNamespace

import psutil
import pytest

from edgespec.batch import manners
from edgespec.batch.lengths import LengthModel
from edgespec.batch.manners import ANSWERING, ON_BATTERY, Manners, stand_back
from edgespec.batch.progress import ProgressMeter
from edgespec.batch.tasks import Load


class Around:
    """A machine on which things happen; `looks` counts how often somebody looked."""

    def __init__(self) -> None:
        self.now = 100.0
        self.claimed = False
        self.on_battery = False
        self.looks = 0

    def is_claimed(self) -> bool:
        """Whether somebody answers."""
        self.looks += 1
        return self.claimed

    def manners(self, *, on_battery: bool = False) -> Manners:
        """Those of a batch there; each wait is a second."""
        read = (lambda: self.on_battery) if on_battery else None
        return Manners(read, self.is_claimed, lambda: self.now, self.wait)

    def wait(self, _: float) -> None:
        """Time passes, and after five seconds there is nothing in the way any more."""
        self.now += 1
        self.claimed &= self.now < 105
        self.on_battery &= self.now < 105


def test_reasons() -> None:
    around = Around()
    found = around.manners(on_battery=True)
    assert found.reason == ""
    around.claimed = around.on_battery = True
    assert found.reason == ""  # It does not look again so soon.
    around.now += 1
    assert found.reason == ANSWERING
    around.claimed = False
    around.now += 1
    assert found.reason == ON_BATTERY
    assert around.looks == 3


def test_battery_is_nobodys_business_unless_asked() -> None:
    around = Around()
    around.on_battery = True
    assert around.manners().reason == ""


def test_the_clock_stands_still_while_it_rests() -> None:
    around = Around()
    found = around.manners()
    around.claimed = True
    begin = found.now()
    found.rest(lambda: False)
    assert (around.now, found.now() - begin, found.resting) == (105.0, 0.0, "")
    around.now += 2
    assert found.now() - begin == 2


def test_a_stop_ends_the_rest() -> None:
    around = Around()
    around.claimed = True
    found = around.manners()
    found.rest(lambda: found.resting != "")
    assert around.now == 101


@pytest.mark.parametrize(
    ("plugged", "expected"), [(True, False), (False, True), (None, False), ("absent", False)]
)
def test_the_battery(
    plugged: bool | str | None, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    battery = None if plugged == "absent" else SimpleNamespace(power_plugged=plugged)
    monkeypatch.setattr(psutil, "sensors_battery", lambda: battery, raising=False)
    assert manners.on_battery() is expected


@pytest.mark.skipif(sys.platform == "win32", reason="has classes instead")
def test_standing_back_never_comes_forward(monkeypatch: pytest.MonkeyPatch) -> None:
    nice = [5]

    def change(by: int) -> int:
        nice[0] += by
        return nice[0]

    monkeypatch.setattr(os, "nice", change)
    stand_back(3)
    assert nice == [5]
    stand_back(10)
    assert nice == [10]


def test_rests_do_not_count_as_work() -> None:
    now = [0.0]
    meter = ProgressMeter(4, 0, 0, lambda: now[0])
    for _ in range(4):
        meter.expect(100)
    now[0] = 10.0
    meter.finished(100, 20, failed=False)
    lengths = LengthModel()
    before = meter.now(lengths, Load(active=1, tokens=20))
    for second in range(11, 60):
        now[0] = float(second)
        resting = meter.now(lengths, Load(active=1, tokens=20, resting=ON_BATTERY))
    assert resting.resting == ON_BATTERY
    assert resting.eta == before.eta
    assert resting.tokens_per_second == before.tokens_per_second == 2
    assert resting.seconds == 59
