"""A whole answer, once it has ended."""

import json
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, closing
from dataclasses import dataclass
from typing import Any

from edgespec.errors import BackendError
from edgespec.events import Finish, FinishReason, Stats, Token

Event = Token | Finish
"""What a stream yields: tokens, then one Finish. Their `piece`s make up the text."""


@dataclass(frozen=True, slots=True)
class Completion:
    """An answer's text, why it ended, what it cost, and the seed that gives it again."""

    text: str
    reason: FinishReason
    stats: Stats
    seed: int

    def json(self) -> Any:
        """The text as JSON. Raises ValueError if it is none, as when max_tokens cut it off."""
        return json.loads(self.text)


def whole(events: Generator[Event], seed: int) -> Completion:
    """The answer that `events` make up. Raises BackendError if it was stopped."""
    with closing(events):
        return _joined(list(events), seed)


async def awhole(events: AsyncGenerator[Event], seed: int) -> Completion:
    """As `whole`, for asyncio."""
    async with aclosing(events):
        return _joined([event async for event in events], seed)


def _joined(events: list[Event], seed: int) -> Completion:
    last = events[-1] if events else None
    if not isinstance(last, Finish):
        raise BackendError("the answer was stopped: its model was closed")
    text = "".join(event.piece for event in events)
    return Completion(text, last.reason, last.stats, seed)
