"""One libllama context: its cache, its batch buffers and its logits."""

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edgespec.errors import Aborted, BackendError, NotEnoughMemory
from edgespec.protocols import ContextOptions, Cpus, Held, Logits, Rollback, Row
from edgespec_backends.llamacpp.batch import Batch
from edgespec_backends.llamacpp.branches import Branches
from edgespec_backends.llamacpp.huge_pages import NewMemory
from edgespec_backends.llamacpp.lib import AbortFlag, llama, recent_errors
from edgespec_backends.llamacpp.survival import dismiss, prepare
from edgespec_backends.llamacpp.threadpool import ThreadPools

_OK, _NO_SLOT, _ABORTED = 0, 1, 2
_PARTIAL_ONLY = 1
_KV_TYPES = {"f16": llama.GGML_TYPE_F16, "q8_0": llama.GGML_TYPE_Q8_0, "q4_0": llama.GGML_TYPE_Q4_0}
_BRANCH = 64
"""Positions that a further sequence may hold on its own."""


class LlamaContext:
    """A cache and the decoder over it; see edgespec.protocols.Context."""

    def __init__(self, model: Any, options: ContextOptions, threads: int) -> None:
        recent_errors()
        self._flag = AbortFlag()
        self.branches = options.branches if _remembers_all(model) else 0
        recurrent = llama.llama_model_is_recurrent(model) or llama.llama_model_is_hybrid(model)
        params = _params(model, options, threads, options.rollback if recurrent else 0)
        params.n_seq_max += self.branches + bool(self.branches)
        params.kv_unified = params.n_seq_max > 1
        # libllama makes room for a row of every sequence, whatever it is told.
        params.n_outputs_max = max(params.n_outputs_max, params.n_seq_max)
        if not recurrent:
            params.abort_callback = self._flag.callback
            params.abort_callback_data = self._flag.data
        memory = NewMemory()
        self._context = llama.llama_init_from_model(model, params)
        memory.ask_for_huge_pages()
        if not self._context:
            raise NotEnoughMemory(
                f"a context of {params.n_ctx} tokens could not be made: {recent_errors()}",
                "use a smaller --context",
            )
        self._memory = llama.llama_get_memory(self._context)
        self._pools: ThreadPools | None = None
        self.n_ctx: int = llama.llama_n_ctx_seq(self._context)
        self.n_batch: int = llama.llama_n_ubatch(self._context)
        self.max_outputs = options.max_outputs
        self.n_vocab: int = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))
        self.rollback_limit: int = llama.llama_n_rs_seq(self._context) if recurrent else self.n_ctx
        self.rollback = _rollback(recurrent, self.rollback_limit)
        self._spare, self._dead = options.max_sequences, options.max_sequences + 1
        """Sequences that hold what moves and, in an ordered context, what is given up."""
        self._branches = Branches(self._memory, range(self._dead, self._dead + self.branches))
        self._batch = Batch(self.n_batch, self.branches + 1)
        self._rows: Logits = np.empty((0, self.n_vocab), np.float32)
        self._address: int | None = None
        self._outputs = 0
        self._report: Callable[[str], None] | None = None
        self.lost = False
        """True once its device is gone, and with it the thread that decoded."""

    def decode(
        self, tokens: Sequence[int], position: int, *, outputs: int, sequence: int = 0
    ) -> None:
        """Decode `tokens` from `position` on and keep the logits of the last `outputs`."""
        if self._flag:
            raise Aborted
        self._check(tokens, position, outputs)
        self._branches.fell()
        self._run(self._batch.fill(tokens, position, outputs, sequence), outputs)

    def decode_rows(self, rows: Sequence[Row]) -> None:
        """Decode rows of several sequences in one batch, keeping logits of those that ask."""
        if self._flag:
            raise Aborted
        outputs = sum(row.output for row in rows)
        for row in rows:
            self._check([row.token], row.position, row.output)
        if not 0 < len(rows) <= self.n_batch or outputs > self.max_outputs:
            raise ValueError(f"{len(rows)} rows with {outputs} outputs; at most {self.n_batch}")
        self._run(self._batch.fill_rows(rows), outputs)

    def decode_tree(self, tokens: Sequence[int], parents: Sequence[int], position: int) -> None:
        """Decode a tree that follows what sequence 0 holds and keep the logits of all of it."""
        if self._flag:
            raise Aborted
        self._check(tokens, position, len(tokens))
        self._branches.fell()
        positions: list[int] = []
        for parent in parents:
            positions.append(positions[parent] + 1 if parent >= 0 else position)
        members = self._branches.grow(parents, position)
        try:
            self._run(self._batch.fill_tree(tokens, positions, members), len(tokens))
        except (Aborted, BackendError):
            self._branches.fell()
            raise

    def keep(self, path: Sequence[int]) -> bool:
        """Let sequence 0 hold these tokens of the tree as if they alone had been decoded."""
        start = self._branches.start
        in_place = start + sum(row == index for index, row in enumerate(path))
        end, holder = start + len(path), self._branches.holder(path[-1])
        state = b""
        if in_place < end:
            # What lies behind a gap in the cache is moved, or the next tokens would fill the gap
            # and attention would add up in another order than it does without speculation.
            llama.llama_memory_seq_rm(self._memory, holder, end, -1)
            state = self._save(Held(holder, 0, in_place))
        self.truncate(in_place)
        try:
            if state:
                self._load(Held(0, 0, in_place), state)
        except BackendError:
            return False
        return True

    def bind(self, single: Cpus, batch: Cpus, prompt: Cpus, *, threads: int = 0) -> None:
        """Decode single tokens, batches and prompts on these processors."""
        if self._pools is None:
            address = ctypes.cast(self._context, ctypes.c_void_p).value
            assert address is not None
            self._pools = ThreadPools(address)
        self._pools.bind(single, batch, prompt, threads)

    def on_loss(self, report: Callable[[str], None]) -> None:
        """Call `report` if the device is lost on this thread, instead of ending the process."""

        def lose(reason: str) -> None:
            self.lost = True
            report(reason)

        self._report = lose
        prepare(lose)

    def _run(self, batch: Any, outputs: int) -> None:
        if self._pools:
            self._pools.before(batch.n_tokens, prompt=batch.n_tokens > self.max_outputs)
        code = llama.llama_decode(self._context, batch)
        if code == _ABORTED:
            raise Aborted
        if code == _NO_SLOT:
            raise BackendError(f"the cache has no room for {batch.n_tokens} more tokens")
        if code != _OK:
            raise BackendError(f"decoding failed with code {code}: {recent_errors()}")
        self._outputs = outputs
        if outputs:
            self._refresh()

    @property
    def rows(self) -> Logits:
        """All logits of the last decode, shape (outputs, n_vocab); valid until the next."""
        return self._rows[: self._outputs]

    def logits(self, row: int) -> Logits:
        """View of shape (n_vocab,); valid until the next decode."""
        if not 0 <= row < self._outputs:
            raise IndexError(f"row {row} of {self._outputs} rows of logits")
        return np.asarray(self._rows[row])

    def truncate(self, length: int, *, sequence: int = 0) -> bool:
        """Keep the first `length` positions of a sequence; False if the cache cannot."""
        if sequence == 0:
            self._branches.cut(length)
        return bool(llama.llama_memory_seq_rm(self._memory, sequence, length, -1))

    def copy(self, source: int, destination: int, length: int) -> None:
        """Let the empty sequence `destination` share the first `length` positions of `source`."""
        llama.llama_memory_seq_cp(self._memory, source, destination, 0, length)

    def discard(self, length: int, *, sequence: int) -> None:
        """Keep the first `length` positions of a sequence; the room of the others stays taken."""
        # A cell that is free would be the next one to be filled, out of order.
        llama.llama_memory_seq_cp(self._memory, sequence, self._dead, length, -1)
        llama.llama_memory_seq_rm(self._memory, sequence, length, -1)

    def compact(self, sequences: Sequence[Held]) -> None:
        """Lay these sequences out from the beginning, parents first, and forget all others."""
        states = [self._save(held) for held in sequences]
        llama.llama_memory_clear(self._memory, False)
        for held, state in zip(sequences, states, strict=True):
            if held.shared:
                self.copy(held.parent, held.sequence, held.shared)
            if state:
                self._load(held, state)

    def _save(self, held: Held) -> Any:
        """The keys and values behind what a sequence shares; empty if there are none."""
        if self.length(held.sequence) <= held.shared:
            return b""
        llama.llama_memory_seq_cp(self._memory, held.sequence, self._spare, held.shared, -1)
        size = llama.llama_state_seq_get_size_ext(self._context, self._spare, 0)
        buffer = (ctypes.c_uint8 * size)()
        llama.llama_state_seq_get_data_ext(self._context, buffer, size, self._spare, 0)
        llama.llama_memory_seq_rm(self._memory, self._spare, -1, -1)
        return buffer

    def _load(self, held: Held, state: Any) -> None:
        read = llama.llama_state_seq_set_data_ext(self._context, state, len(state), self._spare, 0)
        if read != len(state):
            raise BackendError(f"the cache could not be laid out anew: {recent_errors()}")
        llama.llama_memory_seq_cp(self._memory, self._spare, held.sequence, held.shared, -1)
        llama.llama_memory_seq_rm(self._memory, self._spare, -1, -1)

    def length(self, sequence: int = 0) -> int:
        """Number of positions held."""
        return int(llama.llama_memory_seq_pos_max(self._memory, sequence)) + 1

    def clear(self) -> None:
        """Forget everything."""
        llama.llama_memory_clear(self._memory, True)
        self._branches.forget()

    def checkpoint(self) -> bytes:
        """The recurrent state of sequence 0."""
        size = llama.llama_state_seq_get_size_ext(self._context, 0, _PARTIAL_ONLY)
        buffer = (ctypes.c_uint8 * size)()
        written = llama.llama_state_seq_get_data_ext(self._context, buffer, size, 0, _PARTIAL_ONLY)
        return bytes(memoryview(buffer)[:written])

    def restore(self, state: bytes, length: int) -> bool:
        """Go back to the state taken when `length` positions were held; False if refused."""
        buffer = (ctypes.c_uint8 * len(state)).from_buffer_copy(state)
        read = llama.llama_state_seq_set_data_ext(
            self._context, buffer, len(state), 0, _PARTIAL_ONLY
        )
        return read == len(state) and self.truncate(length) and self.length() == length

    def state_size(self, sequence: int = 0) -> int:
        """How many bytes `save` would return."""
        return int(llama.llama_state_seq_get_size(self._context, sequence))

    def save(self, sequence: int = 0) -> bytes:
        """All that a sequence holds."""
        size = self.state_size(sequence)
        buffer = (ctypes.c_uint8 * size)()
        written = llama.llama_state_seq_get_data(self._context, buffer, size, sequence)
        return bytes(memoryview(buffer)[:written])

    def load(self, state: bytes, length: int, *, sequence: int = 0) -> bool:
        """Hold what `save` returned, in place of what the sequence holds; False if refused."""
        self.truncate(0, sequence=sequence)
        buffer = (ctypes.c_uint8 * len(state)).from_buffer_copy(state)
        read = llama.llama_state_seq_set_data(self._context, buffer, len(state), sequence)
        if read == len(state) and self.length(sequence) == length:
            return True
        self.truncate(0, sequence=sequence)
        return False

    def abort(self) -> None:
        """Stop the decode in progress, from any thread, or the next one if none runs."""
        self._flag.set()

    def resume(self) -> None:
        """Clear the abort flag."""
        self._flag.clear()

    def close(self) -> None:
        """Free the cache. Idempotent; what was lost cannot be freed."""
        if self._report:
            dismiss(self._report)
            self._report = None
        if self._context and not self.lost:
            if self._pools:
                self._pools.close()
            llama.llama_free(self._context)
            self._context = None

    def _check(self, tokens: Sequence[int], position: int, outputs: int) -> None:
        # libllama answers each of these with an assertion, which would end the process.
        if not 0 < len(tokens) <= self.n_batch:
            raise ValueError(f"a batch of {len(tokens)} tokens; it must be 1 to {self.n_batch}")
        if not 0 <= outputs <= min(len(tokens), self.max_outputs):
            raise ValueError(f"{outputs} outputs of {len(tokens)}; at most {self.max_outputs}")
        if position < 0 or position + len(tokens) > self.n_ctx:
            raise ValueError(f"positions up to {position + len(tokens)} exceed {self.n_ctx}")
        if min(tokens) < 0 or max(tokens) >= self.n_vocab:
            raise ValueError(f"a token is outside the vocabulary of {self.n_vocab}")

    def _refresh(self) -> None:
        """Look at the logits where they are now; libllama may move them to make room."""
        kept = llama.llama_get_logits(self._context)
        if not kept:
            raise BackendError("the engine kept no logits")
        address = ctypes.addressof(kept.contents)
        if address != self._address:
            size = self.max_outputs * self.n_vocab
            values = memoryview((ctypes.c_float * size).from_address(address))
            self._rows = np.frombuffer(values, np.float32).reshape(-1, self.n_vocab)
            self._address = address


def _params(model: Any, options: ContextOptions, threads: int, rollback: int) -> Any:
    params = llama.llama_context_default_params()
    branches = _BRANCH * (options.max_sequences - 1)
    params.n_ctx = (options.n_ctx or llama.llama_model_n_ctx_train(model)) + branches
    params.n_batch = params.n_ubatch = options.n_batch
    params.n_seq_max = options.max_sequences + (2 if options.ordered else 0)
    params.kv_unified = params.n_seq_max > 1
    # The tokens that can be taken back and one more must be fewer than a batch: an assertion.
    params.n_rs_seq = max(min(rollback, options.n_batch - 2), 0)
    params.n_outputs_max = options.max_outputs
    params.n_threads = params.n_threads_batch = threads
    params.type_k = params.type_v = _KV_TYPES[options.kv_type]
    if not options.flash:
        params.flash_attn_type = llama.LLAMA_FLASH_ATTN_TYPE_DISABLED
    return params


def _remembers_all(model: Any) -> bool:
    """True if the cache holds every position by itself; else a tree could not be taken back."""
    recurrent = llama.llama_model_is_recurrent(model) or llama.llama_model_is_hybrid(model)
    return not recurrent and llama.llama_model_n_swa(model) == 0


def _rollback(recurrent: bool, limit: int) -> Rollback:
    if not recurrent:
        return Rollback.ANY
    return Rollback.BOUNDED if limit else Rollback.CHECKPOINT
