"""The usual cuts over a short list: top-k, top-p and min-p each keep a beginning of the ranking.

So each cut is a length, found with plain floats. Between two decodes of a large model every array
operation starts on cold caches, where forty of them cost more than the few tokens they look at.
The outcome is that of `truncate`'s own cuts, to the last bit.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import exp, log

import numpy as np

from edgespec.sampling.candidates import Listing
from edgespec.sampling.params import SamplingParams


@dataclass(slots=True)
class Prefixes:
    """How many tokens of the ranking survive, surely survive, and might survive."""

    kept: int
    sure: int
    maybe: int


def cut_ranked(listing: Listing, params: SamplingParams, slack: float) -> Prefixes | None:
    """What top-k, top-p and min-p leave of a listing, best first.

    None if the listing is too short to tell, which only a grammar can make it.
    """
    k = params.top_k
    logits = listing.logits
    if len(logits) < k or listing.floor > logits[k - 1] - slack:
        return None
    keys: list[float] = (-logits).tolist()
    rival = keys[k] if len(keys) > k else -listing.floor
    left = Prefixes(
        kept=k,
        sure=bisect_left(keys, rival - slack),
        maybe=bisect_right(keys, keys[k - 1] + slack),
    )
    if params.top_p < 1:
        masses: list[float] = np.exp(logits[: left.maybe] - logits[0]).tolist()
        _top_p(left, keys[: left.maybe], masses, params.top_p, slack)
    if params.min_p:
        _min_p(left, keys[: left.maybe], params.min_p, slack)
    return left


def _top_p(
    left: Prefixes, keys: Sequence[float], masses: Sequence[float], p: float, slack: float
) -> None:
    """See `truncate._nucleus` for the bounds; a token's flag implies that of any better one."""
    before = list(accumulate(masses, initial=0.0))
    whole, sure = before[-1], before[left.sure]
    ratio, grow = p / (1 - p), exp(slack)

    def doubtful(place: int) -> bool:
        last = bisect_right(keys, keys[place] + slack)
        others = sure - before[min(last, left.sure)] + masses[place]
        return grow * (before[last] - masses[place]) >= ratio * others

    def out(place: int) -> bool:
        first = bisect_left(keys, keys[place] - slack)
        return before[min(first, left.sure)] >= grow * ratio * (whole - before[first])

    kept = bisect_left(before, p * before[left.kept], 0, left.kept)
    certain = bisect_left(range(left.sure), True, key=doubtful)
    possible = bisect_left(range(left.maybe), True, key=out)
    left.kept, left.sure, left.maybe = kept, certain, possible


def _min_p(left: Prefixes, keys: Sequence[float], p: float, slack: float) -> None:
    edge = keys[0] - log(p)
    if left.sure:
        left.maybe = bisect_right(keys, edge + slack)
    left.kept = min(left.kept, bisect_right(keys, edge))
    left.sure = min(left.sure, bisect_right(keys, edge - slack))
