"""What a draft source is."""

from collections.abc import Sequence
from typing import Protocol

from edgespec.events import Source
from edgespec.sampling.sampler import Sampler


class DraftSource(Protocol):
    """Proposes tokens; never decides. Owned by one thread, except for `abort`."""

    name: Source

    def propose(self, history: Sequence[int], count: int, sampler: Sampler) -> list[int]:
        """Up to `count` tokens that may follow `history`.

        `sampler` is the target's, standing at the end of `history`; fork it before advancing.
        May raise BackendError (the answer then goes on without this source) or Aborted.
        """

    def abort(self) -> None:
        """Stop a running `propose`, from any thread."""

    def resume(self) -> None:
        """Clear the abort flag."""
