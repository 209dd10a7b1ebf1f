"""One measured answer, and the sums over many."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Measured:
    """One answer: `seconds` of decoding without prefill and the first token, `wall` with them."""

    tokens: int
    seconds: float
    wall: float
    drafted: int = 0
    accepted: int = 0

    @property
    def rate(self) -> float:
        """Tokens per second of decoding; the first token comes from prefill."""
        return (self.tokens - 1) / self.seconds if self.tokens > 1 and self.seconds else 0.0


def total_rate(answers: Iterable[Measured]) -> float:
    """Tokens per second over all answers together."""
    answers = list(answers)
    seconds = sum(answer.seconds for answer in answers)
    return sum(answer.tokens - 1 for answer in answers) / seconds if seconds else 0.0


def median_rate(answers: Sequence[Measured]) -> float:
    """The median answer's tokens per second, without answers of a single token."""
    rates = [answer.rate for answer in answers if answer.tokens > 1]
    return median(rates) if rates else 0.0


def acceptance(answers: Sequence[Measured]) -> float | None:
    """accepted / drafted over all answers; None if nothing was drafted."""
    drafted = sum(answer.drafted for answer in answers)
    return sum(answer.accepted for answer in answers) / drafted if drafted else None
