"""The HTTP side: paths, bodies, replies and streams."""

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterator,
    Sequence,
)
from contextlib import asynccontextmanager, closing, contextmanager
from importlib.resources import files
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from edgespec.batch.strict_json import Fault, decode_line, parse_object
from edgespec.errors import BackendError, ModelUnavailable
from edgespec.server import limits
from edgespec.server.access import Access
from edgespec.server.answering import Answering, prepare
from edgespec.server.asking import Asked, read_asked
from edgespec.server.embedding import Embeddings, read_wanted
from edgespec.server.line import LineFull
from edgespec.server.metrics import Metrics
from edgespec.server.served import Served
from edgespec.server.shelf import Shelf, UnknownModel
from edgespec.server.writing import Choice, Writer, encode, event, failure

_RETRY = "2"
"""Seconds after which a client that was turned away may ask again."""
_JSON = "application/json"
_STREAM = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

_Reply = TypeVar("_Reply")

OnFailure = Callable[[Exception], str]
"""Told of a failure that nobody foresaw; returns what to say about it."""


class _Refused(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param


class App:
    """What is behind each path."""

    def __init__(
        self,
        shelf: Shelf[Served],
        embeddings: Embeddings,
        metrics: Metrics,
        on_failure: OnFailure,
    ) -> None:
        self._shelf = shelf
        self._embeddings = embeddings
        self._metrics = metrics
        self._on_failure = on_failure

    def starlette(self, key: str | None, hosts: Collection[str]) -> Starlette:
        """The application, in which `key` is asked for and `hosts` are names of this machine."""
        routes = [
            Route("/v1/chat/completions", self._chat, methods=["POST"]),
            Route("/v1/completions", self._complete, methods=["POST"]),
            Route("/v1/embeddings", self._embed, methods=["POST"]),
            Route("/v1/models", self._models),
            Route("/v1/models/{name:path}", self._model),
            Route("/health", self._health),
            Route("/metrics", self._count),
            Route("/openapi.json", self._describe),
        ]
        access = Middleware(Access, key=key, hosts=hosts, metrics=self._metrics)
        handlers = {_Refused: _refused, HTTPException: _missed, Exception: self._failed}
        return Starlette(
            routes=routes,
            middleware=[access],
            exception_handlers=handlers,  # type: ignore[arg-type]
            lifespan=self._lifespan,
        )

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        yield
        await self._shelf.close()
        await self._embeddings.shelf.close()

    async def _chat(self, request: Request) -> Response:
        return await self._answer(request, completion=False)

    async def _complete(self, request: Request) -> Response:
        return await self._answer(request, completion=True)

    async def _embed(self, request: Request) -> Response:
        with self._refusing():
            wanted = read_wanted(await _body(request))
            if wanted.model in self._shelf.names:
                raise Fault(f"{wanted.model} generates text; it has no embeddings", ("model",))
            reply = self._embeddings.reply(wanted)
            return _json(await _unless_gone(request, reply))

    async def _models(self, _: Request) -> Response:
        return _json({"object": "list", "data": [_listing(name) for name in self._names]})

    async def _model(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._names:
            raise _Refused(404, f"there is no model {name[:100]!r} here", "model")
        return _json(_listing(name))

    @property
    def _names(self) -> list[str]:
        return [*self._shelf.names, *self._embeddings.shelf.names]

    async def _health(self, _: Request) -> Response:
        loaded = self._shelf.loaded
        return _json({"status": "ok", "model": loaded.name if loaded else None})

    async def _count(self, _: Request) -> Response:
        return PlainTextResponse(self._metrics.text(), media_type="text/plain; version=0.0.4")

    async def _describe(self, _: Request) -> Response:
        text = files("edgespec.server").joinpath("openapi.json").read_bytes()
        return Response(text, media_type="application/json")

    async def _answer(self, request: Request, *, completion: bool) -> Response:
        data = await _body(request)
        with self._refusing():
            asked = read_asked(data, completion=completion)
            if asked.model in self._embeddings.shelf.names:
                raise Fault(f"{asked.model} makes embeddings; it has no answers", ("model",))
        replies = self._replies(asked, asked.client or _client(request), completion=completion)
        # What is wrong with a request is found before the first reply, and has a status.
        first = await _unless_gone(request, anext(replies))
        if asked.stream:
            return _Stream(first, replies)
        await replies.aclose()
        return Response(first, media_type=_JSON)

    async def _replies(
        self, asked: Asked, client: str, *, completion: bool
    ) -> AsyncGenerator[bytes]:
        """The whole reply, or a stream's events, of which the first comes when all is in order."""
        with self._refusing():
            async with self._shelf.use(asked.model) as served:
                requests = await prepare(served, asked)
                writer = Writer(asked, served.piece, completion=completion)
                choices = [Choice(asked) for _ in requests]
                with closing(Answering(served, asked, requests, client)) as answering:
                    if asked.stream:
                        async for reply in _events(answering, choices, writer):
                            yield reply
                    else:
                        yield await _whole(answering, choices, writer)

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        """Turn what is wrong with a request into the status that tells it."""
        try:
            yield
        except UnknownModel as error:
            known = f"{error}; there is {', '.join(self._names)}"
            raise _Refused(404, known, "model") from None
        except ModelUnavailable as error:
            raise _Refused(503, str(error), "model") from None
        except Fault as fault:
            raise _Refused(400, fault.message, ".".join(map(str, fault.path)) or None) from None
        except LineFull as error:
            raise _Refused(429, str(error)) from None
        except BackendError as error:
            raise _Refused(500, str(error)) from None

    async def _failed(self, _: Request, error: Exception) -> Response:
        return _json(failure(self._on_failure(error), "server_error"), 500)


class _Stream(StreamingResponse):
    """Server-sent events, whose source is closed as soon as the client is gone."""

    def __init__(self, first: bytes, rest: AsyncGenerator[bytes]) -> None:
        super().__init__(_chained(first, rest), 200, _STREAM, "text/event-stream")
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._rest.aclose()


async def _chained(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for more in rest:
        yield more


async def _whole(answering: Answering, choices: Sequence[Choice], writer: Writer) -> bytes:
    while news := await answering.news():
        for index, found in news.items():
            choices[index].take(found)
    for choice in choices:
        if choice.broken:
            raise _Refused(choice.broken.status, choice.broken.message)
    return encode(writer.whole(choices))


async def _events(
    answering: Answering, choices: Sequence[Choice], writer: Writer
) -> AsyncIterator[bytes]:
    yield b"".join(map(event, writer.opening(len(choices))))
    while news := await answering.news():
        for index, found in news.items():
            choice = choices[index]
            piece = choice.take(found)
            if chunk := writer.chunk(index, choice, piece):
                yield event(chunk)
            if choice.broken:
                yield event(failure(choice.broken.message, _kind(choice.broken.status)))
    yield b"".join(map(event, writer.closing(choices))) + b"data: [DONE]\n\n"


async def _body(request: Request) -> dict[str, Any]:
    """The JSON object in a request's body. Raises _Refused for anything else."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _JSON:
        raise _Refused(415, f"the content type must be {_JSON}")
    data = bytearray()
    try:
        async with asyncio.timeout(limits.BODY_SECONDS):
            async for chunk in request.stream():
                data += chunk
                if len(data) > limits.MAX_BODY:
                    raise _Refused(413, f"the body has more than {limits.MAX_BODY} bytes")
    except TimeoutError:
        raise _Refused(408, "the body did not arrive in time") from None
    try:
        # A large one takes a while, in which the streams go on.
        return await asyncio.to_thread(lambda: parse_object(decode_line(bytes(data))))
    except Fault as fault:
        place = f" (column {fault.column})" if fault.column else ""
        raise _Refused(400, f"the body is no JSON object: {fault.message}{place}") from None


async def _unless_gone(request: Request, reply: Awaitable[_Reply]) -> _Reply:
    """The reply. Raises ClientDisconnect, and gives it up, if nobody waits for it any more."""
    replying = asyncio.ensure_future(reply)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((replying, gone), return_when=asyncio.FIRST_COMPLETED)
        if not replying.done():
            raise ClientDisconnect
        return replying.result()
    finally:
        for task in (replying, gone):
            task.cancel()
        await asyncio.wait((replying, gone))


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _client(request: Request) -> str:
    """Whom turns are counted for, if the body does not say: a program on a machine."""
    host = request.client.host if request.client else ""
    return f"{host} {request.headers.get('user-agent', '')}"


async def _refused(_: Request, error: _Refused) -> Response:
    response = _json(failure(error.message, _kind(error.status), error.param), error.status)
    if error.status == 429:
        response.headers["Retry-After"] = _RETRY
    return response


async def _missed(_: Request, error: HTTPException) -> Response:
    response = _json(failure(error.detail, _kind(error.status_code)), error.status_code)
    response.headers.update(error.headers or {})
    return response


def _kind(status: int) -> str:
    if status == 429:
        return "rate_limit_error"
    return "invalid_request_error" if status < 500 else "server_error"


def _json(value: dict[str, Any], status: int = 200) -> Response:
    return Response(encode(value), status, media_type=_JSON)


def _listing(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "edgespec"}
