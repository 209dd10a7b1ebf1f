"""The pair at work, which can be exchanged while one chats."""

from collections.abc import Callable

from edgespec import paths
from edgespec.catalog import Pair
from edgespec.chat import ChatFormat
from edgespec.config import Settings
from edgespec.engine import Engine
from edgespec.keeping import Keeper
from edgespec.matchmaking import best_pair
from edgespec.snapshots import SnapshotStore


class Loaded:
    """The pair that `settings` name, with snapshots if they shall be `kept`.

    It is loaded, by `load`, when it is needed first, and again after another one did not load.
    """

    def __init__(
        self, load: Callable[[Settings], Engine], settings: Settings, *, kept: bool
    ) -> None:
        self._load = load
        self._settings = settings
        self._kept = kept
        self._engine: Engine | None = None
        self.name = ""
        self.form: ChatFormat
        self.keeper: Keeper

    @property
    def engine(self) -> Engine:
        """What answers; `name`, `form` and `keeper` are its. Raises EdgespecError."""
        return self._engine or self._bring(self._settings)

    def exchange(self, settings: Settings) -> None:
        """Load what `settings` name in its place. Raises EdgespecError."""
        _pair(settings)  # What is not there at all shall not cost the pair that is.
        self.close()
        self._bring(settings)
        self._settings = settings

    def close(self) -> None:
        """Let go of it."""
        engine, self._engine = self._engine, None
        if engine:
            engine.close()

    def _bring(self, settings: Settings) -> Engine:
        engine = self._load(settings)
        limit = settings.snapshots << 20 if self._kept else 0
        self.name = _pair(settings).name
        self.form = ChatFormat.of(engine.target)
        self.keeper = Keeper(SnapshotStore(paths.cache_dir() / "snapshots", limit))
        self._engine = engine
        return engine


def _pair(settings: Settings) -> Pair:
    return best_pair(settings.model or None, settings.drafter or None, speculate=settings.speculate)
