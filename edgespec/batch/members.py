"""What both JSON formats write alike: messages and the bias of single tokens."""

from collections.abc import Mapping
from math import inf
from typing import Any

from edgespec.batch.fields import Fields
from edgespec.batch.rows import Settings
from edgespec.batch.strict_json import Fault, parse_object
from edgespec.chat import Message, Role

_ROLES: Mapping[str, Role] = {role.value: role for role in Role} | {"developer": Role.SYSTEM}


def messages(fields: Fields) -> tuple[Message, ...] | None:
    """The conversation under "messages", None if there is none. Raises Fault.

    Its content is text, or a list of parts of text as OpenAI has it.
    """
    turns = fields.objects("messages")
    return None if turns is None else tuple(_message(turn) for turn in turns)


def logit_bias(fields: Fields, settings: Settings) -> Settings:
    """`settings` with the bias under "logit_bias", an object of token ids. Raises Fault."""
    given = fields.object("logit_bias")
    if given is None:
        return settings
    bias: dict[int, float] = {}
    for name, value in given.items().items():
        if not (name.isascii() and name.isdecimal() and len(name) < 10):
            raise Fault(f"{name[:20]!r} is no token id", given.at(name))
        if type(value) not in (int, float):
            raise Fault("a bias must be a number", given.at(name))
        bias[int(name)] = -inf if value <= -100 else float(value)
    return settings.with_sampling("logit_bias", bias, fields.at("logit_bias"))


def _message(turn: Fields) -> Message:
    turn.require("role")
    role = turn.text("role") or ""
    if role not in _ROLES:
        raise Fault(f"role is {role[:20]!r}; it must be {', '.join(_ROLES)}", turn.at("role"))
    calls = tuple(map(_call, turn.objects("tool_calls") or ())) if role == Role.ASSISTANT else ()
    if not calls:
        turn.require("content")
    content = turn.value("content", str, list) or ""
    if isinstance(content, list):
        content = _joined(turn, content)
    call_id = turn.text("tool_call_id") or "" if role == Role.TOOL else ""
    turn.ignore(["name", "refusal"])
    turn.finish()
    return Message(_ROLES[role], content, calls, call_id)


def _call(call: Fields) -> Mapping[str, Any]:
    call.require("function")
    function = call.object("function")
    assert function is not None
    function.require("name")
    name, arguments = function.text("name"), function.value("arguments", str, dict) or {}
    if isinstance(arguments, str):
        try:
            arguments = parse_object(arguments)
        except Fault as fault:
            raise Fault(f"arguments: {fault.message}", function.at("arguments")) from None
    identity = call.text("id") or ""
    call.ignore(["type", "index"])
    call.finish()
    function.finish()
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}


def _joined(turn: Fields, parts: list[Any]) -> str:
    texts = []
    for index, part in enumerate(parts):
        place = (*turn.at("content"), index)
        if not (isinstance(part, dict) and part.get("type") == "text"):
            raise Fault("only parts of type text can be read", place)
        if not isinstance(part.get("text"), str):
            raise Fault("a part of type text needs its text", place)
        texts.append(part["text"])
    return "".join(texts)
