"""Whether a drafter speaks the target's language."""

from edgespec.errors import VocabularyMismatch
from edgespec.protocols import Tokenizer

_PADDING = 128
"""Vocabularies of one family differ by padding and added tokens at the end, by at most this."""


def require_same_vocabulary(target: Tokenizer, drafter: Tokenizer) -> None:
    """Raise VocabularyMismatch unless every id that both have means the same text.

    Models of one family may end in different padding, so up to 128 ids more on one side are
    allowed (the rule of llama.cpp); the drafter never proposes an id that the target lacks.
    """
    ours, theirs = target.vocabulary(), drafter.vocabulary()
    if abs(len(ours) - len(theirs)) > _PADDING:
        raise VocabularyMismatch(
            f"the drafter's vocabulary has {len(theirs)} tokens, the target's {len(ours)}",
            _ADVICE,
        )
    for token, (mine, other) in enumerate(zip(ours, theirs, strict=False)):
        if mine != other:
            raise VocabularyMismatch(
                f"token {token} is {_shown(mine)} for the target and {_shown(other)} for the "
                "drafter",
                _ADVICE,
            )


_ADVICE = "choose a drafter of the target's family, or none with --no-speculate"


def _shown(text: bytes) -> str:
    return repr(text.decode("utf-8", "replace"))
