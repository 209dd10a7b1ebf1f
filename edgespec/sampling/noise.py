"""Gumbel noise as a pure function of seed, choice, position and token id."""

import numpy as np
from numpy.typing import NDArray

_WORD = 2**64 - 1
_GAMMA = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB


def gumbel(seed: int, choice: int, position: int, ids: NDArray[np.integer]) -> NDArray[np.float64]:
    """Standard Gumbel noise of each token id at one position, shape as `ids`.

    Adding it to logits and taking the argmax samples from their softmax (the Gumbel-max trick).
    Whoever knows the four arguments draws the same noise, which is how a drafter guesses the
    target's random choices (Daliri et al., 2408.07978). The uniforms behind it are equal on every
    platform; the logarithms may differ in the last bit of a float64.
    """
    return -np.log(-np.log(uniform(seed, choice, position, ids)))


def uniform(seed: int, choice: int, position: int, ids: NDArray[np.integer]) -> NDArray[np.float64]:
    """Uniforms in the open interval (0, 1), shape as `ids`: one splitmix64 stream per position.

    The stream is keyed by a hash of (seed, choice, position); id i reads its output number i
    (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
    """
    key = 0
    for part in (seed, choice, position):
        key = _mix((key ^ part) + _GAMMA)
    bits = _mix_array(ids.astype(np.uint64) * np.uint64(_GAMMA) + np.uint64(key))
    # 52 bits, so that the half added to stay off 0 and 1 is exact.
    return ((bits >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52


def _mix(word: int) -> int:
    """splitmix64's output function on one 64-bit word."""
    word &= _WORD
    word = ((word ^ (word >> 30)) * _MIX_1) & _WORD
    word = ((word ^ (word >> 27)) * _MIX_2) & _WORD
    return word ^ (word >> 31)


def _mix_array(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """`_mix` of every word; products wrap, as uint64 arrays do without a warning."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(_MIX_1)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(_MIX_2)
    return words ^ (words >> np.uint64(31))
