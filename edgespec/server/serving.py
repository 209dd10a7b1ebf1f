"""A server's life: its socket, its loop, and the end in good order."""

import asyncio
import ipaddress
import socket
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import uvicorn

from edgespec.errors import EdgespecError
from edgespec.server import limits
from edgespec.server.app import App, OnFailure

_BACKLOG = 512
_DRAIN = 60
"""Seconds for what is under way to be finished; then it is broken off."""
_KEEP = 75
"""Seconds that a connection may rest: longer than clients let it, or the next request would meet a
server that just hangs up."""


@dataclass(frozen=True, slots=True)
class Doors:
    """Whom a server lets in: those with the `key`, who call it by one of `hosts`."""

    key: str | None
    hosts: Collection[str]


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises EdgespecError, as when another server has the port."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        what = f"{host} port {port} cannot be listened on: {error.strerror}"
        raise EdgespecError(what, "choose another --port, or stop what uses it") from error
    return listener


def is_loopback(host: str) -> bool:
    """Whether only programs on this machine can reach `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def serve(app: App, listener: socket.socket, doors: Doors) -> None:
    """Serve until SIGINT or SIGTERM; what is under way then is finished, but for a second one."""
    config = uvicorn.Config(
        app.starlette(doors.key, doors.hosts),
        http="h11",
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        h11_max_incomplete_event_size=limits.MAX_HEADERS,
        timeout_keep_alive=_KEEP,
        timeout_graceful_shutdown=_DRAIN,
    )
    asyncio.run(_serve(uvicorn.Server(config), listener, app.on_failure))


async def _serve(server: uvicorn.Server, listener: socket.socket, on_failure: OnFailure) -> None:
    def failed(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        on_failure(context.get("exception") or RuntimeError(context["message"]))

    # As when the system has no more files for who connects.
    asyncio.get_running_loop().set_exception_handler(failed)
    await server.serve(sockets=[listener])
