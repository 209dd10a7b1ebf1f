"""Ctrl+C and the system's requests to end, also while a model works.

Then it is a polite request first, because native code cannot be unwound.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Self

from edgespec.errors import ExitCode

_INSIST = 3
_CODES = {"SIGTERM": ExitCode.TERMINATED, "SIGHUP": ExitCode.HUNG_UP}
ENDINGS: dict[int, ExitCode] = {
    getattr(signal, name): code for name, code in _CODES.items() if hasattr(signal, name)
}
"""The signals that ask a process to end, as far as this system has them, and its exit codes."""


class Interrupted(KeyboardInterrupt):
    """The process was asked to end by the signal `number`, be it Ctrl+C or another."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def exit_code(interrupt: BaseException) -> ExitCode:
    """What a process that ends because of `interrupt` ends with."""
    number = interrupt.number if isinstance(interrupt, Interrupted) else signal.SIGINT
    return ENDINGS.get(number, ExitCode.INTERRUPTED)


@contextmanager
def endings() -> Iterator[None]:
    """Inside, a signal that asks the process to end raises Interrupted, as Ctrl+C does.

    What the process was started to ignore, as SIGHUP under nohup, it goes on ignoring.
    """
    before = {number: signal.getsignal(number) for number in ENDINGS}
    taken = [number for number, handler in before.items() if handler is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, _end)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _end(number: int, _frame: FrameType | None) -> None:
    raise Interrupted(number)


class Interrupts:
    """Inside its `with` block, Ctrl+C or a request to end sets `pressed` and calls `stop`.

    Whoever presses it three times does not want to wait: that raises Interrupted. A process
    started with a signal ignored, as under nohup, goes on ignoring it.
    """

    def __init__(self, stop: Callable[[], None] = lambda: None) -> None:
        self.stop = stop
        self._count = 0
        self._number: int = signal.SIGINT

    @property
    def pressed(self) -> bool:
        """True if Ctrl+C was pressed inside the block, or the process was asked to end."""
        return self._count > 0

    @property
    def raised(self) -> Interrupted:
        """What became of it, to be raised."""
        return Interrupted(self._number)

    @property
    def ending(self) -> bool:
        """True if not only this is to stop, but the process to end."""
        return self._number in ENDINGS

    def check(self) -> None:
        """Raise Interrupted, here where it does no harm, if Ctrl+C was pressed."""
        if self.pressed:
            raise self.raised

    def __enter__(self) -> Self:
        self._before = {number: signal.getsignal(number) for number in (signal.SIGINT, *ENDINGS)}
        for number, handler in self._before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self._count += 1
        self._number = self._number if self.ending else number
        if self._count >= _INSIST:
            raise self.raised
        self.stop()
