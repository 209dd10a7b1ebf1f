"""What a server's refusal means, in the words and the kind of failure that a user can act on."""

from collections.abc import Mapping

import httpx2

from edgespec.errors import DownloadFailed, EdgespecError, ModelUnavailable
from edgespec.hub.names import shown
from edgespec.hub.patience import Transient

_LOGIN = "set HF_TOKEN, or log in with hf auth login"
_BUSY = {408, 425, 429, 500, 502, 503, 504}


def check(response: httpx2.Response, what: str) -> None:
    """Raise what the status of `response` to a request for `what` means, if it is a refusal.

    Raises Transient for what may pass, ModelUnavailable for what the Hub does not give,
    DownloadFailed for anything else.
    """
    status = response.status_code
    if status in _BUSY:
        raise Transient(f"the server answers {status}", _asked_wait(response.headers))
    if status >= 400:
        raise refusal(status, response.headers, what)


def refusal(status: int, headers: Mapping[str, str], what: str) -> EdgespecError:
    """What to tell about a request for `what` that ended with `status`, a 4xx."""
    code = headers.get("x-error-code", "")
    if code == "GatedRepo":
        hint = f"accept its conditions on its page of the Hub, then {_LOGIN}"
        return ModelUnavailable(f"the Hub gives {what} only to those it has let in", hint)
    if status == 401 or code == "RepoNotFound":
        # The Hub answers 401 for repositories that do not exist, so as not to tell which do.
        return ModelUnavailable(
            f"the Hub has no {what}, or none for you",
            f"check the spelling; if it is private, {_LOGIN}",
        )
    if status == 404:
        return ModelUnavailable(f"the Hub has no {what}", "check the spelling and the revision")
    if status == 403:
        message = shown(headers.get("x-error-message", "access is forbidden"))
        return ModelUnavailable(f"the Hub refuses {what}: {message}", "check the token's rights")
    return DownloadFailed(f"the server answers {status} for {what}")


def network(error: httpx2.HTTPError, what: str) -> EdgespecError | Transient:
    """What a failure below HTTP means: of the network, unless a redirect leads astray."""
    if isinstance(error, httpx2.UnsupportedProtocol | httpx2.TooManyRedirects):
        return DownloadFailed(f"the server redirects {what} to nowhere: {shown(str(error))}")
    if isinstance(error, httpx2.RemoteProtocolError):
        return Transient("the connection was cut")
    if isinstance(error, httpx2.TimeoutException):
        return Transient("the server is silent")
    reason = shown(str(error)) or type(error).__name__
    return Transient(f"the connection failed ({reason})")


def _asked_wait(headers: Mapping[str, str]) -> float | None:
    text = headers.get("retry-after", "").strip()
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
