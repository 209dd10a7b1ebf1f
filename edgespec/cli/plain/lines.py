"""What a user types in a chat: lines, joined lines and blocks, with a history that is kept."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Self

import click

from edgespec import own_files
from edgespec.cli.output import is_terminal

try:
    import readline
except ImportError:  # Windows has none; its console edits lines by itself.
    readline = None  # type: ignore[assignment]

_LIBEDIT = "libedit" in (getattr(readline, "__doc__", None) or "")
"""Whether it is macOS's, whose key bindings are written otherwise."""
_TAB = "bind ^I rl_complete" if _LIBEDIT else "tab: complete"
_QUOTES = '"""'
_MAX_HISTORY = 1000
_CONTINUED = "... "


@dataclass(frozen=True, slots=True)
class Typed:
    """One message. `block` is True if it stood between quotes, where nothing is a command."""

    text: str
    block: bool = False


def read_message(read_line: Callable[[str], str], label: str) -> Typed:
    """Read one message; `read_line` prompts and returns a line, or raises EOFError at the end.

    A line that ends in a backslash goes on with the next, and three quotes enclose a block.
    """
    line = read_line(label)
    if line.lstrip().startswith(_QUOTES):
        return Typed(_read_block(read_line, line.lstrip().removeprefix(_QUOTES)), block=True)
    lines = [line]
    while lines[-1].endswith("\\"):
        lines[-1] = lines[-1][:-1]
        lines.append(_more(read_line))
    return Typed("\n".join(lines).strip())


def _read_block(read_line: Callable[[str], str], begin: str) -> str:
    text = begin
    while not text.rstrip().endswith(_QUOTES):
        try:
            text += "\n" + read_line(_CONTINUED)
        except EOFError:
            return text.strip("\n")
    return text.rstrip().removesuffix(_QUOTES).strip("\n")


def _more(read_line: Callable[[str], str]) -> str:
    try:
        return read_line(_CONTINUED)
    except EOFError:
        return ""


class Keyboard:
    """Lines from stdin, edited and remembered across sessions if a terminal is at both ends.

    `complete` tells what the last word of a line can become, which Tab offers.
    """

    def __init__(self, history: Path, complete: Callable[[str], list[str]]) -> None:
        self.interactive = is_terminal(sys.stdin)
        self._edited = is_terminal(sys.stdin, sys.stdout)
        self._history = history
        self._complete = complete
        self._offered: list[str] = []
        if isinstance(sys.stdin, TextIOWrapper):
            encoding = None if self.interactive else "utf-8"
            sys.stdin.reconfigure(encoding=encoding, errors="replace")

    def __enter__(self) -> Self:
        if self._edited and readline:
            if os.environ.get("TERM") != "dumb":
                # Python turns it off; with it, a pasted text is one message whatever its lines.
                readline.parse_and_bind("set enable-bracketed-paste on")
            readline.parse_and_bind(_TAB)
            readline.set_completer_delims(" ")
            readline.set_completer(self._offer)
            readline.set_history_length(_MAX_HISTORY)
            with suppress(OSError):
                readline.read_history_file(self._history)
        return self

    def __exit__(self, *_: object) -> None:
        if self._edited and readline:
            # Losing the history to a read-only disk is no reason to fail a chat that went well.
            with suppress(OSError):
                own_files.make_folder(self._history.parent)
                own_files.make_private(self._history)
                readline.write_history_file(self._history)

    def _offer(self, _word: str, at: int) -> str | None:
        """The completion `at` of what is typed up to the cursor, as readline asks for them."""
        if at == 0:
            self._offered = self._complete(readline.get_line_buffer()[: readline.get_endidx()])
        return self._offered[at] if at < len(self._offered) else None

    def read_line(self, label: str) -> str:
        """One line, without its end. Raises EOFError."""
        if self._edited:
            return input(label)
        if self.interactive:
            click.echo(label, nl=False, err=True)
        line = sys.stdin.readline() if sys.stdin else ""
        if not line:
            raise EOFError
        return line.rstrip("\r\n")
