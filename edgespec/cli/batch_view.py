"""A batch as it is watched: a bar on a terminal, or JSON for other programs."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from time import monotonic
from typing import TYPE_CHECKING

from edgespec.cli.output import Output, is_terminal

if TYPE_CHECKING:
    from edgespec.batch.progress import Progress

_EVENT_EVERY = 1.0
_DRAWN_EVERY = 0.2

Show = Callable[["Progress"], None]


class Stdout:
    """stdout as the place where the rows go."""

    def __init__(self) -> None:
        self._output = Output()

    def append(self, data: bytes) -> None:
        """Write whole lines and flush them."""
        self._output.write(data.decode("utf-8"))


@contextmanager
def view(*, as_json: bool, to_stdout: bool) -> Iterator[Show]:
    """What to call with every moment of a batch; it shows one now and then, and the last one.

    Answers that go `to_stdout` have a terminal to themselves.
    """
    last: Progress | None = None
    shown: Progress | None = None
    due = 0.0
    busy = to_stdout and is_terminal(sys.stdout)
    with _events() if as_json else _bar(wanted=not busy) as tell:

        def show(progress: "Progress") -> None:
            nonlocal last, shown, due
            last = progress
            if (now := monotonic()) >= due:
                shown = progress
                due = now + (_EVENT_EVERY if as_json else _DRAWN_EVERY)
                tell(progress)

        yield show
        if last and last is not shown:
            tell(last)


@contextmanager
def _events() -> Iterator[Show]:
    """An object per line on stdout."""
    output = Output()
    yield lambda progress: output.write(_event(progress))


@contextmanager
def _bar(*, wanted: bool) -> Iterator[Show]:
    """A bar and a line of rates, which go when the batch ends; only a terminal sees them."""
    if not wanted or not is_terminal(sys.stderr) or os.environ.get("TERM") == "dumb":
        yield lambda _: None
        return
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    def draw(progress: "Progress") -> None:
        head = Table.grid(padding=(0, 2), expand=True)
        head.add_column(ratio=1)
        head.add_row(ProgressBar(progress.rows, progress.done), Text(_how_far(progress)))
        rates = Text(_rates(progress), no_wrap=True, overflow="ellipsis")
        live.update(Group(head, rates), refresh=True)

    console = Console(file=sys.stderr)
    with Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False) as live:
        yield draw


def totals(progress: "Progress") -> str:
    """What a batch cost, in one line."""
    parts = [
        f"{progress.done} rows",
        f"{progress.tokens} tokens in {_duration(progress.seconds)}",
        f"{progress.tokens_per_second:.1f} tok/s",
        f"{progress.drafts:.1f} drafts a step",
    ]
    if progress.acceptance is not None:
        parts.append(f"acceptance {progress.acceptance:.0%}")
    return ", ".join(parts)


def _how_far(progress: "Progress") -> str:
    eta = "?" if progress.eta is None else _duration(progress.eta)
    return f"{progress.done}/{progress.rows} rows  ETA {eta}"


def _rates(progress: "Progress") -> str:
    parts = [
        *([f"paused: {progress.resting}"] if progress.resting else []),
        *([f"{progress.failed} failed"] if progress.failed else []),
        f"{progress.rows_per_second:.2f} rows/s",
        f"{progress.tokens_per_second:.0f} tok/s",
        f"{progress.active} active",
        f"K {progress.drafts:.1f}",
    ]
    if progress.acceptance is not None:
        parts.append(f"acceptance {progress.acceptance:.0%}")
    return ", ".join(parts)


def _event(progress: "Progress") -> str:
    return json.dumps({"event": "progress", **asdict(progress)}) + "\n"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
