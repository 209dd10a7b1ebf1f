"""What the samples of one row agree on, as a source of drafts."""

from collections.abc import Sequence
from math import log, log2

from edgespec.batch.stream import Stream
from edgespec.tree import Candidate

_ORDERS = (8, 3)
"""Lengths of the contexts that are looked up, the more telling first."""


class Siblings:
    """Counts what followed each few tokens in the answers to one prompt, and proposes the majority.

    Source: speculative decoding for multi-sample inference, Li et al. 2025, arXiv:2503.05330.
    """

    name = "siblings"

    def __init__(self) -> None:
        self._after: dict[tuple[int, ...], dict[int, int]] = {}
        self._learnt: dict[int, int] = {}

    def learn(self, stream: Stream) -> None:
        """A sample has come further."""
        history = stream.history
        begin = self._learnt.get(stream.task.sample, len(stream.task.request.prompt))
        for end in range(begin, len(history)):
            for order in _ORDERS:
                votes = self._after.setdefault(tuple(history[max(end - order, 0) : end]), {})
                votes[history[end]] = votes.get(history[end], 0) + 1
        self._learnt[stream.task.sample] = len(history)

    def propose(self, history: Sequence[int], count: int) -> list[Candidate]:
        """Up to `count` tokens, each of which most samples had after the ones before it."""
        tail = list(history[-_ORDERS[0] :])
        chain: list[Candidate] = []
        while len(chain) < count:
            found = next(filter(None, (self._after.get(tuple(tail[-n:])) for n in _ORDERS)), None)
            if found is None:
                break
            token, votes = max(found.items(), key=lambda item: item[1])
            others = sum(found.values()) - votes
            chain.append(Candidate(token, (log((votes + 0.5) / (others + 0.5)), log2(votes))))
            tail = [*tail[1:], token]
        return chain
