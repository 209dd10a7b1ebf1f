"""The target's tokens in the drafter's spelling."""

import re
from collections.abc import Mapping, Sequence

from edgespec.protocols import Tokenizer

_BLOCK = 32
"""Tokens that are respelt together: few, as the last block is respelt at every step."""
_BROKEN = re.compile("([\udc80-\udcff]+)")
"""Bytes that are no UTF-8, as `surrogateescape` decodes them."""


class Respelling:
    """Turns a growing and shrinking sequence of the target's ids into the drafter's.

    Within a block the text is tokenized as the drafter would; a control token becomes the one that
    `controls` names, or nothing. `table` has the drafter's ordinary pieces.
    """

    def __init__(
        self,
        target: Tokenizer,
        drafter: Tokenizer,
        table: Mapping[bytes, int],
        controls: Mapping[int, int],
    ) -> None:
        self._target = target
        self._drafter = drafter
        self._table = table
        self._longest = max(map(len, table), default=0)
        self._controls = controls
        self._opening = _opening(drafter)
        self._blocks: list[tuple[list[int], list[int]]] = []

    def ids(self, tokens: Sequence[int]) -> list[int]:
        """The drafter's ids of `tokens`, with what it wants at the beginning of a text."""
        result = list(self._opening)
        for number, start in enumerate(range(0, len(tokens), _BLOCK)):
            block = list(tokens[start : start + _BLOCK])
            if number == len(self._blocks):
                self._blocks.append(([], []))
            if self._blocks[number][0] != block:
                self._blocks[number] = block, self._respelt(block, first=number == 0)
            result += self._blocks[number][1]
        return result

    def spell(self, data: bytes) -> list[int]:
        """The drafter's ids of a text that may begin or end inside a character."""
        ids: list[int] = []
        for part in _BROKEN.split(data.decode("utf-8", "surrogateescape")):
            encoded = part.encode("utf-8", "surrogateescape")
            whole = [] if _BROKEN.match(part) else self._encode(part)
            same = b"".join(map(self._drafter.piece, whole)) == encoded
            ids += whole if same else self._longest_pieces(encoded)
        return ids

    def _respelt(self, tokens: Sequence[int], *, first: bool) -> list[int]:
        ids: list[int] = []
        text = b""
        for index, token in enumerate(tokens):
            if piece := self._target.piece(token):
                text += piece
                continue
            ids += self.spell(text)
            text = b""
            control = self._controls.get(token)
            opened = first and index == 0 and [control] == self._opening
            if control is not None and not opened:
                ids.append(control)
        return ids + self.spell(text)

    def _encode(self, text: str) -> list[int]:
        return self._drafter.encode(text, add_special=False, parse_special=False)

    def _longest_pieces(self, data: bytes) -> list[int]:
        """The longest piece that fits, again and again; bytes without one are left out."""
        ids = []
        while data:
            for size in range(min(self._longest, len(data)), 0, -1):
                if (token := self._table.get(data[:size])) is not None:
                    ids.append(token)
                    break
            data = data[size:]
        return ids


def _opening(tokenizer: Tokenizer) -> list[int]:
    """What the drafter's tokenizer puts before every text."""
    ids = tokenizer.encode("", add_special=True, parse_special=False)
    return ids[:1] if ids[:1] == [tokenizer.bos] else []
