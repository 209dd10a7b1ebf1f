"""What a client sends to the server, and what a model says to it: bodies, headers, tool calls."""

import asyncio
import json
from collections.abc import MutableMapping
from typing import Any

from edgespec.batch.strict_json import Fault, decode_line, parse_object
from edgespec.server.access import Access
from edgespec.server.asking import read_asked
from edgespec.server.embedding import read_wanted
from edgespec.server.metrics import Metrics
from edgespec.server.response_asking import read_response
from edgespec.server.tools import CLOSE, Calls
from edgespec.server.wire import encode, failure

_KEY = "key"
_PIECE = 7
"""Bytes that a model says at once."""


def body(data: bytes) -> None:
    """A request's body on each path that has one; what is said about it can be sent."""
    for read in (
        lambda found: read_asked(found, completion=False),
        lambda found: read_asked(found, completion=True),
        read_response,
        read_wanted,
    ):
        try:
            read(parse_object(decode_line(data)))
        except Fault as fault:
            json.loads(encode(failure(fault.message, "", ".".join(map(str, fault.path)))))


def headers(data: bytes) -> None:
    """Headers, one a line: nobody gets through without the key."""
    lines = [line.partition(b": ") for line in data.splitlines()]
    given = [(name.lower(), value) for name, _, value in lines]
    status = asyncio.run(_ask(given))
    keys = [value for name, value in given if name == b"authorization"]
    assert status in (401, 403, 413) or keys[0].removeprefix(b"Bearer ") == _KEY.encode()


async def _ask(given: list[tuple[bytes, bytes]]) -> int:
    statuses: list[int] = []

    async def app(_: Any, __: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: MutableMapping[str, Any]) -> None:
        statuses.extend([message["status"]] if "status" in message else [])

    access = Access(app, _KEY, ["name.example"], Metrics())
    await access({"type": "http", "path": "/v1/models", "headers": given}, receive, send)
    (status,) = statuses
    return status


def calls(data: bytes) -> None:
    """What a model says, piece by piece: calls are found alike however it is cut."""
    text = data.decode("utf-8", "replace")
    cut = [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)]
    found = [_taken(pieces) for pieces in ([text], cut)]
    assert found[0] == found[1]
    assert len(found[0][1]) <= text.count(CLOSE)


def _taken(pieces: list[str]) -> tuple[str, list[tuple[str, str]]]:
    taker, text = Calls(), ""
    for piece in pieces:
        text += taker.push(piece)[0]
    return text + taker.finish(), [(call.name, call.arguments) for call in taker.found]
