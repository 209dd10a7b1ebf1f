"""Sampling the slow way, one token at a time and from the definitions; and rows to try it on."""

from collections.abc import Collection, Sequence
from itertools import accumulate
from math import exp, inf, log

import numpy as np
from numpy.typing import NDArray

from edgespec.protocols import Logits
from edgespec.sampling.noise import gumbel
from edgespec.sampling.params import SamplingParams

Scores = dict[int, float]


class AllowList:
    """A grammar that allows the same tokens everywhere and remembers what it was asked."""

    def __init__(self, allowed: Collection[int]) -> None:
        self.allowed = frozenset(allowed)
        self.asked: list[int] = []
        self.accepted: list[int] = []

    def mask(self, ids: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Whether each id is on the list."""
        assert ids.dtype == np.int32
        self.asked += ids.tolist()
        return np.array([token in self.allowed for token in ids.tolist()], np.bool_)

    def accept(self, token: int) -> None:
        """Remember the token."""
        self.accepted.append(token)

    def clone(self) -> "AllowList":
        """The same list with its own memory."""
        twin = AllowList(self.allowed)
        twin.accepted = self.accepted.copy()
        return twin


def processed(
    logits: Logits,
    params: SamplingParams,
    history: Sequence[int] = (),
    allowed: Collection[int] | None = None,
) -> Scores:
    """The logits after bias, penalties and grammar, without those at -inf."""
    recent = list(history)[-params.penalty_window :] if params.penalty_window else []
    scores = {}
    for token, raw in enumerate(logits.tolist()):
        score = raw + params.logit_bias.get(token, 0.0)
        if token in recent:
            rate = params.repeat_penalty
            score = score / rate if score > 0 else score * rate
            score -= params.frequency_penalty * recent.count(token) + params.presence_penalty
        if score > -inf and (allowed is None or token in allowed):
            scores[token] = score
    return scores


def survivors(scores: Scores, params: SamplingParams) -> list[int]:
    """The tokens left after top-k, typical-p, top-p and min-p, best first."""
    ranked = sorted(scores, key=lambda token: (-scores[token], token))
    ranked = ranked[: params.top_k or None]
    if params.typical_p < 1:
        typical = nucleus(scores, by_typicality(scores, ranked), params.typical_p)
        ranked = [token for token in ranked if token in typical]
    if params.top_p < 1:
        ranked = nucleus(scores, ranked, params.top_p)
    if params.min_p:
        least = scores[ranked[0]] + log(params.min_p)
        ranked = [token for token in ranked if scores[token] >= least]
    return ranked


def by_typicality(scores: Scores, ranked: Sequence[int]) -> list[int]:
    """`ranked`, sorted by the distance of a token's information from the entropy."""
    total = log(sum(masses(scores, ranked)))
    logs = {token: scores[token] - max(scores.values()) - total for token in ranked}
    entropy = -sum(exp(p) * p for p in logs.values())
    return sorted(ranked, key=lambda token: round(abs(-logs[token] - entropy), 9))


def nucleus(scores: Scores, ranked: Sequence[int], p: float) -> list[int]:
    """The shortest start of `ranked` that holds mass p of the whole."""
    before = list(accumulate(masses(scores, ranked), initial=0.0))
    return [token for token, mass in zip(ranked, before, strict=False) if mass < p * before[-1]]


def masses(scores: Scores, tokens: Sequence[int], temperature: float = 1) -> list[float]:
    """The probabilities of `tokens`, up to a common factor."""
    best = max(scores.values())
    return [exp((scores[token] - best) / temperature) for token in tokens]


def chances(
    logits: Logits, params: SamplingParams, history: Sequence[int] = ()
) -> dict[int, float]:
    """The distribution to be sampled."""
    scores = processed(logits, params, history)
    left = survivors(scores, params)
    weights = masses(scores, left, params.temperature)
    return {token: weight / sum(weights) for token, weight in zip(left, weights, strict=True)}


def choice(scores: Scores, params: SamplingParams, position: int) -> int:
    """The token that must be chosen, given the processed logits."""
    if params.greedy:
        return min(scores, key=lambda token: (-scores[token], token))
    left = survivors(scores, params)
    noise = params.temperature * gumbel(params.seed, 0, position, np.array(left))
    perturbed = [scores[token] + g for token, g in zip(left, noise.tolist(), strict=True)]
    return left[perturbed.index(max(perturbed))]


def random_row(random: np.random.Generator, size: int) -> Logits:
    """Logits of one of several kinds: heavy tails, few distinct values, crowds, bans."""
    kinds = (
        random.standard_t(2, size) * 2,
        random.normal(0, 3, size),
        5 - random.exponential(2, size),
        random.integers(-3, 4, size).astype(np.float64),
        random.integers(-3, 4, size) + random.normal(0, 0.02, size),
    )
    row = kinds[random.integers(len(kinds))].astype(np.float32)
    if random.random() < 0.3:
        row[random.random(size) < 0.3] = -inf
    row[random.integers(size)] = 1
    return row


def random_params(random: np.random.Generator, size: int) -> SamplingParams:
    """Any mixture of settings for a vocabulary of `size` tokens."""

    def one(*values: float) -> float:
        return values[random.integers(len(values))]

    biased = random.integers(0, size, int(one(0, 0, 3))).tolist()
    return SamplingParams(
        temperature=one(0, 0.2, 0.7, 1, 1.5),
        top_k=int(one(0, 0, 1, 2, 5, 20, 40)),
        top_p=one(1, 0.95, 0.8, 0.5, 0.1),
        min_p=one(0, 0, 0.05, 0.3),
        typical_p=one(1, 1, 0.9, 0.5, 0.2),
        repeat_penalty=one(1, 1, 1.3, 0.7),
        frequency_penalty=one(0, 0, 0.5, -0.3),
        presence_penalty=one(0, 0, 0.4),
        penalty_window=int(one(0, 3, 64)),
        logit_bias={token: one(-inf, 2, -3) for token in biased},
        seed=int(random.integers(2**63)),
    )
