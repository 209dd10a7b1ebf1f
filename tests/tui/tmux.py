"""A real terminal with a user at its keys: tmux, which keeps the screen that a program paints."""

import os
import shlex
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.cli.process import COMMAND, PATIENCE, environment


class Tmux:
    """One terminal of its own server, in which `arguments` of edgespec run."""

    def __init__(self, socket: Path, size: tuple[int, int], *arguments: str, **more: str) -> None:
        self._socket = str(socket)
        self._environment = environment(**more)
        for name in ("COLUMNS", "LINES", "TMUX"):  # The terminal that the tests run in is another.
            self._environment.pop(name, None)
        command = shlex.join(["exec", *COMMAND, *arguments])
        width, height = (str(number) for number in size)
        self._do("-f", os.devnull, "new-session", "-d", "-x", width, "-y", height, command)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._do("kill-server", check=False)

    @property
    def screen(self) -> str:
        """What the terminal shows."""
        return self._do("capture-pane", "-p")

    @property
    def process(self) -> int:
        """The number of the process in it."""
        return int(self._do("display-message", "-p", "#{pane_pid}"))

    def ended(self) -> bool:
        """Whether the program has left, and its terminal with it, within a few seconds."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if "no server" in (said := self._do("list-sessions", check=False)) or "error" in said:
                return True
            time.sleep(0.1)
        return False

    def press(self, *keys: str) -> None:
        """Press keys by tmux's names, such as C-q."""
        self._do("send-keys", *keys)

    def type(self, text: str) -> None:
        """Type `text`, and Enter."""
        self._do("send-keys", "-l", text)
        self.press("Enter")

    def until(self, *texts: str) -> str:
        """Wait for a screen that shows all of `texts`; the screen."""
        end = time.monotonic() + PATIENCE
        while not all(text in (screen := self.screen) for text in texts):
            assert time.monotonic() < end, f"{texts} did not come; there was\n{screen}"
            time.sleep(0.1)
        return screen

    def _do(self, *words: str, check: bool = True) -> str:
        done = subprocess.run(
            ["tmux", "-S", self._socket, *words],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout if check else done.stdout + done.stderr
