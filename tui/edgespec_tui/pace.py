"""How often the screen is brought up to date: as often as wanted, unless that takes too much."""

import time
from collections.abc import Callable

_MUCH, _LITTLE = 0.18, 0.1
"""Shares of a core that the screen's thread may use while the model works."""
_SLOWEST = 1.0


class Pace:
    """Decides when the next update is due, from the processor time that the last ones took."""

    def __init__(self, per_second: float, used: Callable[[], float] = time.thread_time) -> None:
        self._fastest = 1 / per_second
        self._interval = self._fastest
        self._used = used
        self._last: tuple[float, float] | None = None

    def hurry(self) -> None:
        """The next update is due at once."""
        self._last = None

    def due(self, now: float) -> bool:
        """True if an update shall happen now."""
        if self._last is None:
            self._last = now, self._used()
            return True
        passed = now - self._last[0]
        if passed < self._interval * 0.9:
            return False
        used = self._used()
        share = (used - self._last[1]) / passed
        self._last = now, used
        if share > _MUCH:
            self._interval = min(self._interval * 1.5, _SLOWEST)
        elif share < _LITTLE:
            self._interval = max(self._interval / 1.5, self._fastest)
        return True
