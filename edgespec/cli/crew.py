"""Who answers a batch, by the options of the command line and by plan."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

from edgespec import measurements
from edgespec.batch import crew, nodes
from edgespec.batch.manners import Manners, on_battery, stand_back
from edgespec.batch.on_ray import cluster
from edgespec.batch.processes import ProcessWorker
from edgespec.batch.replica import Setup
from edgespec.batch.workers import MOST
from edgespec.cli import diagnostics
from edgespec.cli.interrupts import Interrupts
from edgespec.cli.options import CrewSettings, ModelSettings
from edgespec.cli.session import load_options, open_parts
from edgespec.matchmaking import best_pair
from edgespec.placement import ask
from edgespec.placement.place import place
from edgespec.topology import detect


def open_crew(
    model: ModelSettings, settings: CrewSettings, rows: int, interrupts: Interrupts
) -> AbstractContextManager[crew.Crew]:
    """Load the model, as often as `rows` rows are worth it. Ctrl+C raises KeyboardInterrupt."""
    setup = _setup(model, settings)
    if settings.ray is not None:
        return _on_ray(settings.ray, setup, interrupts.check)
    if parts := _processors(setup, settings, rows):
        return _in_processes(setup, parts, interrupts.check)
    stand_back(settings.nice)
    loaded = open_parts(model, interrupts, setup.options.sequences)
    manners = Manners(on_battery if settings.pause_on_battery else None)
    return crew.alone(loaded, setup.width, manners, speculate=setup.options.speculate)


def _setup(model: ModelSettings, settings: CrewSettings) -> Setup:
    pair = best_pair(model.model, model.drafter, speculate=not model.no_speculate)
    options = replace(load_options(model), sequences=max(settings.parallel or MOST, 2))
    return Setup(
        model.model or pair.name,
        replace(pair, target=pair.target.absolute()),
        measurements.identity(pair.target),
        options,
        settings.parallel,
        settings.nice,
        settings.pause_on_battery,
    )


def _processors(setup: Setup, settings: CrewSettings, rows: int) -> list[tuple[int, ...]]:
    """Those of each of several workers on this machine; empty if this process does it alone."""
    topology, options = detect.here(), setup.options
    if settings.workers is not None:
        return nodes.shared_out(topology, settings.workers) if settings.workers > 1 else []
    if len(topology.nodes) < 2 or options.threads or options.pins.cpus:
        return []
    alone = replace(setup.pair, drafter=None)
    question = ask.question(alone, options.n_ctx, options.kv_type, options.sequences)
    if place(question, options.pins).devices:
        return []
    return nodes.by_plan(topology, question.target_footprint().estimate.total, rows)


@contextmanager
def _in_processes(
    setup: Setup, parts: list[tuple[int, ...]], check: Callable[[], None]
) -> Iterator[crew.Crew]:
    workers = [
        ProcessWorker(
            replace(setup, cpus=cpus, options=replace(setup.options, copied=True)),
            f"worker {number}",
            check,
        )
        for number, cpus in enumerate(parts, 1)
    ]
    with crew.together(setup, workers, diagnostics.note) as ready:
        yield ready


@contextmanager
def _on_ray(address: str, setup: Setup, check: Callable[[], None]) -> Iterator[crew.Crew]:
    with (
        cluster(address, setup, check) as workers,
        crew.together(setup, workers, diagnostics.note) as ready,
    ):
        yield ready
