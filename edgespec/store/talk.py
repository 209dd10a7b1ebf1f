"""The talk at hand: one stored conversation, the path shown, and the answer being written."""

from collections.abc import Mapping
from typing import Any

from edgespec.messages import Message, Role
from edgespec.store.records import StoredMessage
from edgespec.store.store import Store
from edgespec.store.tree import MessageTree

_TITLE = 60


class Talk:
    """A conversation that is in the store from its first message on.

    `answer` is the message being written, if any; `write` adds to it in memory and `save` on disk.
    """

    def __init__(self, store: Store, id_: int | None = None, system: str = "") -> None:
        self._store = store
        self.id = id_
        self.title = store.title(id_) if id_ is not None else ""
        self.system = store.system(id_) if id_ is not None else system
        self.tree = store.load(id_) if id_ is not None else MessageTree()
        self.answer: StoredMessage | None = None
        for message in [message for message in self.tree if not message.done]:
            # Whoever wrote it was killed.
            self._update(message, done=True, facts={**message.facts, "reason": "stopped"})
        self._unsaved: list[str] = []
        self._left_out: set[int] = set()

    def path(self) -> list[StoredMessage]:
        """The messages shown, the first one first."""
        return self.tree.path()

    def ask(self, text: str) -> StoredMessage:
        """Add what the user says next: beside a question that was never answered, not behind it."""
        path = self.tree.path()
        unanswered = bool(path) and path[-1].role is Role.USER
        return self.say(text, path[-1].parent if unanswered else self.tree.leaf)

    def say(self, text: str, parent: int | None) -> StoredMessage:
        """Add what the user said behind `parent`."""
        if self.id is None:
            self.title = _title(text)
            self.id = self._store.create(self.title, self.system)
        return self._add(parent, Role.USER, text)

    def begin(self, question: int, facts: Mapping[str, Any]) -> StoredMessage:
        """Begin an answer to the user's message `question`."""
        self.answer = self._add(question, Role.ASSISTANT, "", done=False, facts=facts)
        return self.answer

    def resume(self, answer: StoredMessage) -> None:
        """Go on writing an answer that was stopped or cut off."""
        self.answer = self._update(answer, done=False)

    def write(self, piece: str) -> None:
        """Add to the answer; `save` keeps it."""
        self._unsaved.append(piece)

    def save(self) -> None:
        """Bring what was written onto the disk."""
        if self.answer and self._unsaved:
            text = self.answer.text + "".join(self._unsaved)
            self._unsaved.clear()
            self.answer = self._update(self.answer, text=text)

    def end(self, facts: Mapping[str, Any]) -> StoredMessage:
        """The answer is complete, or will not be."""
        self.save()
        assert self.answer is not None
        done = self._update(self.answer, done=True, facts={**self.answer.facts, **facts})
        self.answer = None
        return done

    def step(self, message: int, by: int) -> int | None:
        """Show the sibling `by` places on; its id, None if there is none."""
        moved = self.tree.step(message, by)
        if moved is not None and self.id is not None:
            self._store.set_leaf(self.id, self.tree.leaf)
        return moved

    def rename(self, title: str) -> None:
        """Give the conversation another title."""
        self.title = title
        if self.id is not None:
            self._store.rename(self.id, title)

    def set_system(self, text: str) -> None:
        """Change the system message, for the answers to come."""
        self.system = text
        if self.id is not None:
            self._store.set_system(self.id, text)

    def prompt(self, question: int) -> tuple[Message, ...]:
        """What a model is told that shall answer the user's message `question`."""
        path = self.tree.path_to(question)
        told = [stored.message for stored in path if stored.id not in self._left_out]
        return (*([Message(Role.SYSTEM, self.system)] if self.system else []), *told)

    def leave_out(self, question: int, kept: int) -> None:
        """From now on, prompts have only the last `kept` of the messages up to `question`.

        Else every prompt would begin elsewhere than the one before, and nothing that the model's
        cache holds would be of use.
        """
        before = self.tree.path_to(question)
        self._left_out |= {stored.id for stored in before[: len(before) - kept]}

    def _add(self, parent: int | None, role: Role, text: str, **more: Any) -> StoredMessage:
        assert self.id is not None
        message = self._store.add(self.id, parent, role, text, **more)
        self.tree.add(message)
        return message

    def _update(self, message: StoredMessage, **changes: Any) -> StoredMessage:
        new = self._store.write(message, **changes)
        self.tree.replace(new)
        return new


def _title(text: str) -> str:
    begin, _, _ = text.strip().partition("\n\n")  # Files that go with a message come behind it.
    line = " ".join(begin[: 4 * _TITLE].split())
    return line if len(line) <= _TITLE else line[: _TITLE - 1].rstrip() + "…"
