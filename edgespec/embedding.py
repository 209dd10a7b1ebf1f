"""What the core asks of a model that turns texts into vectors, beside edgespec.protocols."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edgespec.protocols import Model, Row


class EmbeddingContext(Protocol):
    """Turns texts into vectors, some of them in a batch. Owned by a single thread."""

    n_ctx: int
    """Tokens that a text can have."""
    n_batch: int
    """Tokens of a batch; if they are fewer, a longer text can be decoded piece by piece."""
    max_sequences: int
    """Texts of a batch."""
    dimensions: int

    def decode(self, rows: Sequence[Row]) -> None:
        """Decode a batch of texts, each a sequence. Raises BackendError, ValueError."""

    def pooled(self, sequence: int) -> NDArray[np.float32]:
        """A copy of the vector of a text that ended in the last batch, of shape (dimensions,)."""

    def clear(self) -> None:
        """Forget all texts."""

    def close(self) -> None:
        """Free it. Idempotent."""


@runtime_checkable
class Embedding(Model, Protocol):
    """A model that pools what it makes of a text's tokens into one vector."""

    def embeddings(self, n_ctx: int, n_batch: int) -> EmbeddingContext:
        """A new context for texts of up to `n_ctx` tokens, in batches of at most `n_batch`."""
