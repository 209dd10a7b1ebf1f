"""An answer as it is shown while it comes: of what the model thinks first, a word is enough."""

from edgespec.thinking import BEGIN, END, divide

_WORD = "(thinking) "


class Folding:
    """Leaves out the thought of an answer that `begun` is already there of."""

    def __init__(self, begun: str = "") -> None:
        self._held = begun
        self._over = bool(begun) and not divide(begun).open
        self._told = bool(begun)

    def push(self, piece: str) -> str:
        """What to show now that `piece` has come."""
        if self._over:
            return piece
        self._held += piece
        begun = self._held.lstrip()
        if BEGIN.startswith(begun):
            return ""
        if not begun.startswith(BEGIN):
            self._over = True
            return self._held
        parts = divide(self._held)
        self._over = bool(parts.answer)
        # Models that do not think at the moment leave the marks and nothing between.
        word = _WORD if not self._told and not END.startswith(parts.thought) else ""
        self._told = self._told or bool(word)
        return word + parts.answer

    def finish(self) -> str:
        """What was still held in case that it becomes a thought."""
        return self._held if not self._over and BEGIN.startswith(self._held.lstrip()) else ""
