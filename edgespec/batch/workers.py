"""How loaded models are put to work on a batch: as many answers at a time as pay."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

from edgespec.batch.batcher import Batcher
from edgespec.batch.continuous import ContinuousExecutor
from edgespec.batch.drafts import Drafts
from edgespec.batch.pace import Pace
from edgespec.batch.sequential import SequentialExecutor
from edgespec.batch.tasks import Executor
from edgespec.costs import CostModel
from edgespec.engine import Engine
from edgespec.loading import Parts
from edgespec.protocols import OrderedContext, Rollback
from edgespec.sources.suffix import SuffixMatch

MOST = 32
"""Answers at a time unless told otherwise: larger steps are not measured."""


@contextmanager
def working(parts: Parts, width: int | None, *, speculate: bool) -> Iterator[Executor]:
    """An executor of `width` answers at a time (None: as many as measurement says), then frees all.

    Models that cannot take single tokens back answer one prompt after the other.
    """
    context = shared_context(parts)
    if context is None:
        with parts.engine([SuffixMatch()] if speculate else []) as engine:
            yield SequentialExecutor(engine)
        return
    width = width or best_width(parts.policy.costs)
    batcher = batcher_of(parts, context, width, speculate=speculate)
    executor = ContinuousExecutor(batcher, width, parts.thread, context.abort)
    try:
        yield executor
    finally:
        executor.close()
        parts.thread.shutdown(wait=True)
        parts.close()


@contextmanager
def sharing(parts: Parts, engine: Engine, width: int, *, speculate: bool) -> Iterator[Executor]:
    """As `working`, while `engine`, which was made of `parts` and goes on to own them, rests."""
    context = shared_context(parts)
    if context is None or width == 1:
        yield SequentialExecutor(engine)
        return
    with engine.lent() as held:
        batcher = batcher_of(parts, context, width, speculate=speculate, held=tuple(held))
        held.clear()
        with closing(ContinuousExecutor(batcher, width, parts.thread, context.abort)) as executor:
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
    *,
    speculate: bool,
    held: Sequence[int] = (),
    prompt: int = 0,
) -> Batcher:
    """A batcher of `width` answers at a time over the `context` of `parts`.

    Its sequence 0 holds `held`, of which `prompt` tokens were a prompt, and nothing else.
    """
    pace = Pace(parts.policy.costs)
    drafts = Drafts(pace, parts.acceptance) if speculate else None
    return Batcher(
        parts.target, context, pace, width, parts.n_ctx, drafts, held=held, prompt=prompt
    )


def best_width(costs: CostModel) -> int:
    """The number of answers at a time that yields most tokens per second."""
    return max(range(1, MOST + 1), key=lambda width: width / costs.verify(width, 0))
