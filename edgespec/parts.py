"""A loaded pair, before it is put to work."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from time import perf_counter

from edgespec.acceptance import AcceptanceModel
from edgespec.controller import Policy
from edgespec.engine import Engine
from edgespec.protocols import Context, Model
from edgespec.rebalancing import Rebalancer
from edgespec.sources.drafter import ModelDrafter
from edgespec.sources.source import InstantSource


@dataclass(frozen=True, slots=True)
class Parts:
    """What an engine or a batch is made of; see Engine for what they are.

    `n_ctx` limits a single answer with its prompt; the context may hold more in all.
    """

    target: Model
    context: Context
    policy: Policy
    acceptance: AcceptanceModel
    drafter: ModelDrafter | None
    close: Callable[[], None]
    thread: ThreadPoolExecutor
    fingerprint: str
    n_ctx: int
    rebalancer: Rebalancer | None = None

    def engine(
        self,
        sources: Sequence[InstantSource],
        claim: Callable[[], AbstractContextManager[object]] = nullcontext,
        clock: Callable[[], float] = perf_counter,
    ) -> Engine:
        """An engine that owns them."""
        return Engine(
            self.target,
            self.context,
            self.policy,
            self.acceptance,
            sources,
            self.drafter,
            self.close,
            self.thread,
            self.fingerprint,
            claim,
            clock,
            self.n_ctx,
            self.rebalancer,
        )
