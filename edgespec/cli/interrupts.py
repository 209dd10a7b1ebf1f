"""Ctrl+C while a model works: a polite request first, because native code cannot be unwound."""

import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

_INSIST = 3


class Interrupts:
    """Inside its `with` block, Ctrl+C sets `pressed` and calls `stop`.

    Whoever presses it three times does not want to wait: that raises KeyboardInterrupt as usual.
    A process started with SIGINT ignored, as under nohup, goes on ignoring it.
    """

    def __init__(self, stop: Callable[[], None] = lambda: None) -> None:
        self.stop = stop
        self._count = 0

    @property
    def pressed(self) -> bool:
        """True if Ctrl+C was pressed inside the block."""
        return self._count > 0

    def check(self) -> None:
        """Raise KeyboardInterrupt, here where it does no harm, if Ctrl+C was pressed."""
        if self.pressed:
            raise KeyboardInterrupt

    def __enter__(self) -> Self:
        self._before = signal.getsignal(signal.SIGINT)
        if self._before is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self._count += 1
        if self._count >= _INSIST:
            raise KeyboardInterrupt
        self.stop()
