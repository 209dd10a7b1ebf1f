"""What both JSON formats write alike: messages and the bias of single tokens."""

from collections.abc import Mapping
from math import inf
from typing import Any

from edgespec.batch.fields import Fields
from edgespec.batch.rows import Settings
from edgespec.batch.strict_json import Fault
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
    turn.require("content")
    role = turn.text("role") or ""
    if role not in _ROLES:
        raise Fault(f"role is {role[:20]!r}; it must be {', '.join(_ROLES)}", turn.at("role"))
    content = turn.value("content", str, list)
    if isinstance(content, list):
        content = _joined(turn, content)
    turn.ignore(["name", "refusal"])
    turn.finish()
    return Message(_ROLES[role], content)


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
