"""The store: every conversation in one SQLite file, written as it happens."""

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from edgespec import own_files
from edgespec.errors import EdgespecError, InvalidInput
from edgespec.messages import Role
from edgespec.store.records import StoredMessage, Summary
from edgespec.store.schema import migrate
from edgespec.store.search import find
from edgespec.store.tree import MessageTree

_MEMORY = ":memory:"
_WAIT = 5.0
"""Seconds to wait for another process that writes."""
_TELLING = 20
"""Tokens from which on an answer's speed says something."""
_ROLES = {role.value: role for role in Role}
_NOTHING = "{}"
_KEPT = 7 * 24 * 3600.0
"""Seconds for which a deleted conversation can still be restored."""


class Store:
    """Conversations that survive whatever happens to the process.

    Every method is one transaction. To be used by one thread; any number of processes can have the
    same file open. All methods raise EdgespecError if the disk or the file lets them down.
    """

    def __init__(self, file: Path, clock: Callable[[], float] = time.time) -> None:
        self._file = file
        self._clock = clock
        with self._reported():
            if str(file) != _MEMORY:
                own_files.make_folder(file.parent)
                own_files.make_private(file)
            self._connection = sqlite3.connect(file, timeout=_WAIT, isolation_level=None)
        try:
            with self._reported():
                self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._connection.close()

    def create(self, title: str, system: str = "") -> int:
        """Begin a conversation; its id."""
        now = self._clock()
        return self._insert(
            "INSERT INTO conversation (title, system, created, updated) VALUES (?, ?, ?, ?)",
            (_text(title), _text(system), now, now),
        )

    def add(
        self,
        conversation: int,
        parent: int | None,
        role: Role,
        text: str,
        *,
        done: bool = True,
        facts: Mapping[str, Any] | None = None,
    ) -> StoredMessage:
        """Add a message behind `parent` and make it the conversation's leaf."""
        now = self._clock()
        values = conversation, parent, role.value, _text(text), done, now, json.dumps(facts or {})
        with self._transaction():
            id_ = self._insert(
                "INSERT INTO message (conversation, parent, role, text, done, created, facts)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                values,
            )
            self.set_leaf(conversation, id_)
        return StoredMessage(id_, parent, role, _text(text), done, now, facts or {})

    def insert(
        self, title: str, system: str, messages: Iterable[StoredMessage], leaf: int | None
    ) -> int:
        """Add a whole conversation, whose messages get ids of their own; its id."""
        ids: dict[int | None, int | None] = {None: None}
        with self._transaction():
            conversation = self.create(title, system)
            for message in messages:
                values = (
                    *(conversation, ids[message.parent], message.role.value, _text(message.text)),
                    *(message.created, json.dumps(dict(message.facts))),
                )
                ids[message.id] = self._insert(
                    "INSERT INTO message (conversation, parent, role, text, done, created, facts)"
                    " VALUES (?, ?, ?, ?, 1, ?, ?)",
                    values,
                )
            self.set_leaf(conversation, ids.get(leaf))
        return conversation

    def write(self, message: StoredMessage, **changes: Any) -> StoredMessage:
        """Save a new `text`, `done` or `facts` of a message; its new state."""
        new = replace(message, **changes)
        new = replace(new, text=_text(new.text))
        self.execute(
            "UPDATE message SET text = ?, done = ?, facts = ? WHERE id = ?",
            (new.text, new.done, json.dumps(dict(new.facts)), new.id),
        )
        return new

    def load(self, conversation: int) -> MessageTree:
        """The messages of a conversation."""
        leaf = self.execute(
            "SELECT leaf FROM conversation WHERE id = ?", (conversation,)
        ).fetchone()
        rows = self.execute(
            "SELECT id, parent, role, text, done, created, facts FROM message"
            " WHERE conversation = ? ORDER BY id",
            (conversation,),
        )
        return MessageTree(map(_message, rows), leaf[0] if leaf else None)

    def system(self, conversation: int) -> str:
        """A conversation's system message, empty if it has none."""
        row = self.execute(
            "SELECT system FROM conversation WHERE id = ?", (conversation,)
        ).fetchone()
        return str(row[0]) if row else ""

    def set_system(self, conversation: int, text: str) -> None:
        """Change a conversation's system message."""
        self.execute("UPDATE conversation SET system = ? WHERE id = ?", (_text(text), conversation))

    def set_leaf(self, conversation: int, leaf: int | None) -> None:
        """Remember which path of a conversation is shown, and that it was used now."""
        self.execute(
            "UPDATE conversation SET leaf = ?, updated = ? WHERE id = ?",
            (leaf, self._clock(), conversation),
        )

    def title(self, conversation: int) -> str:
        """A conversation's title."""
        row = self.execute(
            "SELECT title FROM conversation WHERE id = ?", (conversation,)
        ).fetchone()
        return str(row[0]) if row else ""

    def rename(self, conversation: int, title: str) -> None:
        """Change a conversation's title."""
        self.execute("UPDATE conversation SET title = ? WHERE id = ?", (_text(title), conversation))

    def delete(self, conversation: int) -> None:
        """Take a conversation off the list; `restore` brings it back for some days."""
        self.execute(
            "UPDATE conversation SET deleted = ? WHERE id = ?", (self._clock(), conversation)
        )

    def restore(self, conversation: int) -> None:
        """Undo `delete`."""
        self.execute("UPDATE conversation SET deleted = NULL WHERE id = ?", (conversation,))

    def last_deleted(self) -> int | None:
        """The conversation that was deleted last and can be restored."""
        row = self.execute(
            "SELECT id FROM conversation WHERE deleted NOT NULL ORDER BY deleted DESC LIMIT 1"
        ).fetchone()
        return int(row[0]) if row else None

    def said(self, limit: int) -> list[str]:
        """What the user said in all conversations, the newest first, without repetitions."""
        rows = self.execute(
            "SELECT text FROM message WHERE role = 'user' GROUP BY text"
            " ORDER BY max(id) DESC LIMIT ?",
            (limit,),
        )
        return [row[0] for row in rows]

    def speed(self, model: str) -> float | None:
        """Tokens per second of the last answer of a model that had some; None if none did."""
        row = self.execute(
            "SELECT json_extract(facts, '$.rate') AS rate FROM message"
            " WHERE json_extract(facts, '$.model') = ? AND rate NOT NULL"
            " AND json_extract(facts, '$.tokens') >= ? ORDER BY id DESC LIMIT 1",
            (model, _TELLING),
        ).fetchone()
        return float(row[0]) if row else None

    def summaries(self, query: str = "", limit: int = 1000) -> list[Summary]:
        """The conversations that have all words of `query`, the last used first."""
        with self._reported():
            return find(self._connection, query, limit)

    def execute(self, statement: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        """Run one statement, for the store's own rooms."""
        with self._reported():
            return self._connection.execute(statement, values)

    def _prepare(self) -> None:
        connection = self._connection
        connection.execute("PRAGMA foreign_keys = ON")
        migrate(connection)  # First: a file of a later edgespec stays as it is.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        # Not against a clock that was set back or forth by a lot: only what was deleted long ago.
        connection.execute("DELETE FROM conversation WHERE deleted < ?", (self._clock() - _KEPT,))

    def _insert(self, statement: str, values: tuple[Any, ...]) -> int:
        id_ = self.execute(statement, values).lastrowid
        assert id_ is not None
        return id_

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.execute("ROLLBACK")
            raise
        self.execute("COMMIT")

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except InvalidInput as error:
            raise InvalidInput(f"{self._file} cannot be used: {error.what}", error.hint) from error
        except (sqlite3.Error, OSError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise EdgespecError(
                f"{self._file} cannot be used: {reason}", "move it away or free some space"
            ) from error


def _message(row: tuple[Any, ...]) -> StoredMessage:
    id_, parent, role, text, done, created, facts = row
    known = json.loads(facts) if facts != _NOTHING else {}
    return StoredMessage(id_, parent, _ROLES[role], text, bool(done), created, known)


def _text(text: str) -> str:
    """What SQLite can keep: half a surrogate pair, as from a broken file name, is no text."""
    return text.encode("utf-8", "replace").decode("utf-8")
