"""The tokens that a context holds, and every way of taking some of them back."""

from collections.abc import Callable, Sequence

from edgespec.errors import Aborted, BackendError
from edgespec.protocols import Branching, Context, Logits, Rollback, Saving


class Cache:
    """A context together with the tokens of its one sequence, `n_ctx` at most.

    Whatever fails or is aborted inside a decode, `tokens` stays the truth: the context is brought
    back to them before the next decode.
    """

    def __init__(self, context: Context, n_ctx: int = 0) -> None:
        self.context = context
        self.n_ctx = n_ctx or context.n_ctx
        self.tokens: list[int] = []
        self._dirty = False
        self._last_start = 0
        self._checkpoint: tuple[int, bytes] | None = None

    @property
    def room(self) -> int:
        """How many more tokens fit."""
        return self.n_ctx - len(self.tokens)

    def prefill(
        self, tokens: Sequence[int], on_progress: Callable[[int], None] | None = None
    ) -> int:
        """Hold exactly `tokens`, with logits of the last one in row 0.

        What the cache shares with them is kept; returns how many that were. `on_progress` is
        called with the number of tokens held after each batch.
        """
        if not self._take_back(min(self.shared(tokens), len(tokens) - 1)):
            self.forget()
        kept = len(self.tokens)
        while (start := len(self.tokens)) < len(tokens):
            batch = tokens[start : start + self.context.n_batch]
            self._decode(batch, outputs=1 if start + len(batch) == len(tokens) else 0)
            if on_progress:
                on_progress(len(self.tokens))
        return kept

    def verify(self, tokens: Sequence[int]) -> None:
        """Decode `tokens` in one batch, keeping the logits of each; some may be taken back."""
        if self.context.rollback is Rollback.CHECKPOINT and len(tokens) > 1:
            self.settle()
            self._checkpoint = (len(self.tokens), self.context.checkpoint())
        self._decode(tokens, outputs=len(tokens))

    @property
    def branches(self) -> int:
        """How many branches beside the first one a tree may have that is verified at once."""
        return self.context.branches if isinstance(self.context, Branching) else 0

    def verify_tree(self, tokens: Sequence[int], parents: Sequence[int]) -> None:
        """Decode a tree in one batch, as Branching does; until `keep`, its first branch is held."""
        context = self.context
        assert isinstance(context, Branching)
        self.settle()
        start = len(self.tokens)
        try:
            context.decode_tree(tokens, parents, start)
        except (Aborted, BackendError):
            self._dirty = True
            raise
        self._last_start = start
        self.tokens.extend(tokens[row] for row in _first_branch(parents))

    def keep(self, tokens: Sequence[int], path: Sequence[int]) -> None:
        """Of the tree that was just verified, hold the `tokens` of this path and nothing else."""
        context = self.context
        assert isinstance(context, Branching)
        moved = context.keep(path)
        in_place = sum(row == index for index, row in enumerate(path))
        del self.tokens[self._last_start + in_place :]
        if moved:
            self.tokens.extend(tokens[in_place:])
        else:
            self._replay(tokens[in_place:])

    def logits(self, row: int) -> Logits:
        """View of shape (n_vocab,), valid until the next decode."""
        return self.context.logits(row)

    def truncate(self, length: int) -> None:
        """Keep the first `length` tokens, by the cheapest way that the context allows."""
        if not self._take_back(length):
            self._rebuild(length)

    def save(self, limit: int) -> bytes:
        """What the context holds of `tokens`; empty if it cannot be saved in `limit` bytes."""
        self.settle()
        context = self.context
        if not self.tokens or not isinstance(context, Saving) or context.state_size() > limit:
            return b""
        return context.save()

    def adopt(self, tokens: Sequence[int], state: bytes) -> bool:
        """Hold `tokens` without decoding them; False if that is refused, the cache then is empty.

        `state` was saved by a context of the same model and settings that held them.
        """
        self.forget()
        context = self.context
        fits = 0 < len(tokens) <= context.n_ctx
        if not fits or not isinstance(context, Saving) or not context.load(state, len(tokens)):
            self.forget()
            return False
        self.tokens = list(tokens)
        self._last_start = len(tokens)
        return True

    def settle(self) -> None:
        """Drop what a failed decode left behind, if any."""
        if not self._dirty:
            return
        held = len(self.tokens)
        if self.context.rollback is Rollback.ANY and self.context.truncate(held):
            self._dirty = False
        else:
            self._rebuild(held)

    def forget(self) -> None:
        """Empty the cache."""
        self.context.clear()
        self.tokens.clear()
        self._checkpoint = None
        self._last_start = 0
        self._dirty = False

    def _decode(self, tokens: Sequence[int], outputs: int) -> None:
        self.settle()
        start = len(self.tokens)
        try:
            self.context.decode(tokens, start, outputs=outputs)
        except Aborted:
            # A recurrent model is never stopped inside a batch: mostly nothing was begun.
            self._dirty = self.context.length() != start
            raise
        except BackendError:
            self._dirty = True
            raise
        self._last_start = start
        self.tokens.extend(tokens)

    def _take_back(self, length: int) -> bool:
        """Drop all after the first `length` tokens, if that is possible without a rebuild."""
        if length >= len(self.tokens):
            return True
        if self._removable(length) and self.context.truncate(length):
            del self.tokens[length:]
            return True
        if self._checkpoint is None or self._checkpoint[0] > length:
            return False
        start, state = self._checkpoint
        if not self.context.restore(state, start):
            return False
        kept = self.tokens[start:length]
        del self.tokens[start:]
        self._dirty = False
        self._replay(kept)
        return True

    def _removable(self, length: int) -> bool:
        if self.context.rollback is Rollback.BOUNDED:
            # A snapshot exists after each token of the last batch, but none before its first.
            within = len(self.tokens) - length <= self.context.rollback_limit
            return within and length > self._last_start and not self._dirty
        return self.context.rollback is Rollback.ANY

    def _rebuild(self, length: int) -> None:
        kept = self.tokens[:length]
        self.forget()
        self._replay(kept)

    def _replay(self, tokens: Sequence[int]) -> None:
        """Decode what was decoded before."""
        size = self.context.n_batch
        for start in range(0, len(tokens), size):
            self._decode(tokens[start : start + size], outputs=0)

    def shared(self, tokens: Sequence[int]) -> int:
        """How many tokens the cache and `tokens` begin with in common."""
        # Slices compare in C, so halving beats a Python loop."""
        low, high = 0, min(len(self.tokens), len(tokens))
        if self.tokens[:high] == list(tokens[:high]):
            return high
        while low < high:
            middle = (low + high + 1) // 2
            if self.tokens[low:middle] == list(tokens[low:middle]):
                low = middle
            else:
                high = middle - 1
        return low


def _first_branch(parents: Sequence[int]) -> list[int]:
    """The rows of a tree that lead from its first one to the first child each time."""
    path = [0]
    for row, parent in enumerate(parents):
        if parent == path[-1]:
            path.append(row)
    return path
