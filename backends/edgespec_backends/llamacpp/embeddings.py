"""A libllama context that makes embeddings."""

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgespec.errors import BackendError, NotEnoughMemory
from edgespec.protocols import Row
from edgespec_backends.llamacpp.batch import Batch
from edgespec_backends.llamacpp.lib import llama, recent_errors

_TEXTS = 32
"""The most that share a batch."""


class LlamaEmbeddings:
    """See edgespec.protocols.EmbeddingContext. How texts are pooled is as the model's file says."""

    def __init__(self, model: Any, n_ctx: int, n_batch: int, threads: int) -> None:
        recent_errors()
        params = llama.llama_context_default_params()
        params.n_ctx = n_ctx
        params.n_batch = params.n_ubatch = n_batch
        params.n_seq_max = min(n_batch, _TEXTS)
        params.kv_unified = True
        params.embeddings = True
        params.n_threads = params.n_threads_batch = threads
        self._context = llama.llama_init_from_model(model, params)
        if not self._context:
            raise NotEnoughMemory(
                f"a context of {n_ctx} tokens could not be made: {recent_errors()}",
                "use a smaller --context",
            )
        self._memory = llama.llama_get_memory(self._context)
        # What keeps nothing of a text's beginning cannot go on with it.
        self.n_ctx = n_ctx if self._memory else n_batch
        self.n_batch = n_batch
        self.max_sequences: int = params.n_seq_max
        self.dimensions: int = llama.llama_model_n_embd_out(model)
        self._n_vocab: int = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))
        self._batch = Batch(self.n_batch)

    def decode(self, rows: Sequence[Row]) -> None:
        """Decode a batch of texts, each a sequence."""
        # libllama answers each of these with an assertion, which would end the process.
        if not 0 < len(rows) <= self.n_batch:
            raise ValueError(f"a batch of {len(rows)} tokens; it must be 1 to {self.n_batch}")
        for row in rows:
            if not (0 <= row.position < self.n_ctx and 0 <= row.sequence < self.max_sequences):
                raise ValueError(f"{row} is outside of {self.n_ctx} x {self.max_sequences}")
            if not 0 <= row.token < self._n_vocab:
                raise ValueError(f"token {row.token} is outside the vocabulary of {self._n_vocab}")
        code = llama.llama_decode(self._context, self._batch.fill_rows(rows))
        if code:
            raise BackendError(f"embedding failed with code {code}: {recent_errors()}")

    def pooled(self, sequence: int) -> NDArray[np.float32]:
        """A copy of the vector of a text that ended in the last batch, of shape (dimensions,)."""
        found = llama.llama_get_embeddings_seq(self._context, sequence)
        if not found:
            raise BackendError("the engine kept no embedding")
        values = (ctypes.c_float * self.dimensions).from_address(ctypes.addressof(found.contents))
        return np.array(values, np.float32)

    def clear(self) -> None:
        """Forget all texts."""
        llama.llama_memory_clear(self._memory, False)

    def close(self) -> None:
        """Free it. Idempotent."""
        if self._context:
            llama.llama_free(self._context)
            self._context = None
