"""One GET of a part of a file: redirects, refusals, and whether it is the right file at all."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import get_session

from edgespec.errors import DownloadFailed
from edgespec.hub import answers
from edgespec.hub.names import is_sha256, shown
from edgespec.hub.patience import Changed, Transient

_HOPS = 8
_SLOWEST = 1 << 10
_CONTENT_RANGE = re.compile(r"bytes (?P<start>\d{1,19})-\d{1,19}/(?P<total>\d{1,19})")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a file is and what it must be; `what` names it for messages.

    `headers` go to the first host only.
    """

    url: str
    what: str
    size: int
    sha256: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes from `start` up to `stop`."""

    start: int
    stop: int


@contextmanager
def opened(source: Source, span: Span, silence: float) -> Iterator[Iterator[bytes]]:
    """The bytes of `span`, in pieces as they arrive.

    They may end early. Raises Transient if it is worth another try, Changed if the server has
    another file than `source` says, DownloadFailed and ModelUnavailable for good.
    """
    headers = {**source.headers, "accept-encoding": "identity"}
    if span != Span(0, source.size):
        headers["range"] = f"bytes={span.start}-{span.stop - 1}"
    try:
        response = _final(source, headers, silence)
        try:
            skip = _check(response, source, span)
            yield _pieces(response, span.stop - span.start, skip, silence)
        finally:
            response.close()
    except httpx2.HTTPError as error:
        raise answers.network(error, source.what) from error


def _final(source: Source, headers: Mapping[str, str], silence: float) -> httpx2.Response:
    """The response at the end of all redirects, its body not yet read."""
    session = get_session()
    request = session.build_request(
        "GET", source.url, headers=dict(headers), timeout=httpx2.Timeout(silence)
    )
    secure = request.url.scheme == "https"
    for _ in range(_HOPS):
        response = session.send(request, stream=True, follow_redirects=False)
        _check_identity(response, source)
        if not response.is_redirect:
            return response
        response.close()
        _check_redirect(response.headers.get("location", ""), source.what, secure=secure)
        assert response.next_request is not None
        request = response.next_request
    raise DownloadFailed(f"the server redirects {source.what} in a circle")


def _check_redirect(location: str, what: str, *, secure: bool) -> None:
    """Whether `location`, which may be relative, is a place to go to."""
    try:
        scheme = urlsplit(location).scheme.lower()
    except ValueError:
        scheme = "?"
    if not location or scheme not in (("", "https") if secure else ("", "http", "https")):
        raise DownloadFailed(f"the server redirects {what} to {shown(location) or 'nowhere'!r}")


def _check_identity(response: httpx2.Response, source: Source) -> None:
    """The Hub's own answers carry the file's SHA-256 as its etag."""
    etag = response.headers.get("x-linked-etag", "").removeprefix("W/").strip('"')
    if is_sha256(etag) and etag != source.sha256:
        raise Changed(source.what)


def _check(response: httpx2.Response, source: Source, span: Span) -> int:
    """How many of the first bytes lie before the span; the server may know no ranges."""
    if response.status_code == 416:
        raise Changed(source.what)
    answers.check(response, source.what)
    if "text/html" in response.headers.get("content-type", ""):
        raise DownloadFailed(
            f"the server sent a web page in place of {source.what}",
            "a proxy or a login page may be in the way",
        )
    if response.status_code == 206:
        match = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
        if not match or int(match["start"]) != span.start:
            raise Transient("the server sent another part than it was asked for")
        total: int | None = int(match["total"])
        skip = 0
    else:
        length = response.headers.get("content-length", "")
        total = int(length) if length.isascii() and length.isdigit() else None
        skip = span.start
    if total not in (None, source.size):
        raise Changed(source.what)
    return skip


def _pieces(response: httpx2.Response, length: int, skip: int, silence: float) -> Iterator[bytes]:
    """The body after its first `skip` bytes, `length` bytes at most."""
    window, fetched = monotonic(), 0
    for piece in response.iter_raw():
        fetched += len(piece)
        if skip:
            skipped = min(skip, len(piece))
            skip, piece = skip - skipped, piece[skipped:]
        if piece := piece[:length]:
            length -= len(piece)
            yield piece
        if length == 0:
            return
        if monotonic() - window >= silence:
            if fetched < _SLOWEST * silence:
                raise Transient("the server sends less than 1 KiB/s")
            window, fetched = monotonic(), 0
