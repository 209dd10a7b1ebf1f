"""What a batch of drafts is worth, with what the rest of the path is worth after it."""

from collections.abc import Sequence
from itertools import accumulate


def worth(
    survival: Sequence[float], steps: Sequence[float], ready: int, draft: float
) -> list[float]:
    """For 0 ... len(survival) drafts now: E[tokens] - price, until the path ends or is left.

    `survival[r-1]` is P(the first r drafts are all right), `steps[k]` the price in tokens of a
    batch of k drafts, `draft` that of each draft beyond the `ready` ones that exist. If a batch is
    right as a whole, the target itself says the next draft, or leaves the path. What comes beyond
    the path is as usual, which counts 0: these are the relative values of an average-reward
    decision process (Howard 1960), of which the path is the part that is known. With S = survival,

        W(i) = max_k  S_i + ... + S_{i+k} - S_i price(k) + W(i + k + 1),    W = 0 beyond the path.

    Without it, a long match looks best in one long batch, where several of a cheaper size do more.
    """
    known = (1.0, *survival)
    sums = [0.0, *accumulate(known)]
    values = [0.0] * (len(known) + 1)
    for begin in range(ready - 1, 0, -1):
        values[begin] = max(
            sums[begin + size + 1]
            - sums[begin]
            - known[begin] * steps[size]
            + values[begin + size + 1]
            for size in range(ready - begin + 1)
        )
    return [
        sums[size + 1] - steps[size] - draft * max(size - ready, 0) + values[size + 1]
        for size in range(len(known))
    ]
