"""A model that makes embeddings: texts become vectors of length one."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from threading import Lock
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from edgespec import catalog, cpu_sets, headers, lost_pages, memory, priority, trial
from edgespec.cpus import bind
from edgespec.embedding import Embedding, EmbeddingContext
from edgespec.errors import (
    BackendError,
    ContextOverflow,
    InvalidInput,
    ModelUnavailable,
    NotEnoughMemory,
)
from edgespec.gguf_header import GgufHeader, read_header
from edgespec.pooling import embeds, splits
from edgespec.protocols import ModelOptions, Row, backend
from edgespec.topology import detect

Vectors = NDArray[np.float32]

_LONGEST = 2048
"""Tokens of a text unless told otherwise."""
_CLOSED = "the model is closed"
_PIECE = 512
"""Tokens of a batch where a longer text can be cut."""


def look_at(model: str | None) -> tuple[str, GgufHeader | None]:
    """The name of what `model` means, and its header if it is one that makes embeddings.

    Raises ModelUnavailable.
    """
    pair = catalog.resolve(model, speculate=False)
    if headers.is_onnx(pair.target):
        return pair.name, None
    header = read_header(pair.target, generates=False)
    return pair.name, header if embeds(header) else None


def load_embedder(
    model: str | None,
    *,
    context: int = 0,
    threads: int = 0,
    cpus: str = "",
    turn: AbstractContextManager[object] | None = None,
) -> "Embedder":
    """Load a model that makes embeddings, a name or a GGUF file, onto the processor.

    A text can have `context` tokens, at most those that the model was made for (0 = these, but at
    most 2048). `threads` 0 are as many as the processor has cores; `cpus` are those to stay on, as
    in "0-3,8". Each batch is computed inside of `turn`. Raises ModelUnavailable for a model that is
    missing, broken or makes no embeddings, NotEnoughMemory before anything is read that would not
    fit.
    """
    name, header = look_at(model)
    if header is None:
        raise ModelUnavailable(f"{name} makes no embeddings", "choose a model made for them")
    n_ctx = min(context or _LONGEST, header.context_length)
    n_batch = min(n_ctx, _PIECE) if splits(header) else n_ctx
    _require_room(name, header, n_ctx, n_batch)
    trial.require_harmless([header.path], lambda: True)
    lost_pages.watch()
    chosen = cpu_sets.default(detect.here(), threads, cpus)
    options = ModelOptions(chosen.threads)
    loaded = backend("llamacpp")(header.path, options)
    assert isinstance(loaded, Embedding)
    try:
        embeddings = loaded.embeddings(n_ctx, n_batch)
        kept_to = chosen.cpus if chosen.pinned else ()
        return Embedder(name, loaded, embeddings, turn or nullcontext(), kept_to)
    except BaseException:
        loaded.close()
        raise


class Embedder:
    """Owns `model` and `context`, which a thread of its own uses, inside of `turn`.

    It may be used from any thread.
    """

    def __init__(
        self,
        name: str,
        model: Embedding,
        context: EmbeddingContext,
        turn: AbstractContextManager[object],
        kept_to: Sequence[int] = (),
    ) -> None:
        self.name = name
        self.n_ctx = context.n_ctx
        """Tokens that a text can have."""
        self.dimensions = context.dimensions
        self._model = model
        self._context = context
        self._turn = turn
        # Threads that it starts stay where it is kept to.
        self._thread = ThreadPoolExecutor(
            1, "edgespec-embedder", lambda: bind(kept_to) if kept_to else None
        )
        self._lock = Lock()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def lost(self) -> bool:
        """Never: it needs nothing but the processor."""
        return False

    def embed(self, texts: Sequence[str]) -> Vectors:
        """The vectors of `texts`, shape (len(texts), dimensions), each of length one.

        Raises InvalidInput for a text that is empty, or longer than `n_ctx` tokens, and
        BackendError if the engine fails or the model is closed.
        """
        inputs = [self.tokens(text) for text in texts]
        for tokens in inputs:
            self.check(tokens)
        found = [self.submit([inputs[n] for n in batch]) for batch in self.batches(inputs)]
        empty = np.empty((0, self.dimensions), np.float32)
        return np.concatenate([empty, *(vectors.result() for vectors in found)])

    def tokens(self, text: str) -> list[int]:
        """The token ids of a text, with those that the model wants around it.

        Raises BackendError, as `submit` does, if the model is closed.
        """
        with self._lock:
            if self._closed:
                raise BackendError(_CLOSED)
            return self._model.tokenizer.encode(text, add_special=True, parse_special=False)

    def check(self, tokens: Sequence[int]) -> None:
        """Raise InvalidInput for a text that cannot be embedded."""
        if not tokens:
            raise InvalidInput("a text is empty")
        if len(tokens) > self.n_ctx:
            raise ContextOverflow(
                f"a text has {len(tokens)} tokens, the model takes {self.n_ctx}", "split it"
            )
        if not all(0 <= token < self._model.tokenizer.n_vocab for token in tokens):
            raise InvalidInput("a text has a token id outside the vocabulary")

    def batches(self, inputs: Sequence[Sequence[int]]) -> Iterator[range]:
        """Which of `inputs` are computed together; one that fills several batches is alone."""
        begin, room = 0, self._context.n_batch
        for end, tokens in enumerate(inputs):
            room -= len(tokens)
            if end > begin and (room < 0 or end - begin == self._context.max_sequences):
                yield range(begin, end)
                begin, room = end, self._context.n_batch - len(tokens)
        if inputs:
            yield range(begin, len(inputs))

    def submit(self, batch: Sequence[Sequence[int]]) -> "Future[Vectors]":
        """The vectors of one batch, as soon as those before it are done."""
        try:
            return self._thread.submit(self._vectors, batch)
        except RuntimeError:
            raise BackendError(_CLOSED) from None

    def close(self) -> None:
        """Finish what was begun and free everything. Idempotent."""
        with self._lock:
            self._closed = True
            self._thread.shutdown(wait=True, cancel_futures=True)
            self._context.close()
            self._model.close()

    def _vectors(self, batch: Sequence[Sequence[int]]) -> Vectors:
        rows = [
            Row(token, position, sequence, True)
            for sequence, tokens in enumerate(batch)
            for position, token in enumerate(tokens)
        ]
        self._context.clear()
        for begin in range(0, len(rows), self._context.n_batch):
            with priority.claimed(), self._turn:
                self._context.decode(rows[begin : begin + self._context.n_batch])
        vectors = np.stack([self._context.pooled(sequence) for sequence in range(len(batch))])
        if not np.isfinite(vectors).all():
            raise BackendError("the model made an embedding that is no number")
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: Vectors = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
        return unit


def _require_room(name: str, header: GgufHeader, n_ctx: int, n_batch: int) -> None:
    # Every token of a batch is an output, whatever is made of them.
    need, free = memory.estimate(header, n_ctx, n_batch, n_batch).total, memory.available()
    if need > free:
        raise NotEnoughMemory(
            f"{name} with texts of {n_ctx} tokens needs about {memory.gib(need)} of memory, "
            f"{memory.gib(free)} is available",
            "use a smaller --context",
        )
