"""A model with layers on other machines, in a child: if one of them goes away, GGML aborts."""

import os
import threading
from collections.abc import Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from edgespec.errors import Aborted, BackendError, DeviceLost
from edgespec.protocols import ContextOptions, Held, Logits, ModelOptions, Progress, Row
from edgespec_backends.llamacpp import child, rpc
from edgespec_backends.llamacpp.grammar import LlamaGrammar
from edgespec_backends.llamacpp.model import LlamaModel

_GRACE = 10.0
_FACTS = ("n_ctx", "n_batch", "max_outputs", "n_vocab", "rollback", "rollback_limit")


class IsolatedModel:
    """Weights in a child, the vocabulary here; see edgespec.protocols.Model. Has one context."""

    _open: ClassVar[list["IsolatedModel"]] = []
    """At most one: a second child would wait for the workers until the first one ends."""

    def __init__(self, path: Path, options: ModelOptions, progress: Progress | None) -> None:
        if self._open:
            raise BackendError(
                f"{options.device} cannot have {path.name} as well",
                "a worker serves one model at a time: leave out --drafter-device",
            )
        self.path = path
        self._vocabulary = LlamaModel(path, ModelOptions(1, vocabulary_only=True), None)
        self.tokenizer = self._vocabulary.tokenizer
        self.metadata = self._vocabulary.metadata
        self._call = _Child(path, options, list(rpc.endpoints))
        self._open.append(self)
        try:
            self.description, self.n_ctx_train = self._call.loaded(progress)
        except BaseException:
            self.close()
            raise

    def context(self, options: ContextOptions) -> "IsolatedContext":
        """The context over the weights."""
        return IsolatedContext(self._call, options)

    def grammar(self, gbnf: str) -> LlamaGrammar:
        """Compile a grammar; raises InvalidInput if it does not parse."""
        return self._vocabulary.grammar(gbnf)

    def json_schema_grammar(self, schema: str) -> str:
        """GBNF of a JSON schema; raises InvalidInput if it cannot be expressed."""
        return self._vocabulary.json_schema_grammar(schema)

    def close(self) -> None:
        """End the child. Idempotent."""
        if self in self._open:
            self._open.remove(self)
        self._call.close()
        self._vocabulary.close()


class _Child:
    """The process, and calls of its context's methods: one at a time."""

    def __init__(self, path: Path, options: ModelOptions, endpoints: list[str]) -> None:
        self._device = options.device
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        heard, self._aborts = context.Pipe(duplex=False)
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        # Not the options themselves: they have a function, which stays on this side.
        shape = options.threads, options.n_gpu_layers, options.device, options.experts_on_cpu
        self._process = context.Process(
            target=_main, args=(theirs, heard, path, shape, endpoints), daemon=True
        )
        with child.uninterrupted():
            self._process.start()
        theirs.close()
        heard.close()

    def loaded(self, progress: Progress | None) -> tuple[str, int]:
        """Description and longest context of the model, once it is loaded."""
        while isinstance(fraction := self._received(), float):
            try:
                going = progress is None or progress(fraction)
            except BaseException:
                self._process.kill()
                raise
            self._pipe.send(going)
        description, n_ctx = fraction
        return description, n_ctx

    def __call__(
        self, method: str, *arguments: Any, into: Logits | None = None, **more: Any
    ) -> Any:
        """What the context's method returns or raises; logits are written to `into`."""
        with self._lock:
            try:
                self._pipe.send((method, arguments, more, into is not None))
            except OSError:
                raise self._lost() from None
            result = self._received()
            if into is not None:
                self._pipe.recv_bytes_into(into.data.cast("B"))
            return result

    def abort(self, generation: int) -> None:
        """Stop the decode in progress."""
        with self._sending:
            try:
                self._aborts.send(generation)
            except OSError:
                return  # Whoever decodes will notice.

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join(_GRACE)
        self._process.kill()
        self._process.join()

    def _received(self) -> Any:
        try:
            answer = self._pipe.recv()
        except (EOFError, OSError):
            raise self._lost() from None
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def _lost(self) -> DeviceLost:
        return DeviceLost(
            f"the layers on {self._device} ({', '.join(rpc.endpoints)}) are lost",
            "see whether edgespec worker still runs there, then try again",
        )


class IsolatedContext:
    """Passes everything on to the child's context; see edgespec.protocols.OrderedContext."""

    def __init__(self, call: _Child, options: ContextOptions) -> None:
        self._call = call
        facts = call("context", options)
        self.n_ctx: int = facts["n_ctx"]
        self.n_batch: int = facts["n_batch"]
        self.max_outputs: int = facts["max_outputs"]
        self.n_vocab: int = facts["n_vocab"]
        self.rollback = facts["rollback"]
        self.rollback_limit: int = facts["rollback_limit"]
        self._rows: Logits = np.zeros((self.max_outputs, self.n_vocab), np.float32)
        self._outputs = 0
        self._aborted = False
        self._generation = 0

    def decode(
        self, tokens: Sequence[int], position: int, *, outputs: int, sequence: int = 0
    ) -> None:
        """Decode `tokens` from `position` on and keep the logits of the last `outputs`."""
        self._decode(
            outputs, "decode", [list(tokens), position], outputs=outputs, sequence=sequence
        )

    def decode_rows(self, rows: Sequence[Row]) -> None:
        """Decode rows of several sequences in one batch, keeping logits of those that ask."""
        self._decode(sum(row.output for row in rows), "decode_rows", [list(rows)])

    def _decode(self, count: int, method: str, arguments: Sequence[Any], **more: Any) -> None:
        if self._aborted:
            raise Aborted
        into = self._rows[:count] if count else None
        self._call(method, *arguments, into=into, **more)
        self._outputs = count

    def logits(self, row: int) -> Logits:
        """View of shape (n_vocab,); valid until the next decode."""
        if not 0 <= row < self._outputs:
            raise IndexError(f"row {row} of {self._outputs} rows of logits")
        return np.asarray(self._rows[row])

    def bind(self, single: Sequence[int], batch: Sequence[int]) -> None:
        """Decode single tokens on the processors `single`, batches on `batch`."""
        self._call("bind", list(single), list(batch))

    def truncate(self, length: int, *, sequence: int = 0) -> bool:
        """Keep the first `length` positions of a sequence; False if the cache cannot."""
        return bool(self._call("truncate", length, sequence=sequence))

    def copy(self, source: int, destination: int, length: int) -> None:
        """Let the empty sequence `destination` share the first `length` positions of `source`."""
        self._call("copy", source, destination, length)

    def discard(self, length: int, *, sequence: int) -> None:
        """Keep the first `length` positions of a sequence; the room of the others stays taken."""
        self._call("discard", length, sequence=sequence)

    def compact(self, sequences: Sequence[Held]) -> None:
        """Lay these sequences out from the beginning, parents first, and forget all others."""
        self._call("compact", list(sequences))

    def length(self, sequence: int = 0) -> int:
        """Number of positions held."""
        return int(self._call("length", sequence))

    def clear(self) -> None:
        """Forget everything."""
        self._call("clear")

    def checkpoint(self) -> bytes:
        """The recurrent state of sequence 0."""
        return bytes(self._call("checkpoint"))

    def restore(self, state: bytes, length: int) -> bool:
        """Go back to the state taken when `length` positions were held; False if refused."""
        return bool(self._call("restore", state, length))

    def state_size(self, sequence: int = 0) -> int:
        """How many bytes `save` would return."""
        return int(self._call("state_size", sequence))

    def save(self, sequence: int = 0) -> bytes:
        """All that a sequence holds."""
        return bytes(self._call("save", sequence))

    def load(self, state: bytes, length: int, *, sequence: int = 0) -> bool:
        """Hold what `save` returned, in place of what the sequence holds; False if refused."""
        return bool(self._call("load", state, length, sequence=sequence))

    def abort(self) -> None:
        """Stop the decode in progress, from any thread, or the next one if none runs."""
        self._aborted = True
        self._call.abort(self._generation)

    def resume(self) -> None:
        """Clear the abort flag."""
        self._generation += 1
        self._call("resume", self._generation)
        self._aborted = False

    def close(self) -> None:
        """Nothing: the cache ends with the child."""


def _main(
    pipe: "Connection[Any, Any]",
    aborts: "Connection[Any, Any]",
    path: Path,
    shape: tuple[int, int, str, bool],
    endpoints: list[str],
) -> None:
    child.quiet()
    try:
        rpc.register(endpoints)
        _serve(pipe, aborts, path, ModelOptions(*shape))
    except EOFError:
        pass
    except Exception as error:
        pipe.send(error)
    os._exit(0)  # Freeing asks the machines, which may be what is missing.


def _serve(
    pipe: "Connection[Any, Any]", aborts: "Connection[Any, Any]", path: Path, options: ModelOptions
) -> None:
    def progress(fraction: float) -> bool:
        pipe.send(float(fraction))
        return bool(pipe.recv())

    model = LlamaModel(path, options, progress)
    pipe.send((model.description, model.n_ctx_train))
    _, arguments, _, _ = pipe.recv()
    context = model.context(*arguments)
    pipe.send({name: getattr(context, name) for name in _FACTS})
    generation = [0]
    threading.Thread(target=_listen, args=(aborts, context, generation), daemon=True).start()
    while True:
        method, arguments, more, wants_logits = pipe.recv()
        if method == "resume":
            (generation[0],) = arguments
            arguments = ()
        try:
            result = getattr(context, method)(*arguments, **more)
        except Exception as error:
            pipe.send(error)
            continue
        pipe.send(result)
        if wants_logits:
            pipe.send_bytes(context.rows.tobytes())


def _listen(aborts: "Connection[Any, Any]", context: Any, generation: list[int]) -> None:
    """Stop decodes as asked, but for those that were resumed since."""
    while True:
        try:
            wanted = aborts.recv()
        except (EOFError, OSError):
            os._exit(1)
        if wanted == generation[0]:
            context.abort()
