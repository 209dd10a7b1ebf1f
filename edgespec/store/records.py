"""The frozen records that come out of the store."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edgespec.messages import Message, Role


@dataclass(frozen=True, slots=True)
class Summary:
    """A conversation in a list. Times are Unix times; `excerpt` is what a search found in it."""

    id: int
    title: str
    updated: float
    excerpt: str = ""


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """One message. `done` is False while it is being written, and after a crash in the middle.

    `facts` is what the front end wants to remember with it, as JSON: the model, the statistics.
    """

    id: int
    parent: int | None
    role: Role
    text: str
    done: bool = True
    created: float = 0.0
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def message(self) -> Message:
        """It as a model is told it."""
        return Message(self.role, self.text)


@dataclass(frozen=True, slots=True)
class Crashed:
    """What a session that ended without closing the store was in the middle of."""

    conversation: int | None
    draft: str
