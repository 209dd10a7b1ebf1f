"""How likely the model itself found a token, before anything shaped the choice."""

from dataclasses import dataclass

import numpy as np

from edgespec.protocols import Logits


@dataclass(frozen=True, slots=True)
class Logprobs:
    """Natural logarithms of probabilities: of the chosen token, and of the likeliest ones.

    They are the model's own, at temperature 1, before bias, penalties, grammar and cuts.
    """

    chosen: float
    top: tuple[tuple[int, float], ...] = ()
    """Token ids with theirs, the likeliest first."""


def logprobs(logits: Logits, token: int, count: int) -> Logprobs:
    """Of `token` and of the `count` likeliest ones; `logits` has shape (n_vocab,)."""
    values = logits.astype(np.float64)
    values -= values.max()
    values -= np.log(np.exp(values).sum())
    order = np.argsort(-values, kind="stable")[:count]
    return Logprobs(float(values[token]), tuple((int(i), float(values[i])) for i in order))
