"""How the chat ends when the system says so: all is saved, and the terminal is given back."""

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import suppress

from edgespec import lost_pages
from edgespec.cli.interrupts import ENDINGS

_AS_BEFORE = b"\x1b[<u\x1b[?1049l\x1b[?25h\x1b[?1000l\x1b[?1003l\x1b[?1004l\x1b[?1006l\x1b[?2004l"
"""The keyboard's usual protocol, the usual screen, a cursor; no mouse, no focus, no pastes."""


def listen(end: Callable[[int], None]) -> None:
    """Call `end`, inside the running loop, with a signal that asks the process to end."""
    loop = asyncio.get_running_loop()
    for number in ENDINGS:
        # Windows' loop has no signals, and a thread's has none either.
        with suppress(NotImplementedError, ValueError, RuntimeError):
            loop.add_signal_handler(number, end, number)


def give_back_terminal() -> None:
    """See that the terminal is as it is now, should the process end where nothing can be undone."""
    with suppress(ImportError, OSError, ValueError):
        import termios

        # By number: Textual puts other streams in their place.
        terminal, screen = sys.stdin.fileno(), sys.stdout.fileno()
        if not os.isatty(terminal):
            return
        before = termios.tcgetattr(terminal)

        def give_back() -> None:
            os.write(screen, _AS_BEFORE)
            termios.tcsetattr(terminal, termios.TCSANOW, before)

        lost_pages.before_end(give_back)
