"""How loaded models are put to work on a batch: as many answers at a time as pay."""

from collections.abc import Iterator
from contextlib import contextmanager

from edgespec.batch.batcher import Batcher
from edgespec.batch.continuous import ContinuousExecutor
from edgespec.batch.drafts import Drafts
from edgespec.batch.pace import Pace
from edgespec.batch.seats import BatchDrafter
from edgespec.batch.sequential import SequentialExecutor
from edgespec.batch.tasks import Executor
from edgespec.costs import CostModel
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
    context = parts.context
    if context.rollback is not Rollback.ANY or not isinstance(context, OrderedContext):
        with parts.engine([SuffixMatch()] if speculate else []) as engine:
            yield SequentialExecutor(engine)
        return
    costs = parts.policy.costs
    width = width or best_width(costs)
    pace = Pace(costs)
    small = parts.drafter.context if parts.drafter else None
    n_vocab = parts.target.tokenizer.n_vocab
    drafter = BatchDrafter(small, n_vocab, small.max_outputs) if small else None
    drafts = Drafts(pace, parts.acceptance, drafter) if speculate else None
    batcher = Batcher(parts.target, context, pace, width, parts.n_ctx, drafts)
    executor = ContinuousExecutor(batcher, width, parts.thread, context.abort)
    try:
        yield executor
    finally:
        executor.close()
        parts.thread.shutdown(wait=True)
        parts.close()


def best_width(costs: CostModel) -> int:
    """The number of answers at a time that yields most tokens per second."""
    return max(range(1, MOST + 1), key=lambda width: width / costs.verify(width, 0))
