"""JSON on its way to a client: replies, events, and what is said instead of an answer."""

import json
from collections.abc import Mapping
from typing import Any


def encode(value: Mapping[str, Any]) -> bytes:
    """JSON in UTF-8. Half a surrogate pair, which UTF-8 has not, stays escaped."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace")


def event(value: Mapping[str, Any]) -> bytes:
    """A server-sent event, which is called by its type if it has one."""
    name = f"event: {value['type']}\n" if "type" in value else ""
    return name.encode() + b"data: " + encode(value) + b"\n\n"


def failure(message: str, kind: str, param: str | None = None) -> dict[str, Any]:
    """What is said instead of an answer."""
    return {"error": {"message": message, "type": kind, "param": param, "code": None}}


def kind_of(status: int) -> str:
    """What OpenAI's API calls an error with this status."""
    if status == 429:
        return "rate_limit_error"
    return "invalid_request_error" if status < 500 else "server_error"
