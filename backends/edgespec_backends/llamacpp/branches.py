"""The branches of a tree in a libllama cache: sequences that continue the first one."""

from collections.abc import Sequence
from typing import Any

from edgespec_backends.llamacpp.lib import llama


class Branches:
    """Sequences that share all that sequence 0 holds, and the cells of one tree behind it.

    What they share stays theirs from tree to tree, so that the next one only costs what has come
    since. `sequences` are their numbers.
    """

    def __init__(self, memory: Any, sequences: range) -> None:
        self._memory = memory
        self._shared = dict.fromkeys(sequences, 0)
        self._members: list[list[int]] = []
        self._used: list[int] = []
        self.start = 0
        """Where the last tree begins."""

    def grow(self, parents: Sequence[int], position: int) -> list[list[int]]:
        """For each token of a tree that begins at `position`, the sequences it shall belong to.

        The first child of a token goes on in its parent's sequence, every other one in its own.
        """
        free = iter(self._shared)
        own: list[int] = []
        members: list[list[int]] = []
        for row, parent in enumerate(parents):
            first = parent < 0 or parent not in parents[:row]
            sequence = (own[parent] if parent >= 0 else 0) if first else next(free)
            own.append(sequence)
            members.append([sequence])
            while not first and parent >= 0:
                members[parent].append(sequence)
                parent = parents[parent]
        self._members, self.start = members, position
        self._used = [one for one in self._shared if one in set(own)]
        for one in self._used:
            llama.llama_memory_seq_cp(self._memory, 0, one, self._shared[one], position)
            self._shared[one] = position
        return members

    def holder(self, row: int) -> int:
        """A sequence of the tree that ends with, or goes on after, its token `row`."""
        return self._members[row][0]

    def fell(self) -> None:
        """Drop the cells of the tree that sequence 0 does not hold, too."""
        for one in self._used:
            llama.llama_memory_seq_rm(self._memory, one, self._shared[one], -1)
        self._used = []

    def cut(self, length: int) -> None:
        """Share no more than `length` positions: sequence 0 is about to be cut."""
        self.fell()
        for one, shared in self._shared.items():
            if shared > length:
                llama.llama_memory_seq_rm(self._memory, one, length, -1)
                self._shared[one] = length

    def forget(self) -> None:
        """The cache was emptied."""
        self._shared = dict.fromkeys(self._shared, 0)
        self._used = []
