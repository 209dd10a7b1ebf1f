"""The choice of one token from one row of logits, reproducible by whoever knows the seed."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from edgespec.protocols import Grammar, Logits
from edgespec.sampling.candidates import Vocabulary, finite
from edgespec.sampling.noise import gumbel
from edgespec.sampling.params import SamplingParams
from edgespec.sampling.penalties import Penalties
from edgespec.sampling.truncate import leaders, truncate

TIE_EPSILON = 0.05
"""How much the difference of two logits may change between two decodes of the same tokens.

An engine that decodes several tokens at once may add floats in another order than one that
decodes them singly. A choice that such a change could flip is marked a tie. Where the engine's
self-test measures the change, it passes the measured value instead.
"""

_GUESSED_FROM = 32


@dataclass(frozen=True, slots=True)
class Choice:
    """A chosen token and how safe the choice is from rounding.

    `margin`, in units of the logits, is what the difference between two logits must change by
    before another token may win; 0 if the cuts leave it open whether the winner or a better
    token survives them. `tie` says that the margin is not above the sampler's tie_epsilon.
    """

    token: int
    margin: float
    tie: bool


@dataclass(frozen=True, slots=True)
class Guess:
    """A token that may be chosen: its lead over the next likelier-to-be-chosen one, in logits,
    and its probability in the processed distribution."""

    token: int
    lead: float
    probability: float


class Sampler:
    """Turns logits into tokens: processors, then argmax of logit / temperature + Gumbel noise.

    The noise depends on (seed, choice, position, token) alone, so two samplers that see the same
    history and logits choose the same token, and a drafter's sampler with nearly the same logits
    usually does (Gumbel coupling: Daliri et al., 2408.07978). At temperature 0 there is no noise
    and no truncation: the best allowed token wins, the lower id among equals.

    `history` is the sequence so far, prompt included; `choice` tells apart several answers to one
    request.
    """

    def __init__(
        self,
        params: SamplingParams,
        history: Sequence[int],
        *,
        grammar: Grammar | None = None,
        choice: int = 0,
        tie_epsilon: float = TIE_EPSILON,
    ) -> None:
        self._params = params
        self._penalties = Penalties(params, history)
        self._grammar = grammar
        self._choice = choice
        self._tie_epsilon = tie_epsilon

    def choose(self, logits: Logits, position: int) -> Choice:
        """The token at `position`, the absolute index in the sequence; changes no state.

        `logits` has shape (n_vocab,). Raises BackendError if they hold NaN or +inf, or if no token
        is allowed; InvalidInput if a bias or the history names a token beyond them.
        """
        if self._params.greedy:
            return self._greedy(logits)
        params = self._params
        stretch = self._penalties.stretch
        vocabulary = Vocabulary(logits, self._penalties, self._grammar)
        left = truncate(vocabulary, params, self._tie_epsilon * stretch)
        noise = gumbel(params.seed, self._choice, position, left.ids)
        scores = left.logits + params.temperature * noise
        winner = int(np.where(left.kept, scores, -inf).argmax())
        margin = _lead(scores, winner) / stretch if left.sure[winner] else 0.0
        return self._chosen(int(left.ids[winner]), max(margin, 0.0))

    def guess(self, logits: Logits, position: int, count: int) -> list[Guess]:
        """What `choose` would choose, then what it would if that were excluded, and so on.

        At most `count` guesses. A drafter's first guess is its draft; the others are what the
        target most probably chooses if the draft is wrong. Raises as `choose` does.
        """
        params = self._params
        vocabulary = Vocabulary(logits, self._penalties, self._grammar)
        if params.greedy:
            listing = vocabulary.top(_GUESSED_FROM, 0.0)
            ids, levels, warmth = listing.ids, listing.logits, 1.0
            scores = levels
        else:
            left = truncate(vocabulary, params, 0.0)
            ids, levels, warmth = left.ids[left.kept], left.logits[left.kept], params.temperature
            scores = levels + warmth * gumbel(params.seed, self._choice, position, ids)
        masses = np.exp((levels - levels.max()) / warmth)
        order = np.argsort(-scores, kind="stable")[: count + 1]
        leads = np.append(-np.diff(scores[order]), inf)[:count]
        shares = masses[order] / masses.sum()
        return [
            Guess(int(token), float(lead), float(share))
            for token, lead, share in zip(ids[order], leads, shares, strict=False)
        ]

    @property
    def stateful(self) -> bool:
        """True if accepted tokens change later choices, other than through the logits."""
        return self._grammar is not None or self._params.penalises

    def permitted(self, tokens: Sequence[int]) -> int:
        """How many of `tokens` in a row the grammar lets come next."""
        if self._grammar is None or not tokens:
            return len(tokens)
        grammar = self._grammar.clone()
        for count, token in enumerate(tokens):
            if not grammar.mask(np.array([token], np.int32))[0]:
                return count
            grammar.accept(token)
        return len(tokens)

    def accept(self, token: int) -> None:
        """Advance the history, and the grammar, by one token."""
        self._penalties.accept(token)
        if self._grammar is not None:
            self._grammar.accept(token)

    def fork(self) -> "Sampler":
        """An independent copy, for a drafter to look ahead with."""
        twin = copy(self)
        twin._penalties = self._penalties.fork()
        twin._grammar = self._grammar.clone() if self._grammar is not None else None
        return twin

    def _greedy(self, logits: Logits) -> Choice:
        if self._grammar is None and not len(self._penalties.ids):
            best = int(logits.argmax())
            finite(logits[best])
            return self._chosen(best, _lead(logits, best))
        stretch = self._penalties.stretch
        vocabulary = Vocabulary(logits, self._penalties, self._grammar)
        listing = leaders(vocabulary, self._tie_epsilon * stretch)
        second = listing.logits[1] if len(listing.ids) > 1 else listing.floor
        return self._chosen(int(listing.ids[0]), float(listing.logits[0] - second) / stretch)

    def _chosen(self, token: int, margin: float) -> Choice:
        return Choice(token, margin, margin <= self._tie_epsilon)


def _lead(scores: NDArray[np.floating], winner: int) -> float:
    """By how much the winner beats every other score; inf if there is no other."""
    before = scores[:winner].max(initial=-inf)
    after = scores[winner + 1 :].max(initial=-inf)
    return float(scores[winner] - max(before, after))
