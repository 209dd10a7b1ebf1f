"""How often the screen is brought up to date: as often as wanted, unless that takes too much."""

import time
from collections.abc import Callable

_MOST = 0.15
"""The share of a core that the screen's thread may use while the model works."""
_SLOWEST = 1.0


class Pace:
    """Decides when the next update is due: the longer the last one took, the later."""

    def __init__(self, per_second: float, used: Callable[[], float] = time.thread_time) -> None:
        self._fastest = 1 / per_second
        self._used = used
        self._last: tuple[float, float] | None = None

    def hurry(self) -> None:
        """The next update is due at once."""
        self._last = None

    def due(self, now: float) -> bool:
        """True if an update shall happen now."""
        used = self._used()
        if self._last and not self._rested(now - self._last[0], used - self._last[1]):
            return False
        self._last = now, used
        return True

    def _rested(self, passed: float, used: float) -> bool:
        """Whether the time since the last update is in proportion to what was used in it."""
        in_time = passed >= self._fastest * 0.9  # A timer may come a little early.
        return in_time and passed >= min(used / _MOST, _SLOWEST)
