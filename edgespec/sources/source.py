"""What a draft source without a model is."""

from collections.abc import Sequence
from typing import Protocol

from edgespec.events import Source
from edgespec.tree import Candidate


class InstantSource(Protocol):
    """Proposes a chain in microseconds, on the target's thread; never decides."""

    name: Source

    def propose(self, history: Sequence[int], count: int) -> list[Candidate]:
        """Up to `count` tokens that may follow `history`."""
