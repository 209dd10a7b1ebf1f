"""How a model makes one vector of a text's tokens, as its header says."""

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgespec.gguf_header import GgufHeader


class Pooling(IntEnum):
    """What llama.cpp knows, by its numbers."""

    NONE = 0
    MEAN = 1
    FIRST = 2
    LAST = 3
    RANK = 4
    """A score of how well two texts go together, and no vector."""


def embeds(header: "GgufHeader") -> bool:
    """Whether the model is one that makes embeddings: a file names a pooling for nothing else."""
    return header.integer(".pooling_type") in (Pooling.MEAN, Pooling.FIRST, Pooling.LAST)


def is_causal(header: "GgufHeader") -> bool:
    """Whether a token sees only those before it."""
    return header.get(".attention.causal") is not False


def splits(header: "GgufHeader") -> bool:
    """Whether a text may be decoded piece by piece: what counts is its last token."""
    return is_causal(header) and header.integer(".pooling_type") == Pooling.LAST
