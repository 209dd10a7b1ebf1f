"""The policy: how many tokens to draft in the next round."""

from dataclasses import dataclass
from statistics import median
from typing import Protocol

from edgespec.events import Source


@dataclass(frozen=True, slots=True)
class RoundResult:
    """What one round did. `source` is None for a plain step; `seconds` is its whole time."""

    source: Source | None
    drafted: int
    accepted: int
    seconds: float


class Controller(Protocol):
    """Decides before each round, learns after it. Outlives the single answer."""

    plain_step: float | None
    """Measured seconds of one plain step, None before the first."""

    def plan(self) -> int:
        """How many tokens to draft now; 0 is a plain step."""

    def observe(self, result: RoundResult) -> None:
        """Learn from a finished round."""


class FixedController:
    """Drafts a fixed number of tokens, after a few plain steps that tell what plain costs."""

    def __init__(self, draft_length: int, plain_steps: int = 3) -> None:
        self._draft_length = draft_length
        self._plain_steps = plain_steps
        self._times: list[float] = []
        self.plain_step: float | None = None

    def plan(self) -> int:
        """The fixed length, or 0 while the plain step is not measured yet."""
        return self._draft_length if len(self._times) >= self._plain_steps else 0

    def observe(self, result: RoundResult) -> None:
        """Keep the times of the plain steps."""
        if result.drafted == 0:
            self._times = [*self._times[-31:], result.seconds]
            self.plain_step = median(self._times)
