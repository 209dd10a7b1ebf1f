"""Sessions: which process has which conversation open, so that a crash loses nothing."""

import os

import psutil

from edgespec.store.records import Crashed
from edgespec.store.store import Store


class Session:
    """One process at the store. What it says about itself outlives it unless it says goodbye."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._key = os.getpid(), _begun(os.getpid()) or 0.0
        self.crashed = self._find_crashed()
        """The newest session that ended without a goodbye, None if there is none."""
        self._store.execute(
            "INSERT OR REPLACE INTO session (pid, started) VALUES (?, ?)", self._key
        )

    def remember(self, conversation: int | None, draft: str) -> None:
        """What to come back to after a crash: a conversation and a message not yet sent."""
        self._store.execute(
            "UPDATE session SET conversation = ?, draft = ? WHERE pid = ? AND started = ?",
            (conversation, draft.encode("utf-8", "replace").decode(), *self._key),
        )

    def goodbye(self) -> None:
        """The session ends as it should."""
        self._store.execute("DELETE FROM session WHERE pid = ? AND started = ?", self._key)

    def _find_crashed(self) -> Crashed | None:
        rows = self._store.execute(
            "SELECT pid, started, conversation, draft FROM session ORDER BY rowid DESC"
        ).fetchall()
        dead = [row for row in rows if not _alive(row[0], row[1])]
        for pid, started, _, _ in dead:
            self._store.execute("DELETE FROM session WHERE pid = ? AND started = ?", (pid, started))
        return next((Crashed(row[2], row[3]) for row in dead if row[2] is not None or row[3]), None)


def _alive(pid: int, started: float) -> bool:
    """Whether that process runs, not a later one with the same number."""
    begun = _begun(pid)
    return begun is not None and abs(begun - started) < 1


def _begun(pid: int) -> float | None:
    """When a process began, None if it does not run: also of all others where there is no /proc.

    One that was killed but that nobody has asked for, as happens in containers, is dead, too.
    """
    try:
        process = psutil.Process(pid)
        dead = process.status() == psutil.STATUS_ZOMBIE
        return None if dead else process.create_time()
    except (psutil.Error, OSError):
        return None
