"""What a body of /v1/responses asks for, as far as a server can answer it that keeps nothing."""

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from edgespec.batch.fields import Fields
from edgespec.batch.members import function_of, role_of, text_of
from edgespec.batch.openai import MOST_TOKENS, formed, sampled
from edgespec.batch.rows import Row, Settings
from edgespec.batch.strict_json import Fault
from edgespec.messages import Message, Role
from edgespec.sampling.params import SamplingParams
from edgespec.server.asking import MOST_LOGPROBS, Asked, limit, shaped
from edgespec.server.tools import read_tools

_LOGPROBS = "message.output_text.logprobs"
_INCLUDED = (_LOGPROBS, "reasoning.encrypted_content")
"""What can be asked for beside the answer; there is no reasoning to encrypt."""
_NO_EFFECT = (
    "client_metadata",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning",
    "stream_options",
)
"""Members that do not change what a local model answers."""
_REFUSED = {"background": False, "store": False, "truncation": "disabled"}
"""Members that cannot be honoured, unless they have this value, which asks for nothing."""
_TOLD: Mapping[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
}
"""Members that the reply repeats, and what they are if the body has them not."""
_PARTS = ("input_text", "output_text")


def read_response(data: dict[str, Any]) -> Asked:
    """The request that a body means. Raises Fault for whatever is wrong with it."""
    fields = Fields(data)
    fields.require("model")
    fields.require("input")
    _refuse(fields)
    tools = read_tools(fields, flat=True)
    places = {"prompt": ("input",), "schema": ("text",), "grammar": ("grammar",)}
    row = Row(
        None,
        _settings(fields),
        messages=_messages(fields),
        places={**places, "tools": ("tools",)},
        tools=tools.shown,
    )
    asked = Asked(
        fields.text("model") or "",
        row,
        tools,
        fields.flag("stream") or False,
        logprobs=_logprobs(fields),
        client=fields.text("safety_identifier") or fields.text("user") or "",
        background=fields.text("service_tier") == "flex",
        told={name: data[name] if name in fields else usual for name, usual in _TOLD.items()},
    )
    fields.finish()
    limit(row)
    return asked


def _refuse(fields: Fields) -> None:
    fields.ignore(_NO_EFFECT)
    fields.value("metadata", dict)
    fields.flag("parallel_tool_calls")
    for name, harmless in _REFUSED.items():
        value = fields.value(name, type(harmless))
        if value is not None and value != harmless:
            raise Fault(f"{name} can only be {json.dumps(harmless)} here", fields.at(name))


def _settings(fields: Fields) -> Settings:
    settings = Settings(sampling=SamplingParams(seed=secrets.randbits(32)))
    settings = sampled(fields, shaped(fields, settings))
    if text := fields.object("text"):
        form = text.object("format")
        text.ignore(["verbosity"])
        text.finish()
        settings = formed(form, settings, flat=True)
    if settings.json_schema is not None and "grammar" in fields:
        raise Fault("grammar and text.format exclude each other", fields.at("grammar"))
    return settings.replaced(
        max_tokens=fields.integer("max_output_tokens", 1, MOST_TOKENS),
        stop=fields.strings("stop"),
        samples=None,
    )


def _logprobs(fields: Fields) -> int | None:
    included = fields.strings("include") or ()
    for one in included:
        if one not in _INCLUDED:
            raise Fault(f"include can only hold {' and '.join(_INCLUDED)}", fields.at("include"))
    count = fields.integer("top_logprobs", 0, MOST_LOGPROBS)
    if count is not None and _LOGPROBS not in included:
        raise Fault(f"top_logprobs needs {_LOGPROBS} in include", fields.at("top_logprobs"))
    return (count or 0) if _LOGPROBS in included else None


def _messages(fields: Fields) -> tuple[Message, ...]:
    instructions = fields.text("instructions")
    found = [Message(Role.SYSTEM, instructions)] if instructions else []
    if isinstance(given := fields.value("input", str, list), str):
        return (*found, Message(Role.USER, given))
    for item in fields.objects("input") or ():
        message = _READ[_kind(item)](item)
        item.ignore(["id", "status", "type", "phase"])
        item.finish()
        if message.calls and found and found[-1].role is Role.ASSISTANT:
            # Templates know a message and the calls behind it as one.
            found[-1] = replace(found[-1], calls=(*found[-1].calls, *message.calls))
        else:
            found.append(message)
    return tuple(found)


def _kind(item: Fields) -> str:
    kind = item.text("type") or "message"
    if kind not in _READ:
        known = ", ".join(_READ)
        raise Fault(f"type is {kind[:40]!r}; it must be {known}", item.at("type"))
    return kind


def _said(item: Fields) -> Message:
    role = role_of(item)
    item.require("content")
    return Message(role, text_of(item, "content", _PARTS))


def _called(item: Fields) -> Message:
    item.require("call_id")
    identity = item.text("call_id") or ""
    call = {"id": identity, "type": "function", "function": function_of(item)}
    return Message(Role.ASSISTANT, "", (call,))


def _answered(item: Fields) -> Message:
    item.require("call_id")
    item.require("output")
    output = text_of(item, "output", _PARTS)
    return Message(Role.TOOL, output, call_id=item.text("call_id") or "")


_READ: Mapping[str, Callable[[Fields], Message]] = {
    "message": _said,
    "function_call": _called,
    "function_call_output": _answered,
}
