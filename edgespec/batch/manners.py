"""When a batch rests, so that it is in nobody's way."""

import os
import sys
from collections.abc import Callable
from time import perf_counter, sleep

import psutil

from edgespec import priority

ANSWERING = "another edgespec answers"
ON_BATTERY = "on battery"
_LOOK_EVERY = 0.2
_WAIT = 0.05


class Manners:
    """Says when to rest, and keeps a clock that stands still meanwhile.

    It rests while a process on this machine has a claim to be first, and on battery if
    `on_battery` is given. It looks around at most five times a second, whoever asks.
    """

    def __init__(
        self,
        on_battery: Callable[[], bool] | None = None,
        is_claimed: Callable[[], bool] = priority.is_claimed,
        clock: Callable[[], float] = perf_counter,
        wait: Callable[[float], None] = sleep,
    ) -> None:
        self._on_battery = on_battery
        self._is_claimed = is_claimed
        self._clock = clock
        self._wait = wait
        self._due = 0.0
        self._reason = ""
        self._rested = 0.0
        self.resting = ""
        """Why whoever computes rests now; empty while nobody does."""

    @property
    def reason(self) -> str:
        """Why to rest now; empty if there is no reason."""
        if (now := self._clock()) >= self._due:
            self._due = now + _LOOK_EVERY
            self._reason = self._look()
        return self._reason

    def rest(self, stopped: Callable[[], bool]) -> None:
        """Return when there is no reason to rest, or `stopped` says so."""
        begin = self._clock()
        while (reason := self.reason) and not stopped():
            self.resting = reason
            self._wait(_WAIT)
        if self.resting:
            self.resting = ""
            self._rested += self._clock() - begin

    def now(self) -> float:
        """The time in seconds, rests not counted."""
        return self._clock() - self._rested

    def _look(self) -> str:
        if self._is_claimed():
            return ANSWERING
        return ON_BATTERY if self._on_battery and self._on_battery() else ""


def on_battery() -> bool:
    """True if this machine has a battery and runs on it."""
    read = getattr(psutil, "sensors_battery", None)
    battery = read() if read else None
    return battery is not None and battery.power_plugged is False


def stand_back(niceness: int) -> None:
    """Let other processes go first from now on, in all threads that this one starts."""
    if hasattr(os, "nice"):
        os.nice(max(niceness - os.nice(0), 0))
    elif sys.platform == "win32" and niceness:
        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
