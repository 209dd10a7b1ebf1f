"""One answer: prefill, then rounds of draft, verify and accept until it ends."""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from threading import Condition
from time import perf_counter

from edgespec.cache import Cache
from edgespec.controller import Wait
from edgespec.drafting import DraftThread
from edgespec.events import (
    Finish,
    FinishReason,
    Logprobs,
    Notice,
    Request,
    Round,
    Source,
    Stats,
    StepEvent,
    Token,
)
from edgespec.protocols import Logits, Tokenizer
from edgespec.sampling.logprobs import logprobs
from edgespec.sampling.sampler import Sampler
from edgespec.scheduler import Scheduler
from edgespec.sources.source import InstantSource
from edgespec.text import TextStream
from edgespec.tree import Node
from edgespec.verification import Verification


@dataclass(slots=True)
class _Counts:
    cached: int = 0
    tokens: int = 0
    rounds: int = 0
    drafted: int = 0
    accepted: int = 0
    ties: int = 0


class Answer:
    """Produces the events of one request.

    The target's own choice is what is emitted, always; a draft only decides how many choices one
    target decode yields. Dropping the iterator anywhere is fine: `cache.tokens` is the truth.
    """

    def __init__(
        self,
        request: Request,
        cache: Cache,
        tokenizer: Tokenizer,
        sampler: Sampler,
        scheduler: Scheduler,
        sources: Sequence[InstantSource] = (),
        drafter: DraftThread | None = None,
        monitor: Condition | None = None,
        clock: Callable[[], float] = perf_counter,
        on_round: Callable[[Round], None] | None = None,
    ) -> None:
        self._request = request
        self._cache = cache
        self._tokenizer = tokenizer
        self._sampler = sampler
        self._scheduler = scheduler
        self._sources = sources
        self._drafter = drafter
        self._monitor = monitor or Condition()
        self._clock = clock
        self._on_round = on_round
        self._history = list(request.tokens)
        self._text = TextStream(request.stop)
        self._counts = _Counts(tokens=len(request.begun))
        for token in request.begun:
            sampler.accept(token)
            self._text.push(tokenizer.piece(token))
        self._reason: FinishReason | None = None

    def events(self) -> Iterator[StepEvent]:
        """Tokens as they are decided, then one Finish."""
        begin = self._clock()
        if self._drafter:
            self._drafter.begin(self._scheduler, self._request.tokens, self._sampler)
        try:
            self._counts.cached = self._cache.prefill(self._request.tokens)
            prefilled = self._clock()
            token = self._emit(0)
            first = self._clock()
            yield token
            if self._request.speculate:
                self._start(token, first)
            while self._reason is None:
                yield from self._speculate() if self._request.speculate else self._plainly()
            yield self._finish(prefilled - begin, first - begin, self._clock() - first)
        finally:
            if self._drafter:
                self._drafter.end()

    def _start(self, token: Token, now: float) -> None:
        with self._monitor:
            self._scheduler.start(token.id, token.position, now, self._limit())
            self._advance([token.id])

    def _speculate(self) -> Iterator[StepEvent]:
        """One planned round, and the plain steps that may pass before the next is planned."""
        drafts = self._plan()
        if self._drafter and (failure := self._drafter.take_failure()):
            yield Notice(f"the drafter failed, the answer goes on without it: {failure}")
        begin = self._clock()
        done = yield from self._decode(drafts)
        self._learn(done, begin)
        resting: list[int] = []
        while self._reason is None and len(resting) < self._scheduler.rest:
            resting += (yield from self._decode()).emitted
        if resting:
            self._rested(resting)

    def _plainly(self) -> Iterator[StepEvent]:
        while self._reason is None:
            yield from self._decode()

    def _decode(self, drafts: Sequence[Node] = ()) -> Generator[StepEvent, None, Verification]:
        """One decode of the target over the last token and `drafts`; returns what came of it."""
        self._counts.rounds += 1
        batch = Verification(self._history[-1], drafts)
        begin = self._clock() if self._on_round else 0.0
        batch.decode(self._cache)
        end = self._clock() if self._on_round else 0.0
        while batch.row is not None and self._reason is None:
            yield self._emit(batch.row, batch)
        batch.settle(self._cache, len(self._history) - 1)
        if self._on_round:
            drafting = self._drafter.take_spans() if self._drafter else ()
            counts = len(drafts), batch.accepted, batch.depth
            self._on_round(Round(self._counts.rounds, *counts, (begin, end), drafting))
        return batch

    def _plan(self) -> list[Node]:
        """The drafts to verify now, once the scheduler thinks that there are enough."""
        with self._monitor:
            self._offer()
            self._monitor.notify_all()
            deadline = inf
            while True:
                now = self._clock()
                can_wait = now < deadline and self._drafting()
                decision = self._scheduler.next_batch(now, can_wait=can_wait)
                if not isinstance(decision, Wait):
                    self._monitor.notify_all()
                    return decision
                deadline = min(deadline, now + decision.patience)
                self._monitor.wait(deadline - now)

    def _drafting(self) -> bool:
        """True if the drafter is at work or will be as soon as the monitor is free."""
        drafter = self._drafter
        return bool(
            drafter and drafter.usable and (drafter.busy or self._scheduler.drafter_has_work)
        )

    def _offer(self) -> None:
        limit = self._limit()
        if limit > 0:
            for source in self._sources:
                chain = source.propose(self._history, limit)
                # A drafter that looks past these tokens could not follow the grammar otherwise.
                count = self._sampler.permitted([candidate.token for candidate in chain])
                self._scheduler.offer(source.name, self._scheduler.root, chain[:count])

    def _learn(self, done: Verification, begin: float) -> None:
        self._counts.drafted += len(done.drafts)
        self._counts.accepted += done.accepted
        now = self._clock()
        with self._monitor:
            self._scheduler.verified(done.emitted, now - begin, now, self._limit())
            self._advance(done.emitted)

    def _rested(self, emitted: Sequence[int]) -> None:
        now = self._clock()
        with self._monitor:
            self._scheduler.rested(emitted, now, self._limit())
            self._advance(emitted)

    def _advance(self, tokens: Sequence[int]) -> None:
        if self._drafter:
            self._drafter.advance(tokens)

    def _limit(self) -> int:
        """The most drafts that one verification can hold and that the answer can still use."""
        limit = min(self._cache.context.max_outputs, self._cache.context.n_batch, self._cache.room)
        if self._request.max_tokens is not None:
            limit = min(limit, self._request.max_tokens - self._counts.tokens)
        return max(limit - 1, 0)

    def _emit(self, row: int, batch: Verification | None = None) -> Token:
        """Choose and record the token that follows row `row` of the last decode."""
        position = len(self._history)
        logits = self._cache.logits(row)
        choice = self._sampler.choose(logits, position)
        self._sampler.accept(choice.token)
        self._history.append(choice.token)
        self._counts.tokens += 1
        self._counts.ties += choice.tie
        piece = self._text.push(self._tokenizer.piece(choice.token))
        self._reason = self._end(choice.token)
        draft = batch.emit(choice.token) if batch else None
        return Token(
            id=choice.token,
            piece=piece,
            source=draft.source if draft else Source.TARGET,
            position=position,
            round=self._counts.rounds,
            tie=choice.tie,
            logprobs=self._logprobs(logits, choice.token),
        )

    def _logprobs(self, logits: Logits, token: int) -> Logprobs | None:
        count = self._request.logprobs
        return None if count is None else logprobs(logits, token, count)

    def _end(self, token: int) -> FinishReason | None:
        if self._tokenizer.is_eog(token):
            return FinishReason.EOG
        if self._text.stopped:
            return FinishReason.STOP
        if self._counts.tokens == self._request.max_tokens:
            return FinishReason.LENGTH
        if len(self._history) > self._cache.n_ctx:
            return FinishReason.CONTEXT
        return None

    def _finish(self, prefill: float, ttft: float, decode: float) -> Finish:
        assert self._reason is not None
        counts = self._counts
        stats = Stats(
            prompt_tokens=len(self._request.prompt),
            cached_tokens=counts.cached,
            tokens=counts.tokens,
            rounds=counts.rounds,
            drafted=counts.drafted,
            accepted=counts.accepted,
            ties=counts.ties,
            prefill=prefill,
            ttft=ttft,
            decode=decode,
            plain_step=self._scheduler.plain_step if self._request.speculate else None,
        )
        return Finish(self._reason, self._text.finish(), stats)
