"""The model drafter: a small model that guesses with the target's own noise."""

from collections.abc import Sequence

import numpy as np

from edgespec.cache import Cache
from edgespec.events import Source
from edgespec.protocols import Context, Logits
from edgespec.sampling.sampler import Sampler


class ModelDrafter:
    """Drafts by sampling a small model under the target's settings and Gumbel noise.

    With common noise the two models choose the same token as often as any drafter that does not
    know the target's choice can hope for (Daliri et al. 2024, arXiv:2408.07978). `n_vocab` is the
    target's: only ids that both models have are proposed, and only after such ids.
    """

    name = Source.DRAFTER

    def __init__(self, context: Context, n_vocab: int) -> None:
        self._cache = Cache(context)
        self._n_vocab = n_vocab

    def propose(self, history: Sequence[int], count: int, sampler: Sampler) -> list[int]:
        """Up to `count` tokens; fewer only where the drafter's context or vocabulary ends."""
        context = self._cache.context
        count = min(count, context.n_ctx - len(history) + 1)
        if count <= 0 or (context.n_vocab < self._n_vocab and max(history) >= context.n_vocab):
            return []
        sampler = sampler.fork()
        self._cache.prefill(history)
        drafts: list[int] = []
        while True:
            drafts.append(sampler.choose(self._logits(), len(history) + len(drafts)).token)
            if len(drafts) == count:
                return drafts
            sampler.accept(drafts[-1])
            self._cache.verify(drafts[-1:])

    def _logits(self) -> Logits:
        """The last row in the target's vocabulary."""
        logits = self._cache.logits(0)[: self._n_vocab]
        missing = self._n_vocab - len(logits)
        return np.pad(logits, (0, missing), constant_values=-np.inf) if missing else logits

    def abort(self) -> None:
        """Stop a running `propose`."""
        self._cache.context.abort()

    def resume(self) -> None:
        """Clear the abort flag."""
        self._cache.context.resume()
