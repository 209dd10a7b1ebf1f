"""The bridge of common tokens: the drafter's choice among what both vocabularies have."""

from collections.abc import Sequence

from edgespec.bridging.context import BridgedContext
from edgespec.protocols import Logits


class IntersectionContext(BridgedContext):
    """Gives each token that both have the drafter's logit, under the target's id.

    So the noise that the sampler adds is the target's (token-level intersection: Timor et al.,
    2502.05202, algorithm 4). Every draft is one token of the target.
    """

    def propose(self, tokens: Sequence[int]) -> Logits:
        """The drafter's logits of the common tokens."""
        logits = self.look(self.respelt(tokens))
        proposed = self.nothing()
        proposed[self.words.target] = logits[self.words.drafter]
        return proposed
