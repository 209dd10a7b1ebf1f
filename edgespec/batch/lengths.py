"""How long answers will be, learnt from those that are there."""

from math import log2

_CLASSES = 32
_DOUBT = 4.0
"""How many answers of a class weigh as much as all other classes together."""
_GUESS = 200.0


class LengthModel:
    """Expected tokens of an answer, by the size of its row: a mean for each power of two.

    What a class has not seen itself it takes from all classes together. (Zheng et al. 2023,
    arXiv:2305.13144, ask the model itself; a few hundred finished rows tell as much for nothing.)
    """

    def __init__(self) -> None:
        self._counts = [0] * _CLASSES
        self._tokens = [0] * _CLASSES

    def learn(self, weight: int, tokens: int) -> None:
        """A row of `weight` bytes had an answer of `tokens` tokens."""
        self._counts[size_class(weight)] += 1
        self._tokens[size_class(weight)] += tokens

    def expected(self, weight: int, max_tokens: int | None = None) -> float:
        """Tokens to expect of a row of `weight` bytes, at most `max_tokens`."""
        guess = self.of_class(size_class(weight), max_tokens)
        return guess if max_tokens is None else min(guess, float(max_tokens))

    def of_class(self, number: int, usual: float | None = None) -> float:
        """Tokens to expect of a row of that class; `usual` before anything is known."""
        total = sum(self._counts)
        mean = sum(self._tokens) / total if total else usual or _GUESS
        return (self._tokens[number] + _DOUBT * mean) / (self._counts[number] + _DOUBT)


def size_class(weight: int) -> int:
    """The class of rows of `weight` bytes, from 0 to 31."""
    return min(int(log2(weight + 1)), _CLASSES - 1)
