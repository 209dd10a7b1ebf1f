"""The policy of one step for many answers: how many drafts, and whose."""

from collections.abc import Callable, Sequence
from heapq import merge
from itertools import accumulate


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
    ranked = list(
        merge(
            *([(-chance, index) for chance in chain] for index, chain in enumerate(survivals)),
        )
    )[:limit]
    gains = list(accumulate((-chance for chance, _ in ranked), initial=0.0))
    best = max(range(len(gains)), key=lambda b: gains[b] - rate * seconds(base + b))
    counts = [0] * len(survivals)
    for _, index in ranked[:best]:
        counts[index] += 1
    return counts
