"""What the caches of a target and its drafter hold: to be kept, and taken up again."""

from collections.abc import Sequence

from edgespec.cache import Cache
from edgespec.drafting import DraftThread
from edgespec.errors import Aborted
from edgespec.protocols import Rollback
from edgespec.recall import WORTH, Kept, Recall
from edgespec.snapshots import Snapshot


class Holdings:
    """The target's `cache`, and that of the drafter if there is one.

    Used by the thread that decodes, while there is no answer.
    """

    def __init__(self, cache: Cache, drafter: DraftThread | None) -> None:
        self._cache = cache
        self._drafter = drafter

    def snapshot(self, limit: int) -> Snapshot | None:
        """All that is held, None if that is nothing or more than `limit` bytes."""
        try:
            state = self._cache.save(limit)
        except Aborted:
            # What a failed decode left behind would have had to be decoded again first.
            return None
        if not state:
            return None
        tokens: Sequence[int] = ()
        drafter = b""
        if self._drafter:
            with self._drafter.resting() as resting:
                if self._drafter.usable:
                    tokens, drafter = resting.save(limit - len(state))
        return Snapshot(tuple(self._cache.tokens), state, tuple(tokens), drafter)

    def adopt(self, snapshot: Snapshot) -> bool:
        """Hold a snapshot's tokens in place of what is held; False if that is refused."""
        if self._drafter and snapshot.drafter:
            with self._drafter.resting() as resting:
                if self._drafter.usable:
                    resting.adopt(snapshot.drafter_tokens, snapshot.drafter)
        return self._cache.adopt(snapshot.tokens, snapshot.target)

    def recollect(self, prompt: Sequence[int], recall: Recall, wide: int) -> None:
        """Hold what `recall` has of `prompt`, if that is far more than what is held of it.

        It gets what is held of another text, whose first `wide` tokens stand in wide pieces.
        """
        shared = self._cache.shared(prompt)
        kept = recall.find(lambda kept: self._usable(kept.snapshot, prompt), shared)
        if len(self._cache.tokens) - shared >= WORTH and (now := self.snapshot(recall.limit)):
            recall.keep(Kept(now, min(wide, len(now.tokens))))
        if kept:
            self.adopt(kept.snapshot)

    def _usable(self, snapshot: Snapshot, prompt: Sequence[int]) -> int:
        """How many tokens of `prompt` need no decoding after a snapshot is adopted."""
        shared = snapshot.shared(prompt)
        whole = shared == len(snapshot.tokens)
        return shared if whole or self._cache.context.rollback is Rollback.ANY else 0
