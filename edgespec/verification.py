"""One batch of the target: the last emitted token, the drafts behind it, and what comes of them."""

from collections.abc import Sequence

from edgespec.cache import Cache
from edgespec.tree import Node


class Verification:
    """Decodes `drafts`, a tree in which each comes after its parent, and follows what is emitted.

    `row` is the row of logits that decides the next token, None after a surprise.
    """

    def __init__(self, last: int, drafts: Sequence[Node] = ()) -> None:
        self.drafts = drafts
        self.emitted: list[int] = []
        self.row: int | None = 0
        self._tokens = [last, *(draft.token for draft in drafts)]
        rows: dict[Node | None, int] = {draft: row for row, draft in enumerate(drafts, start=1)}
        self._parents = [-1, *(rows.get(draft.parent, 0) for draft in drafts)]
        self._path: list[int] = []

    @property
    def accepted(self) -> int:
        """How many drafts the target agreed with; the first surprise ends a round."""
        return len(self.emitted) - (self.row is None)

    @property
    def depth(self) -> int:
        """How many drafts follow each other in the longest branch."""
        depths: list[int] = []
        for parent in self._parents:
            depths.append(depths[parent] + 1 if depths else 0)
        return max(depths)

    def decode(self, cache: Cache) -> None:
        """Decode all of it in one batch."""
        if self._is_chain:
            cache.verify(self._tokens)
        else:
            cache.verify_tree(self._tokens, self._parents)

    def emit(self, token: int) -> Node | None:
        """The target says `token` in answer to `row`; the draft that said so, too."""
        assert self.row is not None
        self._path.append(self.row)
        self.emitted.append(token)
        for row in range(self.row + 1, len(self._tokens)):
            if self._parents[row] == self.row and self._tokens[row] == token:
                self.row = row
                return self.drafts[row - 1]
        self.row = None
        return None

    def settle(self, cache: Cache, length: int) -> None:
        """Let the cache hold the first `length` tokens of the text: all but the last emitted."""
        if self._is_chain:
            cache.truncate(length)
        else:
            cache.keep([self._tokens[row] for row in self._path], self._path)

    @property
    def _is_chain(self) -> bool:
        return all(parent == row - 1 for row, parent in enumerate(self._parents))
