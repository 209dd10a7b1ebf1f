"""Suffix match: what followed the last time the text ended like this (prompt lookup)."""

from collections.abc import Sequence
from itertools import cycle, islice
from math import log2

from edgespec.events import Source
from edgespec.tree import Candidate

_LONGEST = 32


class SuffixMatch:
    """Proposes the continuation of the longest earlier occurrence of the current suffix.

    An index of all `min_match`-grams of the history is kept up to date as the history grows, so a
    proposal costs a lookup and a short comparison. Source: Saxena, Prompt Lookup Decoding (2023).
    """

    name = Source.SUFFIX

    def __init__(self, min_match: int = 4) -> None:
        self._min = min_match
        self._seen: list[int] = []
        self._ends: dict[tuple[int, ...], int] = {}
        self._previous: dict[int, int] = {}

    def propose(self, history: Sequence[int], count: int) -> list[Candidate]:
        """Up to `count` tokens that followed the longest match; none if nothing matched.

        Where they end, the copy goes on with itself (as in LZ77), which continues what is periodic.
        Their feature is the length of the match, which every further token adds to.
        """
        self._index(history)
        end, length = self._best_match()
        period = self._seen[end:] if end else []
        tokens = islice(cycle(period), count)
        return [
            Candidate(token, (log2((length + ahead) / self._min) - 1,))
            for ahead, token in enumerate(tokens)
        ]

    def _index(self, history: Sequence[int]) -> None:
        known = len(self._seen)
        if list(history[:known]) != self._seen:
            self._seen.clear()
            self._ends.clear()
            self._previous.clear()
            known = 0
        self._seen.extend(history[known:])
        # The current suffix itself is left out: it would only match itself.
        for end in range(max(known, self._min), len(self._seen)):
            gram = tuple(self._seen[end - self._min : end])
            if gram in self._ends:
                self._previous[end] = self._ends[gram]
            self._ends[gram] = end

    def _best_match(self) -> tuple[int, int]:
        """End (0 if none) and length of the longest match, the latest of equals."""
        best, best_length = 0, 0
        end = self._ends.get(tuple(self._seen[-self._min :]), 0)
        for _ in range(16):
            if not end or best_length == _LONGEST:
                break
            length = self._match_length(end)
            if length > best_length:
                best, best_length = end, length
            end = self._previous.get(end, 0)
        return best, best_length

    def _match_length(self, end: int) -> int:
        size = len(self._seen)
        length = self._min
        limit = min(_LONGEST, end)
        while length < limit and self._seen[end - length - 1] == self._seen[size - length - 1]:
            length += 1
        return length
