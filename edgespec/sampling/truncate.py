"""Which tokens may be sampled: top-k, typical-p, top-p and min-p, in this order.

The order is llama.cpp's default: bias, penalties and grammar come before (`Vocabulary`), the
temperature after (`Sampler`), so truncation sees the untempered distribution. Each cut works on
what the one before kept, renormalised.

Next to what survives, each cut says what survives for certain, and what might, if every logit
moves by up to slack/2, because that is how batched and single decodes of an engine differ.
"""

from dataclasses import dataclass, replace
from math import exp, inf, log

import numpy as np
from numpy.typing import NDArray

from edgespec.sampling.candidates import Listing, Vocabulary
from edgespec.sampling.params import SamplingParams
from edgespec.sampling.ranked import Prefixes, cut_ranked

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_LEAST = 5e-324
"""The least positive mass: a share that rounds to nothing still holds the first token."""
_FIRST = 256
_GROWTH = 4


@dataclass(frozen=True, slots=True)
class Candidates:
    """The tokens that might survive, best first. Shapes (n,).

    `masses` are exp(logit - best logit of all). `kept` marks the tokens that survive as the
    logits stand, `sure` those that survive however they move. Unlisted tokens that might survive
    are all below `floor` (-inf: there are none); `rest` bounds the sum of their masses.
    """

    ids: NDArray[np.int64]
    logits: Floats
    masses: Floats
    kept: Flags
    sure: Flags
    floor: float = -inf
    rest: tuple[float, float] = (0.0, 0.0)

    def take(self, which: NDArray[np.int64] | Flags) -> "Candidates":
        """The tokens at these places, or with this flag."""
        return Candidates(
            self.ids[which],
            self.logits[which],
            self.masses[which],
            self.kept[which],
            self.sure[which],
            self.floor,
            self.rest,
        )

    def cut(self, kept: Flags, sure: Flags, maybe: Flags, floor: float) -> "Candidates":
        """What one more cut leaves: tokens that it keeps, or surely or maybe keeps."""
        kept, sure = self.kept & kept, self.sure & sure
        narrowed = Candidates(self.ids, self.logits, self.masses, kept, sure, floor, self.rest)
        return narrowed.take(maybe)


def truncate(vocabulary: Vocabulary, params: SamplingParams, slack: float) -> Candidates:
    """What survives of the vocabulary: at least one token.

    Reads the vocabulary only as deep as the outcome needs. Over 150k tokens, cuts that begin with
    top-k or consist of min-p take 0.1 to 0.2 ms and top-p alone 2 ms, but typical-p without top-k
    sorts everything: tens of ms.

    Raises BackendError if no token is allowed.
    """
    count = params.top_k or _FIRST
    listing = _start(vocabulary, params, slack)
    if params.top_k and params.typical_p == 1 and (left := cut_ranked(listing, params, slack)):
        return _beginning(listing, left)
    while True:
        candidates = top_k(listing, params.top_k, slack)
        if not params.top_k and params.top_p < 1:
            mass = vocabulary.mass_below(listing.floor, listing.logits[0])
            candidates = replace(candidates, rest=mass)
        survivors = _later_cuts(candidates, params, slack)
        if survivors is not None and survivors.floor == -inf:
            return survivors
        count *= _GROWTH
        listing = vocabulary.top(count, slack)


def _beginning(listing: Listing, left: Prefixes) -> Candidates:
    ids, logits = listing.ids[: left.maybe], listing.logits[: left.maybe]
    places = np.arange(left.maybe)
    masses = np.exp(logits - logits[0])
    return Candidates(ids, logits, masses, places < left.kept, places < left.sure)


def leaders(vocabulary: Vocabulary, slack: float) -> Listing:
    """The best token, and the second if it is within `slack`; maybe more.

    Raises BackendError if no token is allowed.
    """
    count = 2
    listing = vocabulary.top(count, slack)
    while len(listing.ids) < 2 and listing.floor > listing.logits[0] - slack:
        count *= _GROWTH
        listing = vocabulary.top(count, slack)
    return listing


def _start(vocabulary: Vocabulary, params: SamplingParams, slack: float) -> Listing:
    """The first listing: a guess at how deep the outcome needs to look."""
    if params.top_k:
        return vocabulary.top(params.top_k, slack)
    if params.typical_p < 1:
        return vocabulary.above(-inf)
    if params.min_p:
        return vocabulary.above(vocabulary.best + log(params.min_p) - slack)
    return vocabulary.top(_FIRST, slack) if params.top_p < 1 else vocabulary.everything()


def _later_cuts(candidates: Candidates, params: SamplingParams, slack: float) -> Candidates | None:
    """The cuts after top-k; None if the listing is too short to tell what they keep."""
    if params.typical_p < 1:
        if candidates.floor > -inf:
            return None
        candidates = typical_p(candidates, params.typical_p, slack)
    if params.top_p < 1:
        nucleus = top_p(candidates, params.top_p, slack)
        if nucleus is None:
            return None
        candidates = nucleus
    return min_p(candidates, params.min_p, slack) if params.min_p else candidates


def top_k(listing: Listing, k: int, slack: float) -> Candidates:
    """The k best of a listing that is not empty (k = 0: all)."""
    ids, logits, floor = listing.ids, listing.logits, listing.floor
    masses = np.exp(logits - logits.max())
    if not k:
        everything = np.ones(len(logits), np.bool_)
        return Candidates(ids, logits, masses, everything, everything, floor)
    rival = logits[k] if len(logits) > k else floor
    kept, sure = np.arange(len(logits)) < k, logits > rival + slack
    if len(logits) < k or floor > logits[k - 1] - slack:
        unlisted = (k - int(sure.sum())) * exp(floor - logits[0])
        return Candidates(ids, logits, masses, kept, sure, floor, (0.0, unlisted))
    return Candidates(ids, logits, masses, kept, sure).take(logits >= logits[k - 1] - slack)


def typical_p(candidates: Candidates, p: float, slack: float) -> Candidates:
    """Tokens by ascending |-log p_i - entropy| up to mass p (Meister et al., 2202.00666).

    That distance equals |logit_i - mean logit|, which needs no normalisation. The listing must
    be complete.
    """
    mean = np.average(candidates.logits, weights=candidates.masses * candidates.kept)
    distances = np.abs(candidates.logits - mean)
    order = np.argsort(distances, kind="stable")
    swap = 2 * (slack + _mean_shift(candidates, mean, slack))
    flags = _nucleus(candidates.take(order), distances[order], p, swap, slack)
    back = np.argsort(order)
    kept, sure, maybe = (flag[back] for flag in flags)
    return candidates.cut(kept, sure, maybe, -inf)


def _mean_shift(candidates: Candidates, mean: float, slack: float) -> float:
    """How far the mean logit can move because rounding changes the masses it is weighted by."""
    masses, sure = candidates.masses, candidates.sure
    if not sure.any():
        return inf
    pull = masses * (candidates.logits - mean)
    up, down = np.maximum(pull, 0), np.maximum(-pull, 0)
    grow = exp(slack)
    worst = max(grow * up.sum() - down[sure].sum(), grow * down.sum() - up[sure].sum())
    return float(worst / masses[sure].sum())


def top_p(candidates: Candidates, p: float, slack: float) -> Candidates | None:
    """The best tokens up to mass p, with the one that reaches it (Holtzman et al., 1904.09751).

    Returns None if the unlisted mass, known within bounds only, decides which tokens are kept.
    """
    keys, floor = -candidates.logits, candidates.floor
    least, most = candidates.rest
    flags = _nucleus(candidates, keys, p, slack, slack)
    if least < most:
        with_most = replace(candidates, rest=(most, most))
        if (flags[0] != _nucleus(with_most, keys, p, slack, slack)[0]).any():
            return None
    if floor > -inf:
        masses = candidates.masses
        ahead = masses[candidates.sure & (candidates.logits > floor + slack)].sum()
        behind = masses.sum() - ahead + most
        floor = -inf if ahead * (1 - p) >= exp(slack) * p * behind else floor
    return candidates.cut(*flags, floor)


def _nucleus(
    ranked: Candidates, keys: Floats, p: float, swap: float, slack: float
) -> tuple[Flags, Flags, Flags]:
    """Flags (kept, sure, maybe) of the first tokens that together hold mass p of the whole.

    `keys` ascend with the ranks; rounding can exchange tokens whose keys differ by up to `swap`.
    A token belongs if the mass before it is below p of all, which is p/(1-p) of the other mass,
    its own included: a ratio that rounding changes by a factor of at most exp(slack).
    """
    masses = ranked.masses
    least, most = ranked.rest
    kept = _cumulated(masses * ranked.kept)
    sure = _cumulated(masses * ranked.sure)
    maybe = _cumulated(masses)
    first = np.searchsorted(keys, keys - swap, side="left")
    last = np.searchsorted(keys, keys + swap, side="right")
    others_least = sure[-1] - sure[last] + masses + least
    others_most = maybe[-1] - maybe[first] + most
    ratio, grow = p / (1 - p), exp(slack)
    return (
        kept[:-1] < max(p * (kept[-1] + least), _LEAST),
        grow * (maybe[last] - masses) < ratio * others_least,
        sure[first] < np.maximum(grow * ratio * others_most, _LEAST),
    )


def _cumulated(masses: Floats) -> Floats:
    """The mass before each token, then of all: shape (n + 1,)."""
    return np.concatenate(([0.0], np.cumsum(masses)))


def min_p(candidates: Candidates, p: float, slack: float) -> Candidates:
    """The tokens at least p times as probable as the best one (Nguyen et al., 2407.01082)."""
    logits, sure = candidates.logits, candidates.sure
    limit = logits[candidates.kept.argmax()] + log(p)
    high = logits[0] + log(p) + slack
    low = logits[sure.argmax()] + log(p) - slack if sure.any() else -inf
    floor = -inf if candidates.floor <= low else candidates.floor
    return candidates.cut(logits >= limit, logits >= high, logits >= low, floor)
