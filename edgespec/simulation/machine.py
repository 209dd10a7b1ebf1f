"""An imagined machine: what its devices' steps really cost."""

from collections.abc import Callable
from dataclasses import dataclass

from edgespec.costs import CostTable


@dataclass(frozen=True, slots=True)
class Machine:
    """True costs in seconds.

    `verify(n)` is one target decode of n <= `max_batch` tokens, `draft` one drafter step,
    `draft_row` what each further row adds to it (a fraction: near 0 on a GPU, whose small batches
    cost what their weights cost). The contentions are the factors by which either side slows down
    while the other runs. `trees` says whether the target can verify several branches at once,
    `replays` whether it must decode again what it keeps of a batch that was not all accepted.
    """

    verify: Callable[[int], float]
    draft: float
    draft_row: float = 0.02
    verify_contention: float = 1.0
    draft_contention: float = 1.0
    max_batch: int = 17
    trees: bool = True
    replays: bool = False

    def table(self, error: float = 1.0) -> CostTable:
        """What a calibration would have found, off by the factor `error` for batches."""
        sizes = {
            n: self.verify(n) * (error if n > 1 else 1.0) for n in range(1, self.max_batch + 1)
        }
        return CostTable(
            {0: sizes},
            {0: self.draft},
            self.verify_contention,
            self.draft_contention,
            self.draft_row,
        )
