"""The policy of one step for many answers: how many drafts, and whose."""

from collections.abc import Callable, Sequence
from heapq import merge
from itertools import accumulate

_AHEAD = (1, 2, 4, 8)
"""How far ahead it is tried to look."""


def spend(
    survivals: Sequence[Sequence[float]],
    base: int,
    limit: int,
    rate: float,
    seconds: Callable[[int], float],
) -> list[int]:
    """How many drafts of each answer to verify in one step.

    `survivals[i][r-1]` is P(the first r drafts of answer i are all accepted), which falls with r.
    The step has `base` tokens in any case, and at most `limit` drafts in all; `seconds(n)` is what
    a step of n tokens takes. All answers share one budget: its size b maximises
    E[tokens] - rate * time, with `rate` the tokens per second achieved, and it is spent on the b
    likeliest drafts of all (TETRIS, Wu et al. 2025, arXiv:2502.15197, falls out as a corollary).
    Every size is tried, because V(n) is a staircase.
    """
    return _best(survivals, base, limit, rate, seconds)[1]


def deepen(
    survivals: Sequence[Sequence[float]],
    growths: Sequence[float],
    overheads: Sequence[float],
    base: int,
    limit: int,
    rate: float,
    seconds: Callable[[int], float],
    drafting: Callable[[int], float],
) -> list[int]:
    """The answers whose next draft is worth looking for; none if the drafter should rest.

    Drafts that do not exist yet are expected to be accepted at `growths[i]`; 0 where none can come.
    A step of the drafter for so many answers takes `drafting(answers)`, and `overheads[i]` more if
    answer i is among them. Looking further must be worth more than what `spend` makes of the drafts
    that are there, by the same rule.
    """
    best, chosen = _best(survivals, base, limit, rate, seconds)[0], list[int]()
    for ahead in _AHEAD:
        hoped = [
            _continued(chain, growth, ahead)
            for chain, growth in zip(survivals, growths, strict=True)
        ]
        value, counts = _best(hoped, base, limit, rate, seconds)
        missing = [count - len(chain) for count, chain in zip(counts, survivals, strict=True)]
        wanted = [index for index, count in enumerate(missing) if count > 0]
        if wanted:
            time = max(missing) * drafting(len(wanted)) + sum(overheads[i] for i in wanted)
            if value - rate * time > best:
                best, chosen = value - rate * time, wanted
    return chosen


def _best(
    survivals: Sequence[Sequence[float]],
    base: int,
    limit: int,
    rate: float,
    seconds: Callable[[int], float],
) -> tuple[float, list[int]]:
    """What the best budget is worth, but for the `base` tokens, and what each answer gets of it."""
    ranked = list(
        merge(
            *([(-chance, index) for chance in chain] for index, chain in enumerate(survivals)),
        )
    )[:limit]
    gains = list(accumulate((-chance for chance, _ in ranked), initial=0.0))
    values = [gain - rate * seconds(base + b) for b, gain in enumerate(gains)]
    best = max(range(len(values)), key=values.__getitem__)
    counts = [0] * len(survivals)
    for _, index in ranked[:best]:
        counts[index] += 1
    return values[best], counts


def _continued(chain: Sequence[float], growth: float, ahead: int) -> list[float]:
    last = chain[-1] if chain else 1.0
    return [*chain, *(last * growth**step for step in range(1, ahead + 1) if growth)]
