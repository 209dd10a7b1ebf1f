"""From settings to a running engine, and from a request to text that streams to stdout."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from edgespec.catalog import Pair
from edgespec.cli import diagnostics
from edgespec.cli.interrupts import Interrupts
from edgespec.cli.options import ModelSettings
from edgespec.engine import Engine
from edgespec.events import Finish, Notice, Request, Round, StepEvent
from edgespec.loading import LoadOptions, OnNote, OnProgress, load, load_parts
from edgespec.matchmaking import best_pair
from edgespec.parts import Parts
from edgespec.placement.enumerate import Pins

_Loaded = TypeVar("_Loaded")


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer's text, and how it ended if it was not stopped by Ctrl+C."""

    text: str
    finish: Finish | None


class Reader(Protocol):
    """Where the pieces of an answer go."""

    def write(self, piece: str, /) -> None:
        """A piece has come."""

    def end(self, *, begun: bool = False) -> None:
        """There are no more; `begun` if "^C" began a line."""


def open_engine(settings: ModelSettings, interrupts: Interrupts) -> Engine:
    """Load the models that `settings` name. Ctrl+C raises KeyboardInterrupt."""
    options = load_options(settings)
    return _loaded(settings, interrupts, lambda pair, *told: load(pair, options, *told))


def open_parts(
    settings: ModelSettings, interrupts: Interrupts, sequences: int, *, alone: bool = False
) -> Parts:
    """Load the models that `settings` name for `sequences` answers at a time; as open_engine."""
    options = replace(load_options(settings), sequences=sequences, alone=alone)
    return _loaded(settings, interrupts, lambda pair, *told: load_parts(pair, options, *told))


def load_options(settings: ModelSettings) -> LoadOptions:
    """What `settings` ask for."""
    return LoadOptions(
        n_ctx=settings.context or 0,
        threads=settings.threads or 0,
        draft_length=settings.draft_length or 0,
        speculate=not settings.no_speculate,
        pins=pins(settings),
        kv_type=settings.kv_type,
        attention=settings.attention,
    )


def pins(settings: ModelSettings) -> Pins:
    """What `settings` decide of the plan."""
    return Pins(
        settings.device,
        settings.gpu_layers,
        settings.drafter_device,
        settings.cpu_experts,
        settings.cpus or "",
        settings.drafter_cpus or "",
    )


def _loaded(
    settings: ModelSettings,
    interrupts: Interrupts,
    load_pair: Callable[[Pair, OnProgress, OnNote], _Loaded],
) -> _Loaded:
    pair = best_pair(settings.model, settings.drafter, speculate=not settings.no_speculate)
    notes: list[str] = []
    with diagnostics.Progress() as progress:

        def report(what: str, fraction: float) -> bool:
            interrupts.check()
            progress.show(what, fraction)
            return True

        loaded = load_pair(pair, report, notes.append)
    for note in notes:
        diagnostics.note(note)
    return loaded


def answer(
    engine: Engine,
    request: Request,
    interrupts: Interrupts,
    output: Reader | None,
    tell: Callable[[StepEvent | Round], None] | None = None,
) -> Reply:
    """Produce one answer, shown on `output` as it comes. Ctrl+C ends it early.

    `tell` is called with all that happens, with rounds on the target's thread.
    """
    pieces: list[str] = []
    notes: list[str] = []
    finish: Finish | None = None
    interrupts.stop = engine.abort
    try:
        with closing(engine.generate(request, tell)) as events:
            if interrupts.pressed:  # While the prompt was made: there was nothing to abort yet.
                return Reply("", None)
            for event in events:
                if tell:
                    tell(event)
                if isinstance(event, Notice):
                    notes.append(event.text)
                    continue
                pieces.append(event.piece)
                if output:
                    output.write(event.piece)
                if isinstance(event, Finish):
                    finish = event
                elif interrupts.pressed:
                    break
    finally:
        if output:
            output.end(begun=interrupts.pressed)
    for note in notes:
        diagnostics.note(note)
    return Reply("".join(pieces), finish)
