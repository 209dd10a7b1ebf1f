"""How likely the model itself found a token, before anything shaped the choice."""

import numpy as np

from edgespec.events import Logprobs
from edgespec.protocols import Logits


def logprobs(logits: Logits, token: int, count: int) -> Logprobs:
    """Of `token` and of the `count` likeliest ones; `logits` has shape (n_vocab,)."""
    if count == 0:
        return Logprobs(_logprob(logits, token))
    values = logits.astype(np.float64)
    values -= values.max()
    values -= np.log(np.exp(values).sum())
    order = np.argsort(-values, kind="stable")[:count]
    return Logprobs(float(values[token]), tuple((int(i), float(values[i])) for i in order))


def _logprob(logits: Logits, token: int) -> float:
    """As exact as the logits are; where every token's is wanted, sorting them would be felt."""
    highest = logits.max()
    return float(logits[token] - highest - np.log(np.exp(logits - highest).sum()))
