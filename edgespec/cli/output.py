"""stdout: what was asked for and nothing else, flushed piece by piece."""

import os
import sys
from io import TextIOWrapper
from typing import TextIO

from edgespec.errors import EdgespecError

_VISIBLE = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"}
_VISIBLE |= {0x7F: 0x2421} | dict.fromkeys(range(0x80, 0xA0), 0xFFFD)


def printable(text: str) -> str:
    """`text` with control characters made visible, so that it cannot drive a terminal."""
    return text.translate(_VISIBLE)


def is_terminal(*streams: TextIO | None) -> bool:
    """True if a person sits at every one of `streams`; a closed stream is None."""
    return all(stream is not None and stream.isatty() for stream in streams)


class Output:
    """Text for stdout: as it is for a file or a pipe, in UTF-8; without control for a terminal."""

    def __init__(self) -> None:
        if sys.stdout is None:
            raise EdgespecError("there is no stdout to write to")
        self._terminal = is_terminal(sys.stdout)
        self._line_begun = False
        if isinstance(sys.stdout, TextIOWrapper):
            encoding = None if self._terminal else "utf-8"
            sys.stdout.reconfigure(encoding=encoding, errors="replace", newline="\n")

    def write(self, text: str) -> None:
        """Write and flush `text`."""
        if text:
            self._line_begun = not text.endswith("\n")
            _write(printable(text) if self._terminal else text)

    def label(self, text: str) -> None:
        """Say who speaks, which is for people only."""
        if self._terminal:
            self.write(text)

    def end(self, *, begun: bool = False) -> None:
        """End the line on a terminal; `begun` if something else, as the "^C", began one there."""
        if self._terminal and (self._line_begun or begun):
            self.write("\n")

    def end_everywhere(self) -> None:
        """End the line, in a file or a pipe as well."""
        if self._line_begun:
            self.write("\n")


def flush() -> None:
    """Write out what is buffered."""
    _write("")


def let_go() -> None:
    """Keep Python from writing what is buffered when it ends, if that cannot be written."""
    try:
        flush()
    except (EdgespecError, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write(text: str) -> None:
    if sys.stdout is None:
        return
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise EdgespecError(f"stdout cannot be written: {error.strerror}") from error
