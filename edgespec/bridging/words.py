"""Which tokens two vocabularies have in common, by their bytes."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgespec.protocols import Tokenizer

_SAMPLE = '''Most programs spend their time waiting. When a request arrives, the server reads a
few bytes, looks something up, and waits again; what it computes in between would fit into a
thousandth of a second. That is why people were surprised, in 1998, to learn how much faster
the same machine became once it stopped asking for permission.

import os
from pathlib import Path


def newest(folder, suffix=".txt"):
    """Return the file in `folder` that was changed last, or None if there is none."""
    found = [path for path in Path(folder).iterdir() if path.suffix == suffix]
    if not found:
        return None
    return max(found, key=lambda path: os.stat(path).st_mtime)


class Counter(dict):
    def add(self, key: str, value: int = 1) -> None:
        self[key] = self.get(key, 0) + value  # Missing keys count as 0.

for (int i = 0; i < n; i++) { total += values[i] * weight; }
{"name": "edge", "tags": ["a", "b"], "size": 12.5, "ok": true}
'''
"""Prose and code as people ask for, to see how much of it two vocabularies cut alike."""


@dataclass(frozen=True, slots=True)
class CommonWords:
    """The ids of both vocabularies that mean the same: shapes (n,), entry by entry.

    `pieces` are the drafter's ordinary tokens, `controls` maps control tokens of the target to the
    drafter's. `coverage` is the share of the target's tokens of a sample text that the drafter
    has, too, and so the most that it can draft of it in ids.
    """

    target: NDArray[np.int64]
    drafter: NDArray[np.int64]
    pieces: Mapping[bytes, int]
    controls: Mapping[int, int]
    coverage: float

    @classmethod
    def of(cls, target: Tokenizer, drafter: Tokenizer) -> "CommonWords":
        """Compare two vocabularies, token by token."""
        pieces = {drafter.piece(token): token for token in reversed(range(drafter.n_vocab))}
        pieces.pop(b"", None)
        pairs = {
            token: pieces[piece]
            for token in range(target.n_vocab)
            if (piece := target.piece(token)) in pieces
        }
        sample = target.encode(_SAMPLE, add_special=False, parse_special=False)
        coverage = sum(token in pairs for token in sample) / max(len(sample), 1)
        controls = _controls(target, drafter)
        both = pairs | controls
        ids = np.array([*both], np.int64), np.array([*both.values()], np.int64)
        return cls(*ids, pieces, controls, coverage)


def _controls(target: Tokenizer, drafter: Tokenizer) -> dict[int, int]:
    """Control tokens of equal spelling or equal purpose."""
    spelt = {
        drafter.piece(token, special=True): token
        for token in range(drafter.n_vocab)
        if not drafter.piece(token)
    }
    spelt.pop(b"", None)
    found = {}
    for token in range(target.n_vocab):
        if target.piece(token):
            continue
        other = spelt.get(target.piece(token, special=True))
        if other is None and target.is_eog(token):
            other = drafter.eos
        elif other is None and token == target.bos:
            other = drafter.bos
        if other is not None:
            found[token] = other
    return found
