"""A copy of the model that works on a batch in a process of its own, here or elsewhere."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from edgespec import catalog, measurements
from edgespec.batch.manners import Manners, on_battery, stand_back
from edgespec.batch.tasks import Load, Outcome, Task
from edgespec.batch.workers import working
from edgespec.catalog import Pair
from edgespec.cpus import bind
from edgespec.errors import ModelFileError
from edgespec.loading import LoadOptions, load_parts


@dataclass(frozen=True, slots=True)
class Setup:
    """What to load and how to work; `cpus` are the processors to stay on (none = any).

    Where the files of `pair` are not at their paths, `model` is looked up by its name. `identity`
    is that of the target's file.
    """

    model: str
    pair: Pair
    identity: str
    options: LoadOptions
    width: int | None
    nice: int
    pause_on_battery: bool
    cpus: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """What a copy says of itself: how it calls the model, and Parts.n_ctx and Executor.width."""

    description: str
    n_ctx: int
    width: int


@dataclass(frozen=True, slots=True)
class Report:
    """What came of the tasks since the last report."""

    outcome: Outcome | None
    load: Load


class Replica:
    """Loads what `setup` says, then answers tasks. Used by one thread."""

    def __init__(self, setup: Setup) -> None:
        if setup.cpus:
            bind(setup.cpus)
        stand_back(setup.nice)
        parts = load_parts(_pair(setup), setup.options)
        manners = Manners(on_battery if setup.pause_on_battery else None)
        self._stack = ExitStack()
        self._executor = self._stack.enter_context(
            working(parts, setup.width, manners, speculate=setup.options.speculate)
        )
        self._facts = Facts(parts.target.description, parts.n_ctx, self._executor.width)

    def facts(self) -> Facts:
        """What it is."""
        return self._facts

    def work(self, tasks: Sequence[Task]) -> Report:
        """Take on tasks; what was finished next. Raises BackendError if the engine failed."""
        for task in tasks:
            self._executor.submit(task)
        return Report(self._executor.next(), self._executor.load)

    def close(self) -> None:
        """Free everything."""
        self._stack.close()


def _pair(setup: Setup) -> Pair:
    pair = setup.pair
    if not pair.target.is_file():
        pair = catalog.resolve(setup.model, None, speculate=False)
    if measurements.identity(pair.target) != setup.identity:
        raise ModelFileError(
            f"{pair.target} is not the file that the batch was begun with",
            "bring the same file to every machine",
        )
    return pair
