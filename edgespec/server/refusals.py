"""What is said instead of an answer, and the status that goes with it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from edgespec.batch.strict_json import Fault
from edgespec.errors import BackendError, DeviceLost, ModelUnavailable
from edgespec.server.line import LineFull
from edgespec.server.shelf import UnknownModel
from edgespec.server.wire import encode, failure, kind_of

JSON = "application/json"
_RETRY = "2"
"""Seconds after which a client that was turned away may ask again."""


class Refused(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param


@contextmanager
def refusing(names: Sequence[str]) -> Iterator[None]:
    """Turn what is wrong with a request into the status that tells it; there are models `names`."""
    try:
        yield
    except UnknownModel as error:
        raise Refused(404, f"{error}; there is {', '.join(names)}", "model") from None
    except (ModelUnavailable, DeviceLost) as error:
        raise Refused(503, str(error), "model") from None
    except Fault as fault:
        raise Refused(400, fault.message, ".".join(map(str, fault.path)) or None) from None
    except LineFull as error:
        raise Refused(429, str(error)) from None
    except BackendError as error:
        raise Refused(500, str(error)) from None


async def refused(_: Request, error: Refused) -> Response:
    """The reply to a request that was refused."""
    response = reply(failure(error.message, kind_of(error.status), error.param), error.status)
    if error.status == 429:
        response.headers["Retry-After"] = _RETRY
    return response


async def missed(_: Request, error: HTTPException) -> Response:
    """The reply to a request for a path or with a method that is not there."""
    response = reply(failure(error.detail, kind_of(error.status_code)), error.status_code)
    response.headers.update(error.headers or {})
    return response


def reply(value: dict[str, Any], status: int = 200) -> Response:
    """A reply of JSON."""
    return Response(encode(value), status, media_type=JSON)
