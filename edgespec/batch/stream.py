"""One answer among many: its tokens so far, and how each further one is chosen and counted."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from edgespec.batch.layout import Layout
from edgespec.batch.sequences import Slot
from edgespec.batch.tasks import Answered, Task
from edgespec.events import FinishReason, Source, Stats, Token
from edgespec.protocols import Logits, Tokenizer
from edgespec.sampling.logprobs import logprobs
from edgespec.sampling.sampler import Sampler
from edgespec.text import TextStream


@dataclass(slots=True)
class _Times:
    """Seconds on the batch's clock; `first` is that of the first token."""

    begin: float
    prefilled: float = 0.0
    first: float = 0.0


class Stream:
    """Chooses the tokens of one task exactly as an engine that answers nothing else would."""

    def __init__(
        self,
        task: Task,
        tokenizer: Tokenizer,
        sampler: Sampler,
        layout: Layout,
        n_ctx: int,
        now: float,
    ) -> None:
        self.task = task
        self.layout = layout
        self.sampler = sampler
        self.history = list(task.request.tokens)
        self.slot: Slot | None = None
        """Where its tokens are decoded; None while it waits for room."""
        self.emitted = len(task.request.begun)
        self.drafted = self.accepted = self.rounds = self.cached = 0
        self.proposer = Source.SUFFIX
        """Who proposed the drafts under way; what samples agree on counts as a match in text."""
        self.reason: FinishReason | None = None
        self._tokenizer = tokenizer
        self._n_ctx = n_ctx
        self._text = TextStream(task.request.stop)
        self._pieces: list[str] = []
        self._ties = 0
        self._logprobs: list[float] = []
        self._times = _Times(now)
        for token in task.request.begun:
            sampler.accept(token)
            self._pieces.append(self._text.push(tokenizer.piece(token)))

    @property
    def decoded(self) -> int:
        """Tokens of the history that the context holds."""
        assert self.slot is not None
        return len(self.slot.tokens)

    @property
    def pending(self) -> int:
        """Tokens of the history that are not decoded yet; 1 while tokens are emitted."""
        return len(self.history) - self.decoded

    @property
    def going(self) -> bool:
        """True if all but its last token is decoded, and that one was emitted."""
        return self.pending == 1 and self.emitted > 0

    @property
    def wide_end(self) -> int:
        """Where the wide piece that is next ends; what is decoded already if a narrow one is."""
        return self.layout.piece(self.decoded)

    @property
    def expected(self) -> float:
        """Tokens that are probably still to come."""
        return max(self.task.expected - self.emitted, 16.0)

    @property
    def limit(self) -> int:
        """The most drafts that can still be of use."""
        left = self._n_ctx - len(self.history)
        most = self.task.request.max_tokens
        if most is not None:
            left = min(left, most - self.emitted - 1)
        return max(left, 0)

    def ends(self, token: int) -> bool:
        """Whether `token` ends the answer."""
        return self._tokenizer.is_eog(token)

    def emit(self, logits: Logits, draft: int | None = None) -> int:
        """Choose the next token by the logits behind the last one, shape (n_vocab,).

        Raises what Sampler.choose does.
        """
        position = len(self.history)
        choice = self.sampler.choose(logits, position)
        self.sampler.accept(choice.token)
        self.history.append(choice.token)
        self.emitted += 1
        self._ties += choice.tie
        self._pieces.append(self._text.push(self._tokenizer.piece(choice.token)))
        self.reason = self._end(choice.token)
        count = self.task.request.logprobs
        found = None if count is None else logprobs(logits, choice.token, count)
        if found:
            self._logprobs.append(found.chosen)
        if self.task.listen:
            source = self.proposer if choice.token == draft else Source.TARGET
            piece = self._pieces[-1]
            token = Token(choice.token, piece, source, position, self.rounds, choice.tie, found)
            self.task.listen(token)
        return choice.token

    def verified(self, drafts: Sequence[int], emitted: Sequence[int]) -> None:
        """Count a step of the target that answered `drafts` with `emitted`."""
        self.rounds += 1
        self.drafted += len(drafts)
        self.accepted += sum(mine == theirs for mine, theirs in zip(drafts, emitted, strict=False))

    def prefilled(self, now: float) -> None:
        """The prompt is decoded."""
        if not self._times.prefilled:
            self._times.prefilled = now

    def begun(self, now: float) -> None:
        """The first token is there."""
        if not self._times.first:
            self._times.first = now

    def answer(self, now: float, plain_step: float) -> Answered:
        """The outcome, once there is a reason to end."""
        assert self.reason is not None
        times = self._times
        stats = Stats(
            prompt_tokens=len(self.task.request.prompt),
            cached_tokens=self.cached,
            tokens=self.emitted,
            rounds=self.rounds,
            drafted=self.drafted,
            accepted=self.accepted,
            ties=self._ties,
            prefill=times.prefilled - times.begin,
            ttft=times.first - times.begin,
            decode=now - times.first,
            plain_step=plain_step,
        )
        rest = self._text.finish()
        text = "".join(self._pieces) + rest
        score = fmean(self._logprobs) if self._logprobs else None
        return Answered(self.task, text, self.reason, stats, rest, score)

    def _end(self, token: int) -> FinishReason | None:
        if self._tokenizer.is_eog(token):
            return FinishReason.EOG
        if self._text.stopped:
            return FinishReason.STOP
        if self.emitted == self.task.request.max_tokens:
            return FinishReason.LENGTH
        if len(self.history) > self._n_ctx:
            return FinishReason.CONTEXT
        return None
