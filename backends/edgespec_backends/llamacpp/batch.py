"""The arrays behind a llama_batch, allocated once per context."""

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgespec.protocols import Row
from edgespec_backends.llamacpp.lib import llama


class Batch:
    """Room for `capacity` tokens, each in up to `sequences` sequences."""

    def __init__(self, capacity: int, sequences: int = 1) -> None:
        self._token = np.zeros(capacity, np.int32)
        self._position = np.zeros(capacity, np.int32)
        self._output = np.zeros(capacity, np.int8)
        self._counts = np.ones(capacity, np.int32)
        self._sequence = np.zeros((capacity, sequences), np.int32)
        cells = self._sequence.ctypes.data + self._sequence.strides[0] * np.arange(capacity)
        pointer = ctypes.POINTER(llama.llama_seq_id)
        self._sequences = (pointer * capacity)(*[ctypes.cast(int(cell), pointer) for cell in cells])
        self._offsets = np.arange(capacity, dtype=np.int32)
        self._batch = llama.llama_batch(
            n_tokens=0,
            token=self._token.ctypes.data_as(ctypes.POINTER(llama.llama_token)),
            embd=None,
            pos=self._position.ctypes.data_as(ctypes.POINTER(llama.llama_pos)),
            n_seq_id=self._counts.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)),
            seq_id=self._sequences,
            logits=self._output.ctypes.data_as(ctypes.POINTER(ctypes.c_int8)),
        )

    def fill(self, tokens: Sequence[int], position: int, outputs: int, sequence: int) -> Any:
        """The llama_batch of `tokens` from `position` on, asking for the last `outputs` logits."""
        count = len(tokens)
        self._token[:count] = tokens
        np.add(self._offsets[:count], position, out=self._position[:count])
        self._output[: count - outputs] = 0
        self._output[count - outputs : count] = 1
        self._counts[:count] = 1
        self._sequence[:count, 0] = sequence
        self._batch.n_tokens = count
        return self._batch

    def fill_rows(self, rows: Sequence[Row]) -> Any:
        """The llama_batch of `rows`."""
        for index, row in enumerate(rows):
            self._token[index] = row.token
            self._position[index] = row.position
            self._output[index] = row.output
            self._sequence[index, 0] = row.sequence
        self._counts[: len(rows)] = 1
        self._batch.n_tokens = len(rows)
        return self._batch

    def fill_tree(
        self, tokens: Sequence[int], positions: Sequence[int], sequences: Sequence[Sequence[int]]
    ) -> Any:
        """The llama_batch of tokens that each belong to several sequences; all logits are kept."""
        for index, members in enumerate(sequences):
            self._token[index] = tokens[index]
            self._position[index] = positions[index]
            self._output[index] = 1
            self._counts[index] = len(members)
            self._sequence[index, : len(members)] = members
        self._batch.n_tokens = len(tokens)
        return self._batch
