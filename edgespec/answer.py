"""One answer: prefill, then rounds of draft, verify and accept until it ends."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import perf_counter

from edgespec.cache import Cache
from edgespec.controller import Controller, RoundResult
from edgespec.errors import BackendError
from edgespec.events import Finish, FinishReason, Notice, Request, Source, Stats, StepEvent, Token
from edgespec.protocols import Tokenizer
from edgespec.sampling.sampler import Sampler
from edgespec.sources.source import DraftSource
from edgespec.text import TextStream


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
        sources: list[DraftSource],
        controller: Controller,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._request = request
        self._cache = cache
        self._tokenizer = tokenizer
        self._sampler = sampler
        self._sources = sources
        self._controller = controller
        self._clock = clock
        self._history = list(request.prompt)
        self._text = TextStream(request.stop)
        self._counts = _Counts()
        self._reason: FinishReason | None = None

    def events(self) -> Iterator[StepEvent]:
        """Tokens as they are decided, then one Finish."""
        begin = self._clock()
        self._counts.cached = self._cache.prefill(self._request.prompt)
        prefilled = self._clock()
        yield self._emit(0, Source.TARGET)
        first = self._clock()
        while self._reason is None:
            yield from self._round()
        yield self._finish(prefilled - begin, first - begin, self._clock() - first)

    def _round(self) -> Iterator[StepEvent]:
        begin = self._clock()
        self._counts.rounds += 1
        drafts, source, notices = self._draft()
        yield from notices
        self._cache.verify([self._history[-1], *drafts])
        accepted = 0
        for row, draft in enumerate([*drafts, None]):
            token = self._emit(row, source, draft)
            accepted += token.id == draft
            yield token
            if self._reason is not None or token.id != draft:
                break
        self._cache.truncate(len(self._history) - 1)
        self._counts.drafted += len(drafts)
        self._counts.accepted += accepted
        self._controller.observe(RoundResult(source, len(drafts), accepted, self._clock() - begin))

    def _draft(self) -> tuple[list[int], Source, list[Notice]]:
        """The drafts of the first source that has any, and what went wrong on the way."""
        notices: list[Notice] = []
        count = min(self._controller.plan() if self._request.speculate else 0, self._limit())
        for source in list(self._sources) if count > 0 else []:
            try:
                drafts = source.propose(self._history, count, self._sampler)
            except BackendError as error:
                self._sources.remove(source)
                notices.append(Notice(f"the {source.name} failed and is left out: {error}"))
                continue
            if drafts:
                return drafts, source.name, notices
        return [], Source.TARGET, notices

    def _limit(self) -> int:
        """The most drafts that one verification can hold and that the answer can still use."""
        limit = min(self._cache.context.max_outputs, self._cache.context.n_batch, self._cache.room)
        if self._request.max_tokens is not None:
            limit = min(limit, self._request.max_tokens - self._counts.tokens)
        return limit - 1

    def _emit(self, row: int, source: Source, draft: int | None = None) -> Token:
        """Choose and record the token that follows row `row` of the last decode."""
        position = len(self._history)
        choice = self._sampler.choose(self._cache.logits(row), position)
        self._sampler.accept(choice.token)
        self._history.append(choice.token)
        self._counts.tokens += 1
        self._counts.ties += choice.tie
        piece = self._text.push(self._tokenizer.piece(choice.token))
        self._reason = self._end(choice.token)
        return Token(
            id=choice.token,
            piece=piece,
            source=source if choice.token == draft else Source.TARGET,
            position=position,
            round=self._counts.rounds,
            tie=choice.tie,
        )

    def _end(self, token: int) -> FinishReason | None:
        if self._tokenizer.is_eog(token):
            return FinishReason.EOG
        if self._text.stopped:
            return FinishReason.STOP
        if self._counts.tokens == self._request.max_tokens:
            return FinishReason.LENGTH
        if len(self._history) > self._cache.context.n_ctx:
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
            plain_step=self._controller.plain_step,
        )
        return Finish(self._reason, self._text.finish(), stats)
