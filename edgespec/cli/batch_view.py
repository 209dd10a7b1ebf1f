"""A batch as it is watched: a line on a terminal, or JSON for other programs."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from time import monotonic
from typing import TYPE_CHECKING

from edgespec.cli import diagnostics
from edgespec.cli.output import Output

if TYPE_CHECKING:
    from edgespec.batch.progress import Progress

_EVENT_EVERY = 1.0
_LINE_EVERY = 0.2

Show = Callable[["Progress"], None]


class Stdout:
    """stdout as the place where the rows go."""

    def __init__(self) -> None:
        self._output = Output()

    def append(self, data: bytes) -> None:
        """Write whole lines and flush them."""
        self._output.write(data.decode("utf-8"))


@contextmanager
def view(*, as_json: bool) -> Iterator[Show]:
    """What to call with every moment of a batch; it shows one now and then, and the last one."""
    last: Progress | None = None
    shown: Progress | None = None
    due = 0.0
    with diagnostics.Progress() as line:
        output = Output() if as_json else None

        def show(progress: "Progress") -> None:
            nonlocal last, shown, due
            last = progress
            if (now := monotonic()) < due:
                return
            shown = progress
            if output:
                output.write(_event(progress))
            else:
                line.show(_line(progress), progress.done / progress.rows)
            due = now + (_EVENT_EVERY if output else _LINE_EVERY)

        yield show
        if output and last and last is not shown:
            output.write(_event(last))


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


def _line(progress: "Progress") -> str:
    parts = [
        *([f"paused: {progress.resting}"] if progress.resting else []),
        f"{progress.done}/{progress.rows} rows",
        *([f"{progress.failed} failed"] if progress.failed else []),
        "ETA ?" if progress.eta is None else f"ETA {_duration(progress.eta)}",
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
