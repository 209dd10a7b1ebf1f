"""One of the answers to a request, taken apart while it comes: text, calls, tokens, its end."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from edgespec.batch.answers import REASONS
from edgespec.events import Finish, Stats, Token
from edgespec.server.asking import Asked
from edgespec.server.job import Broken, News
from edgespec.server.tools import Call, Calls


@dataclass(slots=True)
class Piece:
    """What became certain of a choice at once."""

    text: str = ""
    calls: list[Call] = field(default_factory=list)
    tokens: list[Token] = field(default_factory=list)
    finish: str | None = None
    broken: Broken | None = None


class Choice:
    """One of the answers: its news, taken apart."""

    def __init__(self, asked: Asked) -> None:
        self._calls = Calls() if asked.tools.shown else None
        self.text = ""
        self.tokens: list[Token] = []
        self.called: list[Call] = []
        self.reason: str | None = None
        self.stats: Stats | None = None
        self.broken: Broken | None = None

    def take(self, news: Sequence[News]) -> Piece:
        """What is new."""
        piece = Piece()
        for one in news:
            if isinstance(one, Broken):
                self.broken = piece.broken = one
                continue
            text = one.piece
            if self._calls:
                text, calls = self._calls.push(one.piece)
                piece.calls += calls
                if isinstance(one, Finish):
                    text += self._calls.finish()
            piece.text += text
            if isinstance(one, Finish):
                self.stats = one.stats
                called = self.called or piece.calls
                piece.finish = "tool_calls" if called else REASONS[one.reason]
            else:
                piece.tokens.append(one)
        self.text += piece.text
        self.tokens += piece.tokens
        self.called += piece.calls
        self.reason = piece.finish
        return piece
