"""Who said what: the parts of a conversation, free of everything that it takes to answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Role(StrEnum):
    """Who speaks."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    `calls` are the tools that the assistant called in it, as OpenAI's API writes them but for their
    arguments, which are values; `call_id` is the call that a tool's turn answers.
    """

    role: Role
    content: str
    calls: tuple[Mapping[str, Any], ...] = ()
    call_id: str = ""
