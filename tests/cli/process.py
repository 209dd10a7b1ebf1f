"""edgespec as a process: with pipes, or in a terminal of its own."""

import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("tests/offline", ".", "backends", "tui")
COMMAND = [sys.executable, "-m", "edgespec"]
PATIENCE = 120.0
"""Seconds after which a process that shows nothing has failed its test."""

# Takes the terminal at its stdin as its own, so that Ctrl+C there becomes SIGINT here.
_IN_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)

ENDLESS = "root ::= [a-z ] root\n"
"""A grammar in which an answer can only end because there is no more room for it."""


def environment(**variables: str) -> dict[str, str]:
    path = os.pathsep.join(str(ROOT / folder) for folder in FOLDERS)
    return {**os.environ, "PYTHONPATH": path, **variables}


def edgespec(
    *arguments: str, stdin: bytes | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        env=environment(**variables),
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
    )


def start(*arguments: str) -> subprocess.Popen[bytes]:
    """Start one command in a process group of its own."""
    return subprocess.Popen(
        [*COMMAND, *arguments],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def interrupt(process: subprocess.Popen[bytes]) -> None:
    """What a terminal does on Ctrl+C."""
    os.killpg(process.pid, signal.SIGINT)


class Terminal:
    """edgespec as a user at a terminal sees it: one screen for stdout and stderr."""

    def __init__(self, *arguments: str, **variables: str) -> None:
        self._screen, end = pty.openpty()
        self._unread = ""
        self.process = subprocess.Popen(
            [sys.executable, "-c", _IN_TERMINAL, *COMMAND, *arguments],
            env=environment(**{"TERM": "dumb", **variables}),
            stdin=end,
            stdout=end,
            stderr=end,
            start_new_session=True,
        )
        os.close(end)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._screen)

    def type(self, text: str) -> None:
        """Press keys; "\\x03" is Ctrl+C, "\\x04" Ctrl+D."""
        os.write(self._screen, text.encode())

    def interrupt(self, text: str) -> str:
        """Press Ctrl+C; what appears up to and including `text`.

        Python's readline overlooks signals that come just before it waits for keys, until the
        next key; so now and then this presses a key and Ctrl+C again, as people do.
        """
        end = time.monotonic() + PATIENCE
        while text not in self._unread and time.monotonic() < end:
            self.type("\x03")
            again = time.monotonic() + 3
            while text not in self._unread and self._ready(again - time.monotonic()):
                assert self._read(end), f"{text!r} did not come; there was {self._unread!r}"
            if text not in self._unread:
                self.type(" ")
                self._ready(1)
        return self.until(text)

    def until(self, text: str) -> str:
        """What appears up to and including `text`."""
        end = time.monotonic() + PATIENCE
        while text not in self._unread:
            assert self._read(end), f"{text!r} did not come; there was {self._unread!r}"
        before, _, self._unread = self._unread.partition(text)
        return before + text

    def finish(self) -> tuple[int, str]:
        """The exit code, and what appears until the end."""
        end = time.monotonic() + PATIENCE
        while self._read(end):
            pass
        return self.process.wait(PATIENCE), self._unread

    def _ready(self, seconds: float) -> bool:
        return bool(select.select([self._screen], [], [], max(0, seconds))[0])

    def _read(self, end: float) -> bool:
        ready = self._ready(end - time.monotonic())
        assert ready, f"nothing more came; there was {self._unread!r}"
        try:
            data = os.read(self._screen, 65536)
        except OSError:  # Linux reports the end of a terminal as an I/O error.
            return False
        self._unread += data.decode(errors="replace").replace("\r\n", "\n")
        return bool(data)
