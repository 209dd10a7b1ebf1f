"""The engine: a target, its draft sources and the thread that answers requests with them."""

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from queue import Empty, SimpleQueue
from threading import Condition, Lock
from time import perf_counter
from types import TracebackType
from typing import Self, TypeVar

from edgespec.acceptance import AcceptanceModel
from edgespec.answer import Answer
from edgespec.cache import Cache
from edgespec.controller import Policy
from edgespec.costs import CostModel
from edgespec.drafting import DraftThread
from edgespec.errors import Aborted, BackendError, ContextOverflow, InvalidInput
from edgespec.events import Notice, Request, Round, StepEvent
from edgespec.holdings import Holdings
from edgespec.protocols import Context, Model, Rollback
from edgespec.rebalancing import Rebalancer
from edgespec.recall import Recall
from edgespec.sampling.sampler import Sampler
from edgespec.scheduler import Scheduler
from edgespec.snapshots import Snapshot
from edgespec.sources.drafter import ModelDrafter
from edgespec.sources.source import InstantSource
from edgespec.upkeep import Upkeep

_Found = TypeVar("_Found")
_Outcome = StepEvent | BaseException | None

_RUNNING = "another answer is still running on this engine"


class Engine:
    """Answers one request at a time, on a thread of its own.

    The target's context is used by that thread alone: OpenMP keeps a team of workers per calling
    thread, and two teams on one set of cores make each other sleep at every barrier. So `thread` is
    the one that used the context before, if any did. `on_close` frees what the contexts were made
    from. An answer is produced inside of `claim`; `clock` stands still while nothing can go on.
    `n_ctx` limits an answer with its prompt, if not to all that the context holds.
    """

    def __init__(
        self,
        target: Model,
        context: Context,
        policy: Policy,
        acceptance: AcceptanceModel,
        sources: Sequence[InstantSource] = (),
        drafter: ModelDrafter | None = None,
        on_close: Callable[[], None] = lambda: None,
        thread: ThreadPoolExecutor | None = None,
        fingerprint: str = "",
        claim: Callable[[], AbstractContextManager[object]] = nullcontext,
        clock: Callable[[], float] = perf_counter,
        n_ctx: int = 0,
        rebalancer: Rebalancer | None = None,
    ) -> None:
        self.target = target
        self.n_ctx = n_ctx or context.n_ctx
        self.fingerprint = fingerprint
        """Of everything that a snapshot depends on."""
        self._cache = Cache(context, n_ctx)
        self._sources = list(sources)
        self._policy = policy
        self._acceptance = acceptance
        self._monitor = Condition()
        self._drafter = DraftThread(drafter, policy.costs, self._monitor) if drafter else None
        self._holdings = Holdings(self._cache, self._drafter)
        self._on_close = on_close
        self._thread = thread or target_thread()
        self._claim = claim
        self._clock = clock
        self._upkeep = Upkeep(self._thread, rebalancer, self._drafter, claim)
        self._busy = Lock()
        self._closed = False

    @property
    def costs(self) -> CostModel:
        """What steps cost here, as measured and since observed."""
        return self._policy.costs

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def generate(
        self, request: Request, on_round: Callable[[Round], None] | None = None
    ) -> Generator[StepEvent]:
        """The events of one answer; closing the iterator at any of them stops the answer.

        `on_round` is told of every round, on the target's thread.

        Raises ContextOverflow if the prompt leaves no room for an answer, InvalidInput for an
        empty prompt, an unknown token id or a grammar that does not parse, and BackendError if
        the target fails, another answer is still running or the engine is closed.
        """
        self._check(request)
        grammar = request.sampling.grammar
        sampler = Sampler(
            request.sampling,
            request.prompt,
            grammar=self.target.grammar(grammar) if grammar is not None else None,
            choice=request.choice,
        )
        return self._stream(request, sampler, on_round)

    def snapshot(self, limit: int) -> Snapshot | None:
        """What the caches hold, None if nothing or more than `limit` bytes. Waits for an answer."""
        return self._ask(self._holdings.snapshot, limit)

    def adopt(self, snapshot: Snapshot) -> bool:
        """Hold a snapshot's tokens in place of what the caches hold; False if that is refused.

        It must have been taken from an engine of the same models and settings.
        """
        return self._ask(self._holdings.adopt, snapshot)

    def shared(self, prompt: Sequence[int]) -> int:
        """How many tokens of `prompt` need no decoding."""
        return self._ask(self._cache.shared, prompt)

    def recollect(self, prompt: Sequence[int], recall: Recall, wide: int) -> None:
        """Hold what `recall` has of `prompt`, if that is far more than what the caches have.

        It gets what they hold of another text, whose first `wide` tokens stand in wide pieces.
        """
        self._ask(self._holdings.recollect, prompt, recall, wide)

    @contextmanager
    def lent(self) -> Iterator[list[int]]:
        """Inside, the contexts and the target's thread are free for work of another kind.

        The drafter's is empty. The list is of the tokens that sequence 0 of the target's holds, and
        nothing else is held. Whoever changes that changes the list; if it is empty in the end, the
        context may hold anything. Raises BackendError while an answer is running, or if the engine
        is closed.
        """
        with self._alone():
            try:
                self._cache.context.resume()
                self._require_open()
                self._thread.submit(self._cache.settle).result()
                self._empty_drafter()
                yield self._cache.tokens
            finally:
                self._empty_drafter()
                if not (self._closed or self._cache.tokens):
                    self._thread.submit(self._cache.forget).result()

    def catch_up(self) -> None:
        """Do at once what would be done once nobody waits. Raises BackendError as `lent` does."""
        with self._alone():
            self._upkeep.catch_up()

    def abort(self) -> None:
        """Stop the running answer, from any thread; its iterator then ends without a Finish."""
        self._cache.context.abort()
        if self._drafter:
            self._drafter.end()

    def close(self) -> None:
        """Stop what runs and free everything. Idempotent."""
        self._closed = True
        self._upkeep.close()
        self.abort()
        self._thread.shutdown(wait=True)
        if self._drafter:
            self._drafter.close()
        self._on_close()

    def _check(self, request: Request) -> None:
        self._require_open()
        if not request.prompt:
            raise InvalidInput("the prompt is empty")
        if request.max_tokens is not None and request.max_tokens < 1:
            raise InvalidInput(f"max_tokens = {request.max_tokens}", "it must be at least 1")
        if not all(0 <= token < self.target.tokenizer.n_vocab for token in request.tokens):
            raise InvalidInput("the prompt has a token id outside the vocabulary")
        if len(request.tokens) > self.n_ctx:
            raise ContextOverflow(
                f"the prompt has {len(request.tokens)} tokens, the context holds {self.n_ctx}",
                "shorten it or raise --context",
            )

    def _stream(
        self, request: Request, sampler: Sampler, on_round: Callable[[Round], None] | None
    ) -> Generator[StepEvent]:
        with self._alone():
            if note := self._upkeep.take_note():
                yield Notice(note)
            outcomes: SimpleQueue[_Outcome] = SimpleQueue()
            self._cache.context.resume()
            self._require_open()  # Not before: a close from now on sets the flag for good.
            prepare = partial(self._prepare, request, sampler, on_round)
            job = self._thread.submit(self._answer, prepare, outcomes.put)
            try:
                while (outcome := _take(outcomes)) is not None:
                    if isinstance(outcome, BaseException):
                        raise outcome
                    yield outcome
            finally:
                self.abort()
                job.result()

    def _answer(self, prepare: Callable[[], Answer], put: Callable[[_Outcome], None]) -> None:
        try:
            with self._claim():
                for event in prepare().events():
                    put(event)
        except Aborted:
            put(None)
        except BaseException as error:
            put(error)
        else:
            put(None)

    def _prepare(
        self, request: Request, sampler: Sampler, on_round: Callable[[Round], None] | None
    ) -> Answer:
        drafter = self._drafter if request.speculate else None
        scheduler = Scheduler(
            self._policy,
            self._acceptance,
            max_drafts=self._cache.context.max_outputs - 1,
            drafting=drafter is not None and drafter.usable,
            branching=self._cache.branches > 0,
            replays=self._cache.context.rollback is Rollback.CHECKPOINT,
        )
        return Answer(
            request,
            self._cache,
            self.target.tokenizer,
            sampler,
            scheduler,
            self._sources,
            drafter,
            self._monitor,
            self._clock,
            on_round=on_round,
        )

    def _empty_drafter(self) -> None:
        if self._drafter and not self._closed:
            with self._drafter.resting() as drafter:
                drafter.context.resume()
                drafter.forget()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Inside, nobody else uses the contexts. Raises BackendError while an answer is running."""
        if not self._busy.acquire(blocking=False):
            raise BackendError(_RUNNING)
        try:
            with self._upkeep.put_off():
                yield
        finally:
            self._busy.release()

    def _ask(self, what: Callable[..., _Found], *arguments: object) -> _Found:
        """What a call on the target's thread returns."""
        with self._upkeep.put_off():
            return self._thread.submit(what, *arguments).result()

    def _require_open(self) -> None:
        if self._closed:
            raise BackendError("the engine is closed")


def target_thread() -> ThreadPoolExecutor:
    """A thread for a target to live on."""
    return ThreadPoolExecutor(1, thread_name_prefix="edgespec-target")


def _take(outcomes: SimpleQueue[_Outcome]) -> _Outcome:
    # A wait without a timeout cannot be interrupted by Ctrl+C on Windows.
    while True:
        try:
            return outcomes.get(timeout=0.5)
        except Empty:
            continue
