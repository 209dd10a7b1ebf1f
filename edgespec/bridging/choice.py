"""Which bridge a drafter needs: none, common tokens, or text."""

from dataclasses import dataclass

from edgespec.bridging.context import BridgedContext
from edgespec.bridging.intersection import IntersectionContext
from edgespec.bridging.retokenizing import RetokenizingContext
from edgespec.bridging.words import CommonWords
from edgespec.errors import VocabularyMismatch
from edgespec.pairing import require_same_vocabulary
from edgespec.protocols import Context, Tokenizer

ENOUGH = 0.6
"""The coverage from which common tokens draft better than text, measured on the nano pair."""


@dataclass(frozen=True, slots=True)
class Bridge:
    """From a drafter's vocabulary to a target's. `note` tells people what it does."""

    target: Tokenizer
    drafter: Tokenizer
    words: CommonWords
    kind: type[BridgedContext]

    @property
    def note(self) -> str:
        """One line: why there is a bridge, which, and what it can do."""
        how = "their common tokens" if self.kind is IntersectionContext else "text"
        return (
            f"the drafter speaks another vocabulary: it drafts through {how} "
            f"(it has {self.words.coverage:.0%} of the target's tokens of a sample text)"
        )

    def over(self, context: Context) -> Context:
        """The drafter's `context`, spoken to in the target's tokens."""
        return self.kind(context, self.target, self.drafter, self.words)


def bridge(target: Tokenizer, drafter: Tokenizer) -> Bridge | None:
    """The bridge that the drafter needs; None if both mean the same by each id.

    Raises VocabularyMismatch if they have nothing in common.
    """
    try:
        require_same_vocabulary(target, drafter)
    except VocabularyMismatch:
        words = CommonWords.of(target, drafter)
        if not len(words.target):
            raise
        kind = IntersectionContext if words.coverage >= ENOUGH else RetokenizingContext
        return Bridge(target, drafter, words, kind)
    return None
