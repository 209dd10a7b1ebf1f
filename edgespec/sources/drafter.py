"""The model drafter: a small model that guesses with the target's own noise."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import log

import numpy as np

from edgespec.cache import Cache
from edgespec.events import Source
from edgespec.lanes import Lanes
from edgespec.protocols import Context, Logits, Losable, Rollback
from edgespec.sampling.sampler import Guess, Sampler
from edgespec.tree import Candidate

N_FEATURES = 2
_MOST_LEAD = 8.0


class ModelDrafter:
    """Drafts by sampling a small model under the target's settings and Gumbel noise.

    With common noise the two models choose the same token as often as any drafter that does not
    know the target's choice can hope for (Daliri et al. 2024, arXiv:2408.07978). `n_vocab` is the
    target's: only ids that both models have are proposed, and only after such ids. `lanes`
    branches can be looked past in one step; a context that cannot remove any suffix has one.
    """

    name = Source.DRAFTER

    def __init__(self, context: Context, n_vocab: int, lanes: int = 1) -> None:
        self.context = context
        self._n_vocab = n_vocab
        branching = context.rollback is Rollback.ANY and lanes > 1
        self._lanes = Lanes(context, lanes) if branching else None
        self._cache = Cache(context)
        self._history: list[int] = []
        self._sampler: Sampler | None = None

    def on_loss(self, report: Callable[[str], None]) -> None:
        """Call `report` if the device is lost on this thread, which then stops for ever."""
        if isinstance(self.context, Losable):
            self.context.on_loss(report)

    def start(self, history: Sequence[int], sampler: Sampler) -> None:
        """A new answer: `sampler` is the target's, standing at the end of `history`."""
        self._history = list(history)
        self._sampler = sampler.fork()
        if self._lanes:
            self._lanes.restart()

    def prefill(self) -> None:
        """Decode the history ahead of the first draft."""
        if len(self._history) > self.context.n_ctx or self._beyond(self._history):
            return
        with self._forgetting():
            if self._lanes:
                self._lanes.prefill(self._history)
            else:
                self._cache.prefill(self._history)

    def save(self, limit: int) -> tuple[list[int], bytes]:
        """The most tokens held in a row, and their state if it has at most `limit` bytes."""
        if self._lanes:
            return self._lanes.save(limit)
        state = self._cache.save(limit)
        return (list(self._cache.tokens), state) if state else ([], b"")

    def adopt(self, tokens: Sequence[int], state: bytes) -> bool:
        """Hold `tokens` without decoding them; False, and nothing held, if that is refused."""
        if not 0 < len(tokens) <= self.context.n_ctx:
            return False
        return (self._lanes or self._cache).adopt(tokens, state)

    def forget(self) -> None:
        """Hold nothing, so that the context can be used otherwise, or after it was."""
        (self._lanes or self._cache).forget()

    def advance(self, tokens: Sequence[int]) -> None:
        """The target emitted `tokens`."""
        assert self._sampler is not None
        self._history.extend(tokens)
        for token in tokens:
            self._sampler.accept(token)

    def expand(
        self, tails: Sequence[Sequence[int]], alternatives: int
    ) -> list[list[Candidate] | None]:
        """What may follow the history and each tail, the likeliest first.

        `alternatives` more than one each. None for a tail that found no room in this batch, an
        empty list where the context ends. Raises BackendError or Aborted.
        """
        longest = max(len(tail) for tail in tails)
        if len(self._history) + longest > self.context.n_ctx or self._beyond(self._history, *tails):
            return [[] for _ in tails]
        with self._forgetting():
            rows = self._decode(tails)
        return [
            None if row is None else self._candidates(tail, self.context.logits(row), alternatives)
            for tail, row in zip(tails, rows, strict=True)
        ]

    def _decode(self, tails: Sequence[Sequence[int]]) -> list[int | None]:
        if self._lanes:
            return self._lanes.decode(self._history, tails)
        self._cache.prefill([*self._history, *tails[0]])
        return [0, *[None] * (len(tails) - 1)]

    def _beyond(self, *texts: Sequence[int]) -> bool:
        """True if a text has an id that the drafter does not know."""
        n_vocab = self.context.n_vocab
        return n_vocab < self._n_vocab and any(max(text, default=0) >= n_vocab for text in texts)

    @contextmanager
    def _forgetting(self) -> Iterator[None]:
        """After a decode that failed, nobody knows what the lanes hold."""
        try:
            yield
        except Exception:
            if self._lanes:
                self._lanes.forget()
            raise

    def _candidates(
        self, tail: Sequence[int], logits: Logits, alternatives: int
    ) -> list[Candidate]:
        assert self._sampler is not None
        sampler = self._sampler
        if sampler.stateful:
            sampler = sampler.fork()
            for token in tail:
                sampler.accept(token)
        position = len(self._history) + len(tail)
        logits = in_vocabulary(logits, self._n_vocab)
        return list(map(candidate, sampler.guess(logits, position, alternatives + 1)))


def in_vocabulary(logits: Logits, n_vocab: int) -> Logits:
    """A drafter's logits of the target's `n_vocab` tokens; those it does not know never win."""
    logits = logits[:n_vocab]
    missing = n_vocab - len(logits)
    return np.pad(logits, (0, missing), constant_values=-np.inf) if missing else logits


def candidate(guess: Guess) -> Candidate:
    """A drafter's guess with the features that acceptance is judged by."""
    return Candidate(guess.token, _features(guess))


def _features(guess: Guess) -> tuple[float, ...]:
    """How clear the drafter's choice was: its lead, and its log-odds."""
    chance = min(max(guess.probability, 0.002), 0.998)
    return min(guess.lead, _MOST_LEAD) / 2, log(chance / (1 - chance)) / 2
