"""Replies on their way: whole, or as events whose source ends when its client does."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from edgespec.server.answering import Answering
from edgespec.server.choice import Choice
from edgespec.server.refusals import Refused
from edgespec.server.wire import encode, event
from edgespec.server.writing import Writer

_STREAM = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class EventStream(StreamingResponse):
    """Server-sent events, whose source is closed as soon as the client is gone."""

    def __init__(self, first: bytes, rest: AsyncGenerator[bytes]) -> None:
        super().__init__(_chained(first, rest), 200, _STREAM, "text/event-stream")
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._rest.aclose()


async def whole(answering: Answering, choices: Sequence[Choice], writer: Writer) -> bytes:
    """The reply to who did not ask for a stream. Raises Refused if an answer broke off."""
    while news := await answering.news():
        for index, found in news.items():
            choices[index].take(found)
    for choice in choices:
        if choice.broken:
            raise Refused(choice.broken.status, choice.broken.message)
    return encode(writer.whole(choices))


async def events(
    answering: Answering, choices: Sequence[Choice], writer: Writer
) -> AsyncIterator[bytes]:
    """The events of a stream, of which the first comes before there is anything to tell."""
    yield b"".join(map(event, writer.opening(len(choices))))
    while news := await answering.news():
        for index, found in news.items():
            for told in writer.chunks(index, choices[index], choices[index].take(found)):
                yield event(told)
    yield b"".join(map(event, writer.closing(choices))) + writer.end


async def _chained(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for more in rest:
        yield more
