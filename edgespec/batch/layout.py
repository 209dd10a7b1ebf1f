"""Where a prompt is cut: as an engine that answers it alone would, so that rounding is the same."""

from dataclasses import dataclass

WIDE = 64
"""Tokens from which on llama.cpp's attention on the CPU works in tiles, which round otherwise."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The cuts of a prompt of `length` tokens, which come every `size` tokens.

    A piece of WIDE tokens or more is wide, any other is narrow, and so is all that follows the
    prompt. To round alike, wide pieces must stand in steps of WIDE tokens or more, and what is
    narrow in smaller ones. (Within either, other tokens in the step make no difference.)
    """

    length: int
    size: int

    @property
    def wide(self) -> int:
        """How many leading tokens are in wide pieces."""
        rest = self.length % self.size
        return self.length - rest if rest < WIDE else self.length

    def piece(self, held: int) -> int:
        """Where the wide piece that goes on at `held` ends; `held` if what follows is narrow."""
        if held >= self.wide:
            return held
        return min((held // self.size + 1) * self.size, self.length)

    def usable(self, known: int, wide: int) -> int:
        """How much of a beginning that another text has, in `known` tokens, can be taken over.

        The other's first `wide` tokens are in wide pieces. Of a wide piece, at least WIDE tokens
        have to be left.
        """
        if wide != self.wide:
            known = min(known, wide, self.wide)
        left = self.piece(known) - known
        return known if left == 0 else max(known + min(left - WIDE, 0), 0)
