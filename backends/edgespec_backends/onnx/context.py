"""One ONNX decoder with its cache; see edgespec.protocols.Context."""

from collections.abc import Callable, Sequence

import numpy as np

from edgespec.errors import Aborted, BackendError
from edgespec.protocols import ContextOptions, Logits, Rollback, Row
from edgespec_backends.onnx.decoder import Decoder
from edgespec_backends.onnx.lib import reason, run_options

_MOST_LOGITS = 64 << 20
"""Bytes that the logits of one batch may take where the graph computes those of every token."""


class OnnxContext:
    """A cache of one sequence. `decoder` makes the graph ready for a number of positions."""

    def __init__(
        self,
        decoder: Callable[[int], Decoder],
        options: ContextOptions,
        n_ctx_train: int,
        n_vocab: int,
    ) -> None:
        # Beyond what the model was made for, its tables of angles end.
        self.n_ctx = min(options.n_ctx or n_ctx_train, n_ctx_train)
        self.n_vocab = n_vocab
        self.max_outputs = options.max_outputs
        self.rollback = Rollback.ANY
        self.rollback_limit = self.n_ctx
        self._decoder: Decoder | None = decoder(self.n_ctx)
        rows = options.n_batch if self._decoder.trims else _MOST_LOGITS // (4 * n_vocab)
        self.n_batch = min(options.n_batch, self.n_ctx, max(rows, options.max_outputs))
        self._options = run_options()
        self._length = 0
        self._rows: Logits = np.empty((0, n_vocab), np.float32)

    def decode(
        self, tokens: Sequence[int], position: int, *, outputs: int, sequence: int = 0
    ) -> None:
        """Decode `tokens` from `position` on and keep the logits of the last `outputs`."""
        options = self._options
        if options.terminate:
            raise Aborted
        self._check(tokens, position, outputs, sequence)
        assert self._decoder is not None, "a closed context was used"
        try:
            rows = self._decoder.run(tokens, position, outputs, options)
        except Exception as error:
            if options.terminate:
                raise Aborted from error
            raise BackendError(f"decoding failed: {reason(error)}") from error
        self._length = position + len(tokens)
        if rows is not None:
            self._rows = np.asarray(rows, np.float32)

    def decode_rows(self, rows: Sequence[Row]) -> None:
        """Decode rows of the one sequence, keeping logits of those that ask."""
        first = next((index for index, row in enumerate(rows) if row.output), len(rows))
        tokens, position = [row.token for row in rows], rows[0].position
        if any(row.sequence or row.position != position + n for n, row in enumerate(rows)):
            raise ValueError("the rows are not one sequence")
        self.decode(tokens, position, outputs=len(rows) - first)
        self._rows = self._rows[[index for index, row in enumerate(rows[first:]) if row.output]]

    def logits(self, row: int) -> Logits:
        """View of shape (n_vocab,); valid until the next decode."""
        return np.asarray(self._rows[row])

    def truncate(self, length: int, *, sequence: int = 0) -> bool:
        """Keep the first `length` positions; always possible."""
        self._length = min(self._length, length)
        return True

    def copy(self, source: int, destination: int, length: int) -> None:
        """Impossible: there is one sequence. Raises ValueError."""
        raise ValueError(f"sequence {destination} does not exist")

    def length(self, sequence: int = 0) -> int:
        """Number of positions held."""
        return self._length

    def clear(self) -> None:
        """Forget everything."""
        self._length = 0

    def checkpoint(self) -> bytes:
        """Nothing: there is no recurrent state."""
        return b""

    def restore(self, state: bytes, length: int) -> bool:
        """Keep the first `length` positions."""
        return self.truncate(length)

    def abort(self) -> None:
        """Stop the decode in progress, from any thread, or the next one if none runs."""
        self._options.terminate = True

    def resume(self) -> None:
        """Clear the abort flag, but not for a decode that it was raised in."""
        self._options = run_options()

    def close(self) -> None:
        """Free the cache. Idempotent."""
        self._decoder = None

    def _check(self, tokens: Sequence[int], position: int, outputs: int, sequence: int) -> None:
        # What is out of range reads foreign memory in some providers.
        if not 0 < len(tokens) <= self.n_batch:
            raise ValueError(f"a batch of {len(tokens)} tokens; it must be 1 to {self.n_batch}")
        if not 0 <= outputs <= min(len(tokens), self.max_outputs):
            raise ValueError(f"{outputs} outputs of {len(tokens)}; at most {self.max_outputs}")
        if sequence or position != self._length:
            raise ValueError(f"position {position} of sequence {sequence}; {self._length} are held")
        if position + len(tokens) > self.n_ctx:
            raise ValueError(f"positions up to {position + len(tokens)} exceed {self.n_ctx}")
        if min(tokens) < 0 or max(tokens) >= self.n_vocab:
            raise ValueError(f"a token is outside the vocabulary of {self.n_vocab}")
