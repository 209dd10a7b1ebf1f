"""A conversation in memory: what was said is part of the next prompt."""

from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import closing
from dataclasses import replace

from edgespec.api.completion import Completion, Event, awhole, whole
from edgespec.api.waiting import each
from edgespec.batch.rows import Settings
from edgespec.chat import fit
from edgespec.errors import InvalidInput
from edgespec.messages import Message, Role

Answering = Callable[[Sequence[Message], Settings], Generator[Event]]
Tokens = Callable[[Sequence[Message]], list[int]]


class Chat:
    """Made by `Model.chat`.

    Every answer has a seed of its own, counted on from the first one's, so that a seed gives a
    whole conversation again. An answer that is stopped is kept as far as it came. Where the
    context is full, the oldest exchanges are left out of the prompt, the system message never;
    `messages` keeps them.
    """

    def __init__(
        self,
        settings: Settings,
        n_ctx: int,
        answering: Answering,
        tokens: Tokens,
        interrupt: Callable[[], None],
    ) -> None:
        if settings.raw:
            raise InvalidInput("a chat needs the chat template that raw leaves out")
        system = [Message(Role.SYSTEM, settings.system)] if settings.system else []
        self.messages: list[Message] = system
        """What was said so far; to be changed at will between two answers."""
        self._settings = replace(settings, system=None)
        self._room = n_ctx - min(settings.max_tokens or n_ctx // 4, n_ctx // 2)
        self._answering = answering
        self._tokens = tokens
        self._interrupt = interrupt

    def stream(self, text: str) -> Generator[Event]:
        """The events of the answer to `text`; closing it stops the answer. As Model.stream."""
        asked = [*self.messages, Message(Role.USER, text)]
        fitted = fit(asked, self._tokens, self._room)
        events = self._answering(fitted.messages, self._settings)
        self._settings = self._settings.for_row(1)
        return self._followed(asked, events)

    def say(self, text: str) -> Completion:
        """The whole answer to `text`."""
        seed = self._settings.sampling.seed
        return whole(self.stream(text), seed)

    def astream(self, text: str) -> AsyncGenerator[Event]:
        """As `stream`, for asyncio."""
        return each(self.stream(text), self._interrupt)

    async def asay(self, text: str) -> Completion:
        """As `say`, for asyncio; cancelling it stops the answer."""
        seed = self._settings.sampling.seed
        return await awhole(self.astream(text), seed)

    def _followed(self, asked: list[Message], events: Generator[Event]) -> Generator[Event]:
        self.messages = asked
        pieces: list[str] = []
        try:
            with closing(events):
                for event in events:
                    pieces.append(event.piece)
                    yield event
        finally:
            self.messages.append(Message(Role.ASSISTANT, "".join(pieces)))
