"""What the core asks of an engine: a loaded model, its tokenizer, and contexts that decode."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edgespec.errors import BackendUnavailable
from edgespec.importing import engine

Logits = NDArray[np.float32]
Cpus = Sequence[int]

BACKENDS = {
    "llamacpp": "edgespec_backends.llamacpp:open_model",
    "onnx": "edgespec_backends.onnx:open_model",
}
_REMEDIES = {"llamacpp": "reinstall edgespec", "onnx": 'pip install "edgespec[onnx]"'}


class Rollback(Enum):
    """How a context can take decoded tokens back."""

    ANY = "any"
    """Any suffix, at no cost."""
    BOUNDED = "bounded"
    """At most `rollback_limit` tokens, once per decode, never a whole batch."""
    CHECKPOINT = "checkpoint"
    """Only by restoring a checkpoint and decoding again what is kept."""


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """How to load a model. `threads` serve every batch size.

    `n_gpu_layers` layers, -1 for all, go to the offload device called `device`; the experts of
    the first `experts_on_cpu` layers do not. A `copied` model shares no pages of its file with
    others; one of `vocabulary_only` has no weights, and makes no contexts. Without `repack`,
    weights are used as they lie in the file, which loads at once and decodes slowly. `on_note` is
    called with what the user should know of where the model runs.
    """

    threads: int
    n_gpu_layers: int = 0
    device: str = ""
    experts_on_cpu: int = 0
    copied: bool = False
    vocabulary_only: bool = False
    repack: bool = True
    on_note: Callable[[str], None] = field(default=lambda text: None, compare=False)


@dataclass(frozen=True, slots=True)
class ContextOptions:
    """The size of a context.

    `n_ctx` tokens of cache (0 = the model's own), batches of at most `n_batch` tokens of which at
    most `max_outputs` ask for logits, `max_sequences` sequences that share one cache (each further
    one adds room for a short branch), and `rollback` tokens that a recurrent model must be able to
    take back. Keys and values are kept as `kv_type`: f16, q8_0 or q4_0. `ordered` makes it an
    OrderedContext, `branches` a Branching one where the model can. `flash` lets an engine use its
    flash attention, if it has any; without, keys and values must be f16.
    """

    n_ctx: int = 0
    n_batch: int = 512
    max_outputs: int = 32
    max_sequences: int = 1
    rollback: int = 16
    kv_type: str = "f16"
    ordered: bool = False
    branches: int = 0
    flash: bool = True


@dataclass(frozen=True, slots=True)
class Row:
    """One token of a batch over several sequences."""

    token: int
    position: int
    sequence: int
    output: bool


class Tokenizer(Protocol):
    """Text to token ids and back, in bytes, because a token may end inside a character."""

    n_vocab: int
    bos: int | None
    eos: int | None

    def encode(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """Token ids of `text`; with `parse_special`, control tokens written out are recognised."""

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """The bytes of one token; empty for control tokens unless `special`."""

    def is_eog(self, token: int) -> bool:
        """True if `token` ends an answer."""

    def vocabulary(self) -> list[bytes]:
        """The text of every id as the model file spells it, for comparing two vocabularies."""


class Context(Protocol):
    """One cache and the decoder over it. Owned by a single thread, except for `abort`."""

    n_ctx: int
    n_batch: int
    max_outputs: int
    rollback: Rollback
    rollback_limit: int
    n_vocab: int

    def decode(
        self,
        tokens: Sequence[int],
        position: int,
        *,
        outputs: int,
        sequence: int = 0,
    ) -> None:
        """Decode `tokens` at `position`, `position`+1, ... and keep logits of the last `outputs`.

        Raises Aborted after `abort` (recurrent models finish the batch first, because stopping
        inside it would corrupt their state), BackendError if the engine failed, ValueError for
        lengths the engine could not survive. After the first two the cache may hold any prefix
        of the batch.
        """

    def decode_rows(self, rows: Sequence[Row]) -> None:
        """Decode rows of several sequences in one batch, keeping logits of those that ask.

        Rows of one sequence stand in order and continue it. Raises as `decode` does.
        """

    def logits(self, row: int) -> Logits:
        """View of shape (n_vocab,), row 0 being the first kept; valid until the next decode."""

    def truncate(self, length: int, *, sequence: int = 0) -> bool:
        """Keep the first `length` positions of a sequence; False if the cache cannot."""

    def copy(self, source: int, destination: int, length: int) -> None:
        """Let the empty sequence `destination` share the first `length` positions of `source`."""

    def length(self, sequence: int = 0) -> int:
        """Number of positions held."""

    def clear(self) -> None:
        """Forget everything."""

    def checkpoint(self) -> bytes:
        """The recurrent state of sequence 0, for `restore`."""

    def restore(self, state: bytes, length: int) -> bool:
        """Go back to the state taken when `length` positions were held; False if refused."""

    def abort(self) -> None:
        """Stop the decode in progress, from any thread, or the next one if none runs."""

    def resume(self) -> None:
        """Clear the abort flag."""

    def close(self) -> None:
        """Free the cache. Idempotent."""


@runtime_checkable
class Saving(Protocol):
    """A context whose sequences can be kept as bytes and come back in another process."""

    def state_size(self, sequence: int = 0) -> int:
        """How many bytes `save` would return."""

    def save(self, sequence: int = 0) -> bytes:
        """All that a sequence holds. It computes nothing: any thread may ask if none decodes."""

    def load(self, state: bytes, length: int, *, sequence: int = 0) -> bool:
        """Hold the `length` positions that a context like this one saved, and nothing else.

        False if they are refused; the sequence is empty then.
        """


@runtime_checkable
class Bindable(Context, Protocol):
    """A context that computes on processors which can be chosen."""

    def bind(self, single: Cpus, batch: Cpus, prompt: Cpus, *, threads: int = 0) -> None:
        """Decode on these processors, a thread on each: single tokens, batches, and prompts.

        With `threads`, so many on whichever are free. Prompts are what has more tokens than may
        have outputs. Called by the thread that decodes. Where the system does not let threads be
        bound, only their number changes. Raises ValueError for none.
        """


@runtime_checkable
class Losable(Protocol):
    """A context whose device may be lost, and with it the thread that was using it."""

    def on_loss(self, report: Callable[[str], None]) -> None:
        """Call `report` with the reason before this thread, which alone decodes, stops for ever.

        The context can then only be closed. Without a report the process would end.
        """


@dataclass(frozen=True, slots=True)
class Held:
    """What a sequence holds: `shared` positions of sequence `parent`, then some of its own."""

    sequence: int
    parent: int
    shared: int


@runtime_checkable
class OrderedContext(Context, Protocol):
    """A context whose sequences lie in the cache in the order of their positions.

    Attention adds what it finds in the order of the cache, so that only then does each sequence
    round as it would alone. The price is that room which is given up can only be used again after
    the rest has been laid out anew.
    """

    def discard(self, length: int, *, sequence: int) -> None:
        """Keep the first `length` positions of a sequence; the room of the others stays taken."""

    def compact(self, sequences: Sequence[Held]) -> None:
        """Lay these sequences out from the beginning, parents first, and forget all others."""


@runtime_checkable
class Branching(Context, Protocol):
    """A context that decodes a tree in one batch; its branches share what they have in common."""

    branches: int
    """How many branches beside the first one a tree may have; 0 = chains only."""

    def decode_tree(self, tokens: Sequence[int], parents: Sequence[int], position: int) -> None:
        """Decode tokens that follow the `position` ones of sequence 0, and keep the logits of each.

        Token i follows token parents[i], which comes before it; the first, whose parent is -1,
        follows what is held. Until `keep`, sequence 0 holds the first child of each. Raises as
        `decode` does.
        """

    def keep(self, path: Sequence[int]) -> bool:
        """Let sequence 0 hold these tokens of the tree, as if they alone had been decoded.

        False if the cache refuses: then it holds as many of them as do not need to be moved, those
        with path[i] == i.
        """


class Grammar(Protocol):
    """A grammar's state: which tokens may come next."""

    def mask(self, ids: NDArray[np.int32]) -> NDArray[np.bool_]:
        """For each id, whether it may come next. Shape as `ids`."""

    def accept(self, token: int) -> None:
        """Advance by one emitted token, which `mask` must allow."""

    def clone(self) -> "Grammar":
        """An independent copy of the state."""


class Model(Protocol):
    """Loaded weights with their tokenizer."""

    @property
    def path(self) -> Path:
        """The file they came from."""

    @property
    def tokenizer(self) -> Tokenizer:
        """Their vocabulary."""

    @property
    def n_ctx_train(self) -> int:
        """The longest context that the model was made for."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """The file's metadata as text; arrays may be cut short."""

    @property
    def description(self) -> str:
        """Architecture, size and quantization, for people."""

    def context(self, options: ContextOptions) -> Context:
        """A new context over the weights."""

    def grammar(self, gbnf: str) -> Grammar:
        """Compile a grammar; raises InvalidInput if it does not parse."""

    def json_schema_grammar(self, schema: str) -> str:
        """GBNF of a JSON schema; raises InvalidInput if it cannot be expressed."""

    def close(self) -> None:
        """Free the weights; contexts must be closed before. Idempotent."""


Progress = Callable[[float], bool]
"""Called with the loaded fraction; returning False stops the loading."""


class OpenModel(Protocol):
    """A backend's entry point."""

    def __call__(
        self, path: Path, options: ModelOptions, progress: Progress | None = None
    ) -> Model: ...


def backend(name: str) -> OpenModel:
    """The entry point of backend `name`, imported now. Raises BackendUnavailable."""
    if name not in BACKENDS:
        raise BackendUnavailable(f"no backend is called {name!r}")
    module, attribute = BACKENDS[name].split(":")
    loaded = engine(module, f"backend {name!r}", _REMEDIES[name])
    return cast(OpenModel, getattr(loaded, attribute))
