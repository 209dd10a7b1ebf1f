"""Conversations as files: Markdown to read, JSON to read and to import again."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from edgespec.errors import InvalidInput
from edgespec.messages import Role
from edgespec.store.records import StoredMessage
from edgespec.store.store import Store
from edgespec.store.talk import Talk
from edgespec.store.tree import MessageTree

_FORMAT, _VERSION = "edgespec conversation", 1
_NAMES = {Role.USER: "You", Role.ASSISTANT: "Assistant"}


def write(talk: Talk, name: str) -> None:
    """Write a conversation into a file that does not exist yet: .json with all branches.

    Raises InvalidInput if that is not possible.
    """
    as_json = name.lower().endswith(".json")
    text = (
        to_json(talk.title, talk.system, talk.tree)
        if as_json
        else to_markdown(talk.title, talk.system, talk.path())
    )
    write_new(name, text)


def write_new(name: str, text: str) -> None:
    """Write `text` into a file that does not exist yet. Raises InvalidInput."""
    try:
        with Path(name).expanduser().open("x", encoding="utf-8") as file:
            file.write(text)
    except (OSError, ValueError, RuntimeError) as error:
        raise InvalidInput(f"{name!r} cannot be written: {_reason(error)}") from error


def read(store: Store, name: str) -> int:
    """Add the conversation in a file that `write` wrote as JSON; its id. Raises InvalidInput."""
    try:
        text = Path(name).expanduser().read_text(encoding="utf-8")
    except (OSError, ValueError, RuntimeError) as error:
        raise InvalidInput(f"{name!r} cannot be read: {_reason(error)}") from error
    return from_json(store, text)


def to_markdown(title: str, system: str, path: Iterable[StoredMessage]) -> str:
    """The messages of one path, for people."""
    parts = [f"# {' '.join(title.split())}"]
    if system:
        parts += ["## System", system]
    for message in path:
        parts += [f"## {_NAMES[message.role]}", message.text]
    return "\n\n".join(parts) + "\n"


def to_json(title: str, system: str, tree: MessageTree) -> str:
    """A whole conversation with all its branches, for `from_json`."""
    messages = [
        {
            "id": message.id,
            "parent": message.parent,
            "role": message.role.value,
            "text": message.text,
            "created": message.created,
            "facts": dict(message.facts),
        }
        for message in tree
    ]
    data = {
        "format": _FORMAT,
        "version": _VERSION,
        "title": title,
        "system": system,
        "leaf": tree.leaf,
        "messages": messages,
    }
    return json.dumps(data, ensure_ascii=False, indent=1) + "\n"


def from_json(store: Store, text: str) -> int:
    """Add a conversation that `to_json` wrote; its id. Raises InvalidInput for anything else."""
    try:
        data = json.loads(text)
        if data["format"] != _FORMAT or data["version"] != _VERSION:
            raise InvalidInput(f"it is not version {_VERSION} of an {_FORMAT}")
        checked = [_checked(item) for item in data["messages"]]
        title, system, leaf = str(data["title"]), str(data["system"]), data["leaf"]
        _require_tree(checked)
    except InvalidInput:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidInput(f"it is no {_FORMAT}: {error!r}") from error
    return store.insert(title, system, checked, leaf if isinstance(leaf, int) else None)


def _checked(item: Any) -> StoredMessage:
    id_, parent = item["id"], item["parent"]
    if type(id_) is not int or not (parent is None or type(parent) is int):
        raise ValueError("a message's id is not a number")
    if not isinstance(item["text"], str) or not isinstance(item["facts"], dict):
        raise ValueError("a message has no text")
    role = Role(item["role"])
    if role not in _NAMES:
        raise ValueError(f"a message is by {role}")
    created = float(item["created"])
    return StoredMessage(id_, parent, role, item["text"], True, created, item["facts"])


def _require_tree(messages: Sequence[StoredMessage]) -> None:
    """Parents come before their children, and two messages in a row are by different people."""
    seen: dict[int, Role] = {}
    for message in messages:
        if message.id in seen or not (message.parent is None or message.parent in seen):
            raise ValueError(f"message {message.id} does not follow its parent")
        before = Role.ASSISTANT if message.parent is None else seen[message.parent]
        if message.role is before:
            raise ValueError(f"message {message.id} answers its own speaker")
        seen[message.id] = message.role


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
