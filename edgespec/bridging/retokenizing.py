"""The bridge of text: what the drafter writes, cut into the target's tokens."""

from collections.abc import Sequence

from edgespec.bridging.context import BridgedContext
from edgespec.bridging.words import CommonWords
from edgespec.protocols import Context, Logits, Tokenizer

_TAIL = 16
"""Tokens before a draft that are tokenized along with it, as it may merge with the last ones."""
_ENOUGH = 2
"""Tokens that must follow one, unless a space does, before it is taken not to grow any more."""
_MOST = 8
"""Tokens that the drafter writes before one is proposed in any case."""
_FOLLOWED = 64
"""Tokens after which the drafter's own spelling of the text is given up for the usual one."""


class RetokenizingContext(BridgedContext):
    """Drafts the target's token that the drafter's likeliest text begins with.

    The text is written greedily and cut by the target's own tokenizer; a token counts once others
    follow it, for until then it may still grow (string-level exact match: Timor et al.,
    2502.05202). What was written beyond it is kept for the next proposal.
    """

    def __init__(
        self, inner: Context, target: Tokenizer, drafter: Tokenizer, words: CommonWords
    ) -> None:
        super().__init__(inner, target, drafter, words)
        self._start: list[int] = []
        self._ids: list[int] = []
        self._written: list[int] = []

    def propose(self, tokens: Sequence[int]) -> Logits:
        """All of the weight on one token: the end of the answer, if the drafter ends here."""
        text = self._follow(tokens)
        token = self._first(tokens, text)
        for left in reversed(range(_MOST)):
            if token is not None:
                break
            piece = self._write()
            text += piece
            token = self._first(tokens, text, last=not piece or not left)
            if not piece:
                break
        proposed = self.nothing()
        proposed[(self.target.eos or 0) if token is None else token] = 0.0
        return proposed

    def clear(self) -> None:
        """Forget everything, what was written ahead included."""
        super().clear()
        self._start, self._written = [], []

    def _follow(self, tokens: Sequence[int]) -> bytes:
        """The text that was written beyond `tokens`; none if they lead elsewhere."""
        beyond = tokens[len(self._start) :]
        if list(tokens[: len(self._start)]) == self._start and len(beyond) <= _FOLLOWED:
            text = b"".join(map(self.drafter.piece, self._written))
            done = b"".join(map(self.target.piece, beyond))
            if text.startswith(done):
                return text[len(done) :]
        self._start, self._ids, self._written = list(tokens), self.respelt(tokens), []
        return b""

    def _write(self) -> bytes:
        """One more token of the drafter's, as text; nothing where it ends."""
        token = int(self.look([*self._ids, *self._written]).argmax())
        if piece := self.drafter.piece(token):
            self._written.append(token)
        return piece

    def _first(self, tokens: Sequence[int], text: bytes, *, last: bool = False) -> int | None:
        """The target's first token of `text` after `tokens`, if it is certain or is the `last`."""
        whole = text.decode("utf-8", "ignore")
        for start in range(max(len(tokens) - _TAIL, 0), len(tokens) + 1) if whole else ():
            tail = list(tokens[start:])
            try:
                before = b"".join(map(self.target.piece, tail)).decode()
            except UnicodeDecodeError:
                continue
            cut = self.target.encode(before + whole, add_special=False, parse_special=False)
            if cut[: len(tail)] == tail and len(cut) > len(tail):
                first, *following = cut[len(tail) :]
                return first if last or self._settled(following) else None
        return None

    def _settled(self, following: Sequence[int]) -> bool:
        spaced = bool(following) and self.target.piece(following[0])[:1].isspace()
        return spaced or len(following) >= _ENOUGH
