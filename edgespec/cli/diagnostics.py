"""stderr: failures, notes, progress and the line of statistics."""

import errno
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

from edgespec import __version__
from edgespec.cli.output import flush, is_terminal, printable
from edgespec.errors import EdgespecError, ExitCode, NotEnoughMemory

if TYPE_CHECKING:
    from edgespec.events import Stats

_PATIENCE = 0.5
_REFUSALS = {errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
_ERASE = "\r\x1b[K"


def say(text: str) -> None:
    """One or more lines on stderr, after all that stdout was given before."""
    with suppress(OSError, EdgespecError):  # It may be stdout that failed.
        flush()
    click.echo(printable(text), err=True)


def note(text: str) -> None:
    """Something the user should know that stops nothing."""
    say(f"edgespec: note: {_one_line(text)}")


def error(what: str, hint: str = "") -> None:
    """What failed, and what to do next."""
    say(f"edgespec: error: {_one_line(what)}" + (f"; {_one_line(hint)}" if hint else ""))


def end_line() -> None:
    """Let the shell's prompt begin on a line of its own, after the "^C" of a terminal."""
    if is_terminal(sys.stderr):
        say("")


def unexpected(failure: Exception) -> ExitCode:
    """A failure that nobody reported: one line here, and its exit code."""
    known = logged(failure)
    error(known.what, known.hint)
    return known.exit_code


def logged(failure: Exception) -> EdgespecError:
    """What to say about a failure that nobody reported.

    What the system can refuse anywhere is said as it is; anything else goes to the log.
    """
    if isinstance(failure, MemoryError):
        return NotEnoughMemory(
            "there is not enough memory", "close other programs, or use less context"
        )
    if isinstance(failure, OSError) and failure.errno in _REFUSALS:
        place = f"{failure.filename}: " if failure.filename else ""
        return EdgespecError(f"{place}{failure.strerror}")
    what = f"unexpected {type(failure).__name__}: {failure}"
    try:
        return EdgespecError(what, f"the details are in {_log(failure)}")
    except Exception:
        return EdgespecError(what)


def stats_line(stats: "Stats", seed: int) -> str:
    """What an answer cost and what speculation gained, in one line."""
    parts = [f"{stats.tokens} token{'s' * (stats.tokens != 1)}"]
    if stats.tokens_per_second is not None:
        parts.append(f"{stats.tokens_per_second:.1f} tok/s")
    if stats.speedup is not None:
        parts.append(f"{stats.speedup:.2f}x plain")
    parts.append(f"TTFT {stats.ttft:.2f} s")
    if stats.acceptance_rate is not None:
        parts.append(f"acceptance {stats.acceptance_rate:.0%}")
    elif stats.speedup is not None:
        parts.append("nothing drafted, since it would not have paid")
    if stats.mean_accepted_length is not None:
        parts.append(f"mean accepted length {stats.mean_accepted_length:.2f}")
    if stats.ties:
        parts.append(f"ties {stats.ties}")
    return ", ".join([*parts, f"seed {seed}"])


class Progress:
    """A line that rewrites itself while something takes its time; only a terminal sees it."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._begin = clock()
        self._wanted = is_terminal(sys.stderr) and os.environ.get("TERM") != "dumb"
        self._shown = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._shown:
            click.echo(_ERASE, nl=False, err=True)

    def show(self, what: str, fraction: float) -> None:
        """Say how much of `what` is done."""
        if not self._wanted or self._clock() - self._begin < _PATIENCE:
            return
        text = f"{what} {fraction:4.0%}"[: _columns() - 1]
        if text != self._shown:
            self._shown = text
            click.echo(_ERASE + text, nl=False, err=True)


def _columns() -> int:
    return os.get_terminal_size(sys.stderr.fileno()).columns or 80


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _log(failure: Exception) -> str:
    from datetime import UTC, datetime
    from traceback import format_exception

    from edgespec import own_files, paths

    file = paths.log_dir() / "edgespec.log"
    own_files.make_folder(file.parent)
    own_files.make_private(file)
    with file.open("a", encoding="utf-8", errors="replace") as log:
        log.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC edgespec {__version__}\n")
        log.writelines(format_exception(failure))
    return str(file)
