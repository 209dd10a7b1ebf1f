"""A drafter's context that is spoken to in the target's tokens."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np

from edgespec.bridging.respelling import Respelling
from edgespec.bridging.words import CommonWords
from edgespec.cache import Cache
from edgespec.protocols import (
    Bindable,
    Context,
    Cpus,
    Logits,
    Losable,
    Rollback,
    Row,
    Tokenizer,
)

UNLIKELY = -1e4
"""The logit of tokens that a bridge cannot propose: finite, as a grammar may leave no other."""

_ENDLESS = 1 << 30


class BridgedContext(ABC):
    """See edgespec.protocols.Context; one sequence and one output.

    Never full: when the drafter's own context is, it goes on with the second half of it.
    """

    def __init__(
        self, inner: Context, target: Tokenizer, drafter: Tokenizer, words: CommonWords
    ) -> None:
        self.n_ctx = _ENDLESS
        self.n_batch = inner.n_batch
        self.max_outputs = 1
        self.rollback = Rollback.ANY
        self.rollback_limit = self.n_ctx
        self.n_vocab = target.n_vocab
        self.target, self.drafter, self.words = target, drafter, words
        self._inner = inner
        self._cache = Cache(inner)
        self._respelling = Respelling(target, drafter, words.pieces, words.controls)
        self._tokens: list[int] = []
        self._left_out = 0
        self._row: Logits | None = None

    @abstractmethod
    def propose(self, tokens: Sequence[int]) -> Logits:
        """Logits over the target's vocabulary after `tokens`, shape (n_vocab,)."""

    def look(self, ids: Sequence[int]) -> Logits:
        """The drafter's own logits after its `ids`, of which there is one at least."""
        room = self._inner.n_ctx
        if not 0 < len(ids) - self._left_out <= room:
            self._left_out = len(ids) - room // 2 if len(ids) > room else 0
        self._cache.prefill(ids[self._left_out :])
        return self._cache.logits(0)

    def respelt(self, tokens: Sequence[int]) -> list[int]:
        """The drafter's ids of the target's `tokens`; never empty."""
        return self._respelling.ids(tokens) or [0]

    def bind(self, single: Cpus, batch: Cpus, prompt: Cpus, *, threads: int = 0) -> None:
        """Let the drafter's own context decode there, if it can be told."""
        if isinstance(self._inner, Bindable):
            self._inner.bind(single, batch, prompt, threads=threads)

    def decode(
        self, tokens: Sequence[int], position: int, *, outputs: int, sequence: int = 0
    ) -> None:
        """Hold `tokens`; logits are kept if `outputs` is 1."""
        if position != len(self._tokens) or sequence:
            raise ValueError(f"position {position} of {sequence}; {len(self._tokens)} are held")
        held = [*self._tokens, *tokens]
        self._row = None
        if outputs:
            self._row = self.propose(held)
        else:
            self.look(self.respelt(held))
        self._tokens = held

    def decode_rows(self, rows: Sequence[Row]) -> None:
        """Hold the tokens of `rows`, the last of which may ask for logits."""
        if any(row.output for row in rows[:-1]):
            raise ValueError("more than one output")
        tokens = [row.token for row in rows]
        self.decode(
            tokens, rows[0].position, outputs=int(rows[-1].output), sequence=rows[0].sequence
        )

    def logits(self, row: int) -> Logits:
        """What was proposed last, shape (n_vocab,)."""
        if row or self._row is None:
            raise IndexError(f"row {row}: one row of logits is kept at most")
        return self._row

    def truncate(self, length: int, *, sequence: int = 0) -> bool:
        """Keep the first `length` tokens; the drafter's cache follows with the next decode."""
        del self._tokens[length:]
        return True

    def copy(self, source: int, destination: int, length: int) -> None:
        """Impossible: there is one sequence. Raises ValueError."""
        raise ValueError(f"sequence {destination} does not exist")

    def length(self, sequence: int = 0) -> int:
        """Number of the target's tokens held."""
        return len(self._tokens)

    def clear(self) -> None:
        """Forget everything."""
        self._tokens.clear()
        self._cache.forget()

    def checkpoint(self) -> bytes:
        """Nothing: any suffix can be taken back."""
        return b""

    def restore(self, state: bytes, length: int) -> bool:
        """Keep the first `length` tokens."""
        return self.truncate(length)

    def on_loss(self, report: Callable[[str], None]) -> None:
        """Have the loss of the drafter's device reported."""
        if isinstance(self._inner, Losable):
            self._inner.on_loss(report)

    def abort(self) -> None:
        """Stop the drafter's decode in progress, from any thread."""
        self._inner.abort()

    def resume(self) -> None:
        """Clear the abort flag."""
        self._inner.resume()

    def close(self) -> None:
        """Free the drafter's cache. Idempotent."""
        self._inner.close()

    def nothing(self) -> Logits:
        """Logits that propose no token, to be filled in."""
        return np.full(self.n_vocab, UNLIKELY, np.float32)
