"""Earlier texts of an engine, kept in memory: conversations that take turns are not read again."""

from collections.abc import Callable
from dataclasses import dataclass

from edgespec.snapshots import Snapshot

WORTH = 64
"""Tokens whose decoding takes longer than keeping them, or than looking for them here."""


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """One text; the first `wide` of its tokens were decoded in wide pieces (see batch.layout)."""

    snapshot: Snapshot
    wide: int = 0


class Recall:
    """Snapshots of `limit` bytes at most together; the least recently used make room."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._kept: list[Kept] = []

    def keep(self, text: Kept) -> None:
        """Keep a text in place of those that it begins with.

        Not if it alone is too large, or if a longer one begins with it.
        """
        tokens = text.snapshot.tokens
        known = any(_begins(kept.snapshot.tokens, tokens) for kept in self._kept)
        if known or text.snapshot.size > self.limit:
            return
        others = [kept for kept in self._kept if not _begins(tokens, kept.snapshot.tokens)]
        total = text.snapshot.size + sum(kept.snapshot.size for kept in others)
        while total > self.limit:
            total -= others.pop(0).snapshot.size
        self._kept = [*others, text]

    def find(self, usable: Callable[[Kept], int], held: int) -> Kept | None:
        """The text of which most is `usable`, if that is WORTH more than what is `held` anyway."""
        best = max(self._kept, key=usable, default=None)
        if best is None or usable(best) < held + WORTH:
            return None
        self._kept.remove(best)
        self._kept.append(best)
        return best


def _begins(tokens: tuple[int, ...], beginning: tuple[int, ...]) -> bool:
    return tokens[: len(beginning)] == beginning
