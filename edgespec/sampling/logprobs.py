"""How likely the model itself found a token, before anything shaped the choice."""

import numpy as np

from edgespec.events import Logprobs
from edgespec.protocols import Logits


def logprobs(logits: Logits, token: int, count: int) -> Logprobs:
    """Of `token` and of the `count` likeliest ones; `logits` has shape (n_vocab,)."""
    values = logits.astype(np.float64)
    values -= values.max()
    values -= np.log(np.exp(values).sum())
    order = np.argsort(-values, kind="stable")[:count]
    return Logprobs(float(values[token]), tuple((int(i), float(values[i])) for i in order))
