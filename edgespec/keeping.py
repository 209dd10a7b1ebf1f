"""What keeps a conversation's caches between sessions, so that its next answer begins at once."""

from edgespec.engine import Engine
from edgespec.snapshots import SnapshotStore

_WORTH_IT = 256
"""Tokens below which decoding again is as good."""


class Keeper:
    """Snapshots of an engine's caches, one for each conversation. It only ever saves time."""

    def __init__(self, store: SnapshotStore) -> None:
        self._store = store
        self._kept: dict[str, int] = {}

    def fetch(self, engine: Engine, name: str, prompt: tuple[int, ...]) -> None:
        """Let the engine hold what was kept of a conversation, if that is more than it holds."""
        if len(prompt) < _WORTH_IT or not self._store.limit:
            return
        held = engine.shared(prompt)
        if len(prompt) - held < _WORTH_IT:
            return
        snapshot = self._store.load(name, engine.fingerprint)
        if snapshot and snapshot.shared(prompt) >= held + _WORTH_IT:
            engine.adopt(snapshot)

    def keep(self, engine: Engine, name: str, length: int) -> None:
        """Keep what the engine holds of a conversation of `length` tokens, if it has grown."""
        if not self._store.limit or length - self._kept.get(name, 0) < _WORTH_IT:
            return
        snapshot = engine.snapshot(self._store.limit // 2)
        if snapshot:
            self._kept[name] = len(snapshot.tokens)
            self._store.save(name, engine.fingerprint, snapshot)
