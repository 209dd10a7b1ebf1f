"""The HTTP side: what is behind each path."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from edgespec.batch.strict_json import Fault
from edgespec.server.access import Access
from edgespec.server.answering import Answering, prepare
from edgespec.server.asking import Asked, read_asked
from edgespec.server.choice import Choice
from edgespec.server.clients import name_of, read_body, unless_gone
from edgespec.server.embedding import Embeddings, read_wanted
from edgespec.server.metrics import Metrics
from edgespec.server.refusals import JSON, Refused, missed, refused, refusing, reply
from edgespec.server.replies import EventStream, events, whole
from edgespec.server.response_asking import read_response
from edgespec.server.response_writing import ResponseWriter
from edgespec.server.served import Served
from edgespec.server.shelf import Shelf
from edgespec.server.wire import failure
from edgespec.server.writing import ChoicesWriter, Spell, Writer

OnFailure = Callable[[Exception], str]
"""Told of a failure that nobody foresaw; returns what to say about it."""


@dataclass(frozen=True, slots=True)
class _Form:
    """How a body is read, and how its answer is written. `read` raises Fault."""

    read: Callable[[dict[str, Any]], Asked]
    write: Callable[[Asked, Spell], Writer]


_CHAT = _Form(partial(read_asked, completion=False), partial(ChoicesWriter, completion=False))
_COMPLETION = _Form(partial(read_asked, completion=True), partial(ChoicesWriter, completion=True))
_RESPONSE = _Form(read_response, ResponseWriter)


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
        self.on_failure = on_failure

    def starlette(self, key: str | None, hosts: Collection[str]) -> Starlette:
        """The application, in which `key` is asked for and `hosts` are names of this machine."""
        routes = [
            Route("/v1/chat/completions", self._chat, methods=["POST"]),
            Route("/v1/completions", self._complete, methods=["POST"]),
            Route("/v1/responses", self._respond, methods=["POST"]),
            Route("/v1/embeddings", self._embed, methods=["POST"]),
            Route("/v1/models", self._models),
            Route("/v1/models/{name:path}", self._model),
            Route("/health", self._health),
            Route("/metrics", self._count),
            Route("/openapi.json", self._describe),
        ]
        access = Middleware(Access, key=key, hosts=hosts, metrics=self._metrics)
        handlers = {Refused: refused, HTTPException: missed, Exception: self._failed}
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
        return await self._answer(request, _CHAT)

    async def _complete(self, request: Request) -> Response:
        return await self._answer(request, _COMPLETION)

    async def _respond(self, request: Request) -> Response:
        return await self._answer(request, _RESPONSE)

    async def _embed(self, request: Request) -> Response:
        with refusing(self._names):
            wanted = read_wanted(await read_body(request))
            if wanted.model in self._shelf.names:
                raise Fault(f"{wanted.model} generates text; it has no embeddings", ("model",))
            return reply(await unless_gone(request, self._embeddings.reply(wanted)))

    async def _models(self, _: Request) -> Response:
        return reply({"object": "list", "data": [_listing(name) for name in self._names]})

    async def _model(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._names:
            raise Refused(404, f"there is no model {name[:100]!r} here", "model")
        return reply(_listing(name))

    @property
    def _names(self) -> list[str]:
        return [*self._shelf.names, *self._embeddings.shelf.names]

    async def _health(self, _: Request) -> Response:
        loaded = self._shelf.loaded
        return reply({"status": "ok", "model": loaded.name if loaded else None})

    async def _count(self, _: Request) -> Response:
        return PlainTextResponse(self._metrics.text(), media_type="text/plain; version=0.0.4")

    async def _describe(self, _: Request) -> Response:
        text = files("edgespec.server").joinpath("openapi.json").read_bytes()
        return Response(text, media_type=JSON)

    async def _answer(self, request: Request, form: _Form) -> Response:
        data = await read_body(request)
        with refusing(self._names):
            asked = form.read(data)
            if asked.model in self._embeddings.shelf.names:
                raise Fault(f"{asked.model} makes embeddings; it has no answers", ("model",))
        replies = self._replies(asked, asked.client or name_of(request), form)
        # What is wrong with a request is found before the first reply, and has a status.
        first = await unless_gone(request, anext(replies))
        if asked.stream:
            return EventStream(first, replies)
        await replies.aclose()
        return Response(first, media_type=JSON)

    async def _replies(self, asked: Asked, client: str, form: _Form) -> AsyncGenerator[bytes]:
        """The whole reply, or a stream's events, of which the first comes when all is in order."""
        with refusing(self._names):
            async with self._shelf.use(asked.model) as served:
                requests = await prepare(served, asked)
                writer = form.write(asked, served.piece)
                choices = [Choice(asked) for _ in requests]
                with closing(Answering(served, asked, requests, client)) as answering:
                    if asked.stream:
                        async for told in events(answering, choices, writer):
                            yield told
                    else:
                        yield await whole(answering, choices, writer)

    async def _failed(self, _: Request, error: Exception) -> Response:
        return reply(failure(self.on_failure(error), "server_error"), 500)


def _listing(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "edgespec"}
