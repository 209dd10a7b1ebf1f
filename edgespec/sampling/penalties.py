"""How the user's bias and the tokens already there change the logits."""

from collections import Counter, deque
from collections.abc import Sequence
from copy import copy

import numpy as np
from numpy.typing import NDArray

from edgespec.sampling.params import SamplingParams


class Penalties:
    """Logit bias, then the repetition, frequency and presence penalties of recent tokens.

    `ids` are the tokens whose logit changes, ascending, shape (m,). `stretch` bounds how many
    times a difference between two logits can grow in `apply`, and so a rounding error too.
    """

    def __init__(self, params: SamplingParams, history: Sequence[int]) -> None:
        self._params = params
        self._active = params.penalises
        self._bias_ids = np.array(sorted(params.logit_bias), np.int64)
        self._bias = np.array([params.logit_bias[i] for i in self._bias_ids], np.float64)
        self._window = deque(history[-params.penalty_window :] if self._active else ())
        self._counts = Counter(self._window)
        repeat = params.repeat_penalty if self._active else 1.0
        self.stretch = max(repeat, 1 / repeat)
        self._merge()

    def accept(self, token: int) -> None:
        """Let the window slide over one more token."""
        if not self._active:
            return
        self._window.append(token)
        self._counts[token] += 1
        if len(self._window) > self._params.penalty_window:
            oldest = self._window.popleft()
            self._counts[oldest] -= 1
            if not self._counts[oldest]:
                del self._counts[oldest]
        self._merge()

    def fork(self) -> "Penalties":
        """An independent copy."""
        twin = copy(self)
        if self._active:
            twin._window = self._window.copy()
            twin._counts = self._counts.copy()
        return twin

    def apply(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """The new logits of `ids`, given their old ones. Shapes (m,).

        Repetition (CTRL, 1909.05858, section 4.1) divides a positive logit and multiplies any
        other, as llama.cpp does: the paper's division would raise a negative one. Frequency is
        subtracted once per occurrence in the window, presence once.
        """
        params = self._params
        logits = logits + self._shift
        repeated = np.where(
            logits > 0, logits / params.repeat_penalty, logits * params.repeat_penalty
        )
        penalised = repeated - params.frequency_penalty * self._times - params.presence_penalty
        return np.where(self._times > 0, penalised, logits)

    def _merge(self) -> None:
        """Lay out bias and counts along one array of ids."""
        recent = np.fromiter(self._counts.keys(), np.int64, len(self._counts))
        self.ids = np.union1d(self._bias_ids, recent)
        self._shift = np.zeros(len(self.ids))
        self._shift[np.searchsorted(self.ids, self._bias_ids)] = self._bias
        self._times = np.zeros(len(self.ids))
        self._times[np.searchsorted(self.ids, recent)] = list(self._counts.values())
