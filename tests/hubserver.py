"""A server that speaks as much of the Hub's protocol as edgespec uses, and misbehaves on request.

One server is two hosts: 127.0.0.1 is the Hub, localhost the CDN that it redirects to.
"""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha1, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

Fault = Callable[["Handler", bytes], bool]
"""Answers a request for the given content in its own way; False to let the server do it."""

CHUNK = 1 << 14


@dataclass
class Repo:
    """A repository at one commit: its files' contents by path, and what the API says beside."""

    files: dict[str, bytes]
    gated: bool = False
    downloads: int = 7
    tags: tuple[str, ...] = ("gguf", "license:apache-2.0")
    claims: dict[str, str] = field(default_factory=dict)
    """A SHA-256 to tell instead of the true one, by path."""
    plain: tuple[str, ...] = ()
    """Paths of files in git itself, of which a git checksum is told alone."""

    @property
    def commit(self) -> str:
        digest = sha1()
        for path, data in sorted(self.files.items()):
            digest.update(path.encode("utf-8", "surrogatepass") + sha256(data).digest())
        return digest.hexdigest()

    def digest(self, path: str) -> str:
        return self.claims.get(path) or sha256(self.files[path]).hexdigest()

    def blob(self, path: str) -> str:
        """Git's checksum."""
        data = self.files[path]
        return self.claims.get(path) or sha1(b"blob %d\0" % len(data) + data).hexdigest()

    def info(self, name: str) -> dict[str, object]:
        siblings = [
            {
                "rfilename": path,
                "size": len(data),
                "blobId": self.blob(path),
                "lfs": None
                if path in self.plain
                else {"size": len(data), "sha256": self.digest(path), "pointerSize": 134},
            }
            for path, data in self.files.items()
        ]
        return {
            "id": name,
            "sha": self.commit,
            "gated": "manual" if self.gated else False,
            "downloads": self.downloads,
            "tags": list(self.tags),
            "siblings": siblings,
        }


@dataclass
class Sent:
    """A request for content, and how many bytes of it went out."""

    path: str
    start: int
    to_the_end: bool
    length: int = 0
    authorization: str | None = None


class HubServer:
    """`repos` by name. `api_faults` and `faults`, one per request for content, are used up."""

    def __init__(self, repos: dict[str, Repo], bytes_per_second: float = 0) -> None:
        self.repos = repos
        self.bytes_per_second = bytes_per_second
        self.faults: list[Fault] = []
        self.api_faults: list[Fault] = []
        self.sent: list[Sent] = []
        self.token: str | None = None
        self.asked: list[str] = []
        self._server = _Server(("", 0), Handler)
        self._server.hub = self
        self.port = self._server.server_address[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.cdn = f"http://localhost:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def total_sent(self) -> int:
        return sum(sent.length for sent in self.sent)


@contextmanager
def serving(repos: dict[str, Repo], bytes_per_second: float = 0) -> Iterator[HubServer]:
    server = HubServer(repos, bytes_per_second)
    try:
        yield server
    finally:
        server.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    hub: HubServer
    address_family = socket.AF_INET

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are part of the tests."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: _Server
    protocol_version = "HTTP/1.1"
    sent: Sent

    def setup(self) -> None:
        # What waits here when a client dies was never fetched by it.
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 15)
        super().setup()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub, url = self.server.hub, urlsplit(self.path)
        hub.asked.append(self.path)
        path = unquote(url.path, errors="surrogateescape")
        if path.startswith("/api/"):
            self._api(path, parse_qs(url.query))
        elif path.startswith("/cdn/"):
            self._content(path.removeprefix("/cdn/"))
        elif "/resolve/" in path:
            self._resolve(path)
        else:
            self.refuse(404)

    def _api(self, path: str, query: dict[str, list[str]]) -> None:
        hub = self.server.hub
        if hub.api_faults and hub.api_faults.pop(0)(self, b""):
            return
        if path == "/api/models":
            text = query.get("search", [""])[0].lower()
            found = [repo.info(name) for name, repo in hub.repos.items() if text in name.lower()]
            self.reply(200, json.dumps(found).encode(), {"content-type": "application/json"})
            return
        name, _, revision = path.removeprefix("/api/models/").partition("/revision/")
        repo = hub.repos.get(name)
        if repo is None:
            self.refuse(401, "RepoNotFound")
        elif revision not in ("", "main", repo.commit):
            self.refuse(404, "RevisionNotFound")
        else:
            body = json.dumps(repo.info(name)).encode()
            self.reply(200, body, {"content-type": "application/json"})

    def _resolve(self, path: str) -> None:
        hub = self.server.hub
        name, _, rest = path[1:].partition("/resolve/")
        revision, _, file = rest.partition("/")
        repo = hub.repos.get(name)
        if repo is None:
            self.refuse(401, "RepoNotFound")
        elif repo.gated and self.headers["authorization"] != f"Bearer {hub.token}":
            self.refuse(403 if self.headers["authorization"] else 401, "GatedRepo")
        elif revision not in ("main", repo.commit):
            self.refuse(404, "RevisionNotFound")
        elif file not in repo.files:
            self.refuse(404, "EntryNotFound")
        else:
            headers = {
                "location": f"{hub.cdn}/cdn/{path[1:]}",
                "x-repo-commit": repo.commit,
                "x-linked-etag": f'"{(repo.blob if file in repo.plain else repo.digest)(file)}"',
                "x-linked-size": str(len(repo.files[file])),
            }
            self.reply(302, b"", headers)

    def _content(self, path: str) -> None:
        hub = self.server.hub
        name, _, rest = path.partition("/resolve/")
        data = hub.repos[name].files[rest.partition("/")[2]]
        start, stop = self.span(data)
        self.sent = Sent(path, start, stop == len(data), 0, self.headers["authorization"])
        hub.sent.append(self.sent)
        if hub.faults and hub.faults.pop(0)(self, data):
            return
        self.content(data)

    def content(self, data: bytes) -> None:
        """Answer as a CDN does, with a range if asked for one."""
        if self.span(data)[0] >= len(data) > 0:
            self.reply(416, b"", {"content-range": f"bytes */{len(data)}"})
            return
        start, stop = self.begin(data)
        if self.command != "HEAD":
            self.pour(data[start:stop])

    def begin(self, data: bytes) -> tuple[int, int]:
        """Announce what was asked for of `data`; from where to where that is."""
        start, stop = self.span(data)
        headers = {"content-length": str(stop - start), "etag": '"cdn"', "accept-ranges": "bytes"}
        whole = "range" not in self.headers
        if not whole:
            headers["content-range"] = f"bytes {start}-{stop - 1}/{len(data)}"
        self.head(200 if whole else 206, headers)
        return start, stop

    def span(self, data: bytes) -> tuple[int, int]:
        if "range" not in self.headers:
            return 0, len(data)
        start, _, last = self.headers["range"].removeprefix("bytes=").partition("-")
        return int(start), min(int(last) + 1, len(data)) if last else len(data)

    def refuse(self, status: int, code: str = "", message: str = "") -> None:
        headers = {"x-error-code": code} if code else {}
        if message:
            headers["x-error-message"] = message
        self.reply(status, b"{}", headers)

    def reply(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.head(status, {**headers, "content-length": str(len(body))})
        if self.command != "HEAD":
            self.pour(body)

    def head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()

    def pour(self, body: bytes) -> None:
        """Send `body` at the server's pace."""
        hub = self.server.hub
        sent = getattr(self, "sent", None)
        for at in range(0, len(body), CHUNK):
            piece = body[at : at + CHUNK]
            self.wfile.write(piece)
            if sent:
                sent.length += len(piece)
            if hub.bytes_per_second:
                time.sleep(len(piece) / hub.bytes_per_second)

    def hang_up(self) -> None:
        """Cut the connection."""
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)


def status(code: int, **headers: str) -> Fault:
    """An answer with nothing but a status."""

    def fault(handler: Handler, _: bytes) -> bool:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        handler.reply(code, b"busy", named)
        return True

    return fault


def cut_after(size: int) -> Fault:
    """The connection ends after `size` bytes of the answer."""

    def fault(handler: Handler, data: bytes) -> bool:
        start, stop = handler.begin(data)
        handler.pour(data[start : min(start + size, stop)])
        handler.hang_up()
        return True

    return fault


def drip(seconds: float) -> Fault:
    """A byte now and then: never silent for long, never getting anywhere."""

    def fault(handler: Handler, data: bytes) -> bool:
        start, stop = handler.begin(data)
        for at in range(start, stop):
            try:
                handler.pour(data[at : at + 1])
            except OSError:
                break
            time.sleep(seconds)
        handler.close_connection = True
        return True

    return fault


def web_page(handler: Handler, _: bytes) -> bool:
    """What a captive portal sends."""
    handler.reply(200, b"<html>Please log in</html>", {"content-type": "text/html; charset=utf-8"})
    return True


def no_ranges(handler: Handler, data: bytes) -> bool:
    """A server that ignores the range."""
    handler.reply(200, data, {})
    return True


def wrong_range(handler: Handler, data: bytes) -> bool:
    """A server that sends another range than it was asked for."""
    start, stop = handler.span(data)
    headers = {"content-range": f"bytes {start + 1}-{stop - 1}/{len(data)}"}
    handler.reply(206, data[start + 1 : stop], headers)
    return True


def redirect(location: str) -> Fault:
    """A redirect to somewhere else."""

    def fault(handler: Handler, _: bytes) -> bool:
        handler.reply(302, b"", {"location": location})
        return True

    return fault


def circle(handler: Handler, _: bytes) -> bool:
    """A redirect to where the request came to, again and again."""
    handler.server.hub.faults.insert(0, circle)
    handler.reply(302, b"", {"location": handler.path})
    return True
