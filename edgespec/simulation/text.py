"""An imagined text: what the target will say, and how well a drafter guesses it."""

from collections.abc import Callable
from math import log
from random import Random

from edgespec.tree import Candidate

_RANKS = 4
_COVERED = 0.85
"""P(the target's token is among the drafter's next three choices, if it is not the first)."""
_BEYOND = 64


class Text:
    """`length` tokens and, for each position, which of the drafter's choices is right.

    A token's id is _RANKS * position + rank, and rank 0 is always the target's choice.
    `rate(position)` is the chance that the drafter's first choice is right; what can be seen of
    that chance when drafting is blurred by Gaussian `noise` in log-odds.
    """

    def __init__(
        self, rate: Callable[[int], float], length: int, *, noise: float = 1.0, seed: int = 0
    ) -> None:
        random = Random(seed)
        self.length = length
        self._hints: list[float] = []
        self._right: list[int] = []
        for position in range(length + _BEYOND):
            chance = rate(position)
            bounded = min(max(chance, 0.01), 0.99)
            self._hints.append(log(bounded / (1 - bounded)) + random.gauss(0, noise))
            self._right.append(_draw_rank(random, chance))

    def token(self, position: int) -> int:
        """What the target says at `position`."""
        return _RANKS * position

    def accepted(self, position: int, drafts: int) -> int:
        """How many of `drafts` first choices after `position` are right before one is wrong."""
        count = 0
        while count < drafts and self._right[position + count + 1] == 0:
            count += 1
        return count

    def covered(self, position: int, drafts: int) -> int:
        """As `accepted`, of a drafter that always knew which of its choices is right."""
        count = 0
        while count < drafts and self._right[position + count + 1] < _RANKS:
            count += 1
        return count

    def candidates(self, position: int, *, true_path: bool) -> list[Candidate]:
        """The drafter's choices at `position`, the likeliest first.

        Off the `true_path` the target would say something else, so none of them is right.
        """
        position = min(position, len(self._right) - 1)
        ids = [_RANKS * position + 1 + rank % (_RANKS - 1) for rank in range(_RANKS)]
        right = self._right[position]
        if true_path and right < _RANKS:
            ids[right] = self.token(position)
        return [Candidate(token, (self._hints[position], 0.0)) for token in dict.fromkeys(ids)]


def _draw_rank(random: Random, chance: float) -> int:
    if random.random() < chance:
        return 0
    if random.random() >= _COVERED:
        return _RANKS
    return random.choices((1, 2, 3), (0.6, 0.25, 0.15))[0]
