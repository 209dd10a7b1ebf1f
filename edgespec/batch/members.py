"""What JSON formats write alike: messages, calls of tools and the bias of single tokens."""

from collections.abc import Mapping, Sequence
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


def role_of(turn: Fields) -> Role:
    """Who says a message. Raises Fault."""
    turn.require("role")
    role = turn.text("role") or ""
    if role not in _ROLES:
        raise Fault(f"role is {role[:20]!r}; it must be {', '.join(_ROLES)}", turn.at("role"))
    return _ROLES[role]


def text_of(fields: Fields, name: str, kinds: Sequence[str]) -> str:
    """A member that is text, or a list of parts of these kinds of text. Raises Fault."""
    content = fields.value(name, str, list) or ""
    if isinstance(content, str):
        return content
    texts = []
    for index, part in enumerate(content):
        place = (*fields.at(name), index)
        if not (isinstance(part, dict) and part.get("type") in kinds):
            raise Fault(f"only parts of type {' or '.join(kinds)} can be read", place)
        if not isinstance(part.get("text"), str):
            raise Fault(f"a part of type {part['type']} needs its text", place)
        texts.append(part["text"])
    return "".join(texts)


def function_of(fields: Fields) -> Mapping[str, Any]:
    """The function that a call names, and its arguments, given as JSON text. Raises Fault."""
    fields.require("name")
    name, arguments = fields.text("name"), fields.value("arguments", str, dict) or {}
    if isinstance(arguments, str):
        try:
            arguments = parse_object(arguments)
        except Fault as fault:
            raise Fault(f"arguments: {fault.message}", fields.at("arguments")) from None
    return {"name": name, "arguments": arguments}


def _message(turn: Fields) -> Message:
    role = role_of(turn)
    calls = tuple(map(_call, turn.objects("tool_calls") or ())) if role is Role.ASSISTANT else ()
    if not calls:
        turn.require("content")
    content = text_of(turn, "content", ("text",))
    call_id = turn.text("tool_call_id") or "" if role is Role.TOOL else ""
    turn.ignore(["name", "refusal"])
    turn.finish()
    return Message(role, content, calls, call_id)


def _call(call: Fields) -> Mapping[str, Any]:
    call.require("function")
    function = call.object("function")
    assert function is not None
    named = function_of(function)
    identity = call.text("id") or ""
    call.ignore(["type", "index"])
    call.finish()
    function.finish()
    return {"id": identity, "type": "function", "function": named}
