"""How a pull is shown: bars in a terminal, lines elsewhere, or JSON events."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Protocol

from edgespec.cli import diagnostics
from edgespec.cli.output import Output, is_terminal
from edgespec.cli.table import size_text
from edgespec.hub.choice import Chosen
from edgespec.hub.names import base, shown
from edgespec.hub.progress import Progress, State
from edgespec.library import Installed
from edgespec.pulling import Plan

if TYPE_CHECKING:
    from rich.progress import TaskID

_STEP = 10
"""Per cent between two lines."""


class Display(Protocol):
    """Where a pull tells what it does."""

    def plan(self, plan: Plan) -> None:
        """This is what will be fetched."""

    def progress(self, progress: Progress) -> None:
        """A file went on."""

    def finished(self, installed: Sequence[Installed]) -> None:
        """All of it is here."""


@contextmanager
def display(as_json: bool) -> Iterator[Display]:
    """The display for where stdout and stderr go."""
    if as_json:
        yield _Json()
    elif is_terminal(sys.stderr) and os.environ.get("TERM") != "dumb":
        with _bars() as bars:
            yield bars
    else:
        yield _Lines()


class _Json:
    """One object per line on stdout; "event" tells its kind."""

    def __init__(self) -> None:
        self._output = Output()

    def plan(self, plan: Plan) -> None:
        for chosen in plan.models:
            self._write(
                "chosen",
                model=chosen.model.name,
                commit=chosen.model.commit,
                size=chosen.model.size,
                memory=chosen.needs,
                rate=chosen.rate,
                licence=chosen.licence,
            )
        for note in plan.notes:
            self._write("note", text=note)

    def progress(self, progress: Progress) -> None:
        self._write("progress", **asdict(progress))

    def finished(self, installed: Sequence[Installed]) -> None:
        for model in installed:
            self._write("done", model=model.name, path=str(model.path))

    def _write(self, event: str, **values: object) -> None:
        self._output.write(json.dumps({"event": event, **values}) + "\n")


class _Lines:
    """Lines on stderr: what is fetched, every ten per cent of it, and what went wrong meanwhile."""

    def __init__(self) -> None:
        self._output = Output()
        self._told: dict[str, int] = {}
        self._notes: dict[str, str] = {}

    def plan(self, plan: Plan) -> None:
        for chosen in plan.models:
            diagnostics.say(describe(chosen))
        for note in plan.notes:
            diagnostics.note(note)

    def progress(self, progress: Progress) -> None:
        if progress.state is State.WAITING and self._notes.get(progress.file) != progress.note:
            self._notes[progress.file] = progress.note
            diagnostics.note(f"{shown(base(progress.file))}: {shown(progress.note)}")
        done = _percent(progress)
        if done >= self._told.get(progress.file, 0) + _STEP:
            self._told[progress.file] = done - done % _STEP
            diagnostics.say(f"{shown(base(progress.file))}: {self._told[progress.file]} %")

    def finished(self, installed: Sequence[Installed]) -> None:
        say_finished(self._output, installed)


class _Bars(_Lines):
    """A bar per file in a terminal, and the notes above them."""

    def __init__(self, rows: "Rows") -> None:
        super().__init__()
        self._rows = rows

    def progress(self, progress: Progress) -> None:
        self._rows.update(progress)

    def finished(self, installed: Sequence[Installed]) -> None:
        self._rows.close()
        super().finished(installed)


class Rows:
    """rich's bars, a row for each file."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )
        from rich.progress import Progress as Bars

        self._bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=Console(file=sys.stderr),
        )
        self._tasks: dict[tuple[str, str], TaskID] = {}

    def update(self, progress: Progress) -> None:
        """Draw where the file is now."""
        key = progress.model, progress.file
        if key not in self._tasks:
            name = shown(base(progress.file))
            self._tasks[key] = self._bars.add_task(name, total=progress.total, note="")
            self._bars.start()
        state = progress.state
        plain = state in (State.FETCHING, State.DONE)
        note = "" if plain else shown(progress.note) or state.value
        self._bars.update(self._tasks[key], completed=progress.done, note=note)

    def close(self) -> None:
        """Leave the bars as they are."""
        self._bars.stop()


@contextmanager
def _bars() -> Iterator[_Bars]:
    rows = Rows()
    try:
        yield _Bars(rows)
    finally:
        rows.close()


def describe(chosen: Chosen) -> str:
    """What will be there and what it will need, in one line."""
    rate = f", about {chosen.rate:.1f} tok/s by itself" if chosen.rate else ""
    licence = f", licence {shown(chosen.licence)}" if chosen.licence else ""
    return (
        f"{shown(chosen.model.name)}: {size_text(chosen.model.size)}, about "
        f"{chosen.needs / 2**30:.1f} GiB of memory to run{rate}{licence}"
    )


def say_finished(output: Output, installed: Sequence[Installed]) -> None:
    """Tell on stdout what is there now and how to use it."""
    target = installed[-1]
    for drafter in installed[:-1]:
        output.write(f"{drafter.name} is here\n")
    output.write(f"{target.name} is here: edgespec run -m {target.name}\n")


def _percent(progress: Progress) -> int:
    return progress.done * 100 // progress.total if progress.total else 100
