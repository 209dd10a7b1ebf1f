"""What comes from a client: a body, a name for whose turn it is, and that it goes away."""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from edgespec.batch.strict_json import Fault, decode_line, parse_object
from edgespec.server import limits
from edgespec.server.refusals import JSON, Refused

_Reply = TypeVar("_Reply")


async def read_body(request: Request) -> dict[str, Any]:
    """The JSON object in a request's body. Raises Refused for anything else."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON:
        raise Refused(415, f"the content type must be {JSON}")
    data = bytearray()
    try:
        async with asyncio.timeout(limits.BODY_SECONDS):
            async for chunk in request.stream():
                data += chunk
                if len(data) > limits.MAX_BODY:
                    raise Refused(413, f"the body has more than {limits.MAX_BODY} bytes")
    except TimeoutError:
        raise Refused(408, "the body did not arrive in time") from None
    try:
        # A large one takes a while, in which the streams go on.
        return await asyncio.to_thread(lambda: parse_object(decode_line(bytes(data))))
    except Fault as fault:
        place = f" (column {fault.column})" if fault.column else ""
        raise Refused(400, f"the body is no JSON object: {fault.message}{place}") from None


async def unless_gone(request: Request, reply: Awaitable[_Reply]) -> _Reply:
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


def name_of(request: Request) -> str:
    """Whom turns are counted for, if the body does not say: a program on a machine."""
    host = request.client.host if request.client else ""
    return f"{host} {request.headers.get('user-agent', '')}"


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
