"""How loaded models are put to work on a batch: as many answers at a time as pay."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from time import perf_counter

from edgespec.batch.batcher import Batcher
from edgespec.batch.continuous import ContinuousExecutor
from edgespec.batch.drafts import Drafts
from edgespec.batch.manners import Manners
from edgespec.batch.pace import Pace
from edgespec.batch.seats import BatchDrafter
from edgespec.batch.sequential import SequentialExecutor
from edgespec.batch.tasks import Executor
from edgespec.costs import CostModel
from edgespec.engine import Engine
from edgespec.parts import Parts
from edgespec.protocols import OrderedContext, Rollback
from edgespec.recall import Recall
from edgespec.sources.suffix import SuffixMatch

MOST = 32
"""Answers at a time unless told otherwise: larger steps are not measured."""


@contextmanager
def working(
    parts: Parts, width: int | None, manners: Manners, *, speculate: bool
) -> Iterator[Executor]:
    """An executor of `width` answers at a time (None: as many as measurement says), then frees all.

    Models that cannot take single tokens back answer one prompt after the other.
    """
    context = shared_context(parts)
    if context is None:
        sources = [SuffixMatch()] if speculate else []
        with parts.engine(sources, clock=manners.now) as engine:
            yield SequentialExecutor(engine, manners)
        return
    width = width or best_width(parts.policy.costs)
    batcher = batcher_of(parts, context, width, manners.now, speculate=speculate)
    executor = ContinuousExecutor(batcher, width, parts.thread, context, manners, parts.rebalancer)
    try:
        yield executor
    finally:
        executor.close()
        parts.thread.shutdown(wait=True)
        parts.close()


@contextmanager
def sharing(
    parts: Parts, engine: Engine, width: int, manners: Manners, *, speculate: bool
) -> Iterator[Executor]:
    """As `working`, while `engine`, which was made of `parts` and goes on to own them, rests."""
    context = shared_context(parts)
    if context is None or width == 1:
        yield SequentialExecutor(engine, manners)
        return
    with engine.lent() as held:
        batcher = batcher_of(
            parts, context, width, manners.now, speculate=speculate, held=tuple(held)
        )
        held.clear()
        executor = ContinuousExecutor(
            batcher, width, parts.thread, context, manners, parts.rebalancer
        )
        with closing(executor):
            yield executor


def shared_context(parts: Parts) -> OrderedContext | None:
    """The target's context if several answers at a time can share it."""
    context = parts.context
    if context.rollback is Rollback.ANY and isinstance(context, OrderedContext):
        return context
    return None


def batcher_of(
    parts: Parts,
    context: OrderedContext,
    width: int,
    clock: Callable[[], float] = perf_counter,
    *,
    speculate: bool,
    held: Sequence[int] = (),
    prompt: int = 0,
    recall: Recall | None = None,
) -> Batcher:
    """A batcher of `width` answers at a time over the `context` of `parts`.

    Its sequence 0 holds `held`, of which `prompt` tokens were a prompt, and nothing else; `recall`
    has earlier texts, and gets what is given up.
    """
    pace = Pace(parts.policy.costs)
    drafts = Drafts(pace, parts.acceptance, _drafter(parts)) if speculate else None
    target, n_ctx = parts.target, parts.n_ctx
    return Batcher(target, context, pace, width, n_ctx, drafts, clock, held, prompt, recall)


def _drafter(parts: Parts) -> BatchDrafter | None:
    """The drafter, if it can draft for several answers."""
    if parts.drafter is None or parts.drafter.context.max_outputs == 1:
        return None
    context = parts.drafter.context
    return BatchDrafter(context, parts.target.tokenizer.n_vocab, context.max_outputs)


def best_width(costs: CostModel) -> int:
    """The number of answers at a time that yields most tokens per second."""
    return max(range(1, MOST + 1), key=lambda width: width / costs.verify(width, 0))
