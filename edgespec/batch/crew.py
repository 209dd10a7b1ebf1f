"""Who answers a batch: this process alone, or several workers with a model of their own each."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from edgespec.batch.manners import Manners
from edgespec.batch.pool import Pool, Worker
from edgespec.batch.replica import Setup
from edgespec.batch.tasks import Executor
from edgespec.batch.workers import working
from edgespec.parts import Parts
from edgespec.protocols import Model, ModelOptions, backend


@dataclass(frozen=True, slots=True)
class Crew:
    """What answers, and what is needed to ask it.

    `model` has a tokenizer and compiles grammars; answers with their prompts have at most `n_ctx`
    tokens.
    """

    executor: Executor
    model: Model
    description: str
    n_ctx: int


@contextmanager
def alone(parts: Parts, width: int | None, manners: Manners, *, speculate: bool) -> Iterator[Crew]:
    """This process with what it has loaded."""
    with working(parts, width, manners, speculate=speculate) as executor:
        yield Crew(executor, parts.target, parts.target.description, parts.n_ctx)


@contextmanager
def together(
    setup: Setup, workers: Sequence[Worker], tell: Callable[[str], None]
) -> Iterator[Crew]:
    """All of `workers`, with one queue; `tell` is called when one of them is lost."""
    with ExitStack() as stack:
        for worker in workers:
            stack.callback(worker.close, at_once=True)
        model = backend("llamacpp")(setup.pair.target, ModelOptions(1, vocabulary_only=True), None)
        stack.callback(model.close)
        facts = [worker.facts() for worker in workers]
        pool = Pool(workers, tell)
        stack.callback(pool.close)
        yield Crew(pool, model, facts[0].description, min(each.n_ctx for each in facts))
