"""Who may ask: hosts, origins and keys are checked before anything is read."""

import asyncio
import ipaddress
from collections.abc import Collection
from contextlib import suppress
from secrets import compare_digest
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edgespec.server import limits
from edgespec.server.metrics import Metrics
from edgespec.server.wire import encode, failure

_OPEN = ("/health",)
"""Paths that need no key."""
_DIGITS = 19


class _Stalled(Exception):
    """A client does not take what it is sent; it is not waited for."""


class Access:
    """Lets through what comes from an allowed host with the key, and what is not too large.

    A page in a browser can reach this machine under a name of its own (DNS rebinding); so only
    names of this machine are accepted, in Host and in Origin. IP addresses are no names.
    """

    def __init__(
        self, app: ASGIApp, key: str | None, hosts: Collection[str], metrics: Metrics
    ) -> None:
        self._app = app
        self._key = key
        self._hosts = {"localhost", *(host.lower() for host in hosts)}
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or let the application do it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._metrics.replied(scope["path"], message["status"])
            try:
                await asyncio.wait_for(send(message), limits.SEND_SECONDS)
            except TimeoutError:
                raise _Stalled from None

        if refusal := self._refusal(Headers(scope=scope), scope["path"]):
            await _refuse(watched, *refusal)
            return
        with suppress(_Stalled, ClientDisconnect):
            await self._app(scope, receive, watched)

    def _refusal(self, headers: Headers, path: str) -> tuple[int, str] | None:
        hosts = headers.getlist("host")
        host = _host(f"//{hosts[0]}") if len(hosts) == 1 else None
        if host is None or not (host in self._hosts or _address(host)):
            return 403, "the Host header names another machine; see --allow-host"
        origin = headers.get("origin")
        if origin is not None and not self._is_near(_host(origin), host):
            return 403, "requests of web pages from elsewhere are refused; see --allow-host"
        if self._key and path not in _OPEN:
            given = headers.get("authorization", "").removeprefix("Bearer ")
            if not compare_digest(given.encode("utf-8", "replace"), self._key.encode()):
                return 401, "the API key is missing or wrong"
        size = headers.get("content-length", "0")
        if len(size) > _DIGITS or not size.isdecimal() or int(size) > limits.MAX_BODY:
            return 413, f"the body has more than {limits.MAX_BODY} bytes"
        return None

    def _is_near(self, origin: str | None, host: str) -> bool:
        """Whether a page from `origin` may ask: it is from this server, this machine or allowed."""
        if origin is None:
            return False
        address = _address(origin)
        return origin == host or origin in self._hosts or bool(address and address.is_loopback)


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


async def _refuse(send: Send, status: int, message: str) -> None:
    kind = "authentication_error" if status == 401 else "invalid_request_error"
    body = encode(failure(message, kind))
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
