"""Turns at the processor: what is computed for different models is computed one after the other."""

from threading import Condition
from time import perf_counter
from types import TracebackType


class Turns:
    """A lock that is handed on in the order of asking. Whoever has it may be any thread.

    Two models that compute at once wait for each other at every barrier of their threads; taking
    turns, each step takes as long as it does alone.
    """

    def __init__(self) -> None:
        self._monitor = Condition()
        self._asked = self._over = 0
        self._away = 0.0

    def __enter__(self) -> None:
        with self._monitor:
            mine = self._asked
            self._asked += 1
            self._monitor.wait_for(lambda: self._over == mine)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._monitor:
            self._over += 1
            self._monitor.notify_all()

    @property
    def waiting(self) -> int:
        """How many wait for who has the turn."""
        return max(self._asked - self._over - 1, 0)

    def give_way(self) -> None:
        """Let whoever waits go first; called by who has the turn, between two steps."""
        if not self.waiting:
            return
        begin = perf_counter()
        self.__exit__(None, None, None)
        self.__enter__()
        self._away += perf_counter() - begin

    def now(self) -> float:
        """The time in seconds for who gives way, the turns of others not counted."""
        return perf_counter() - self._away
