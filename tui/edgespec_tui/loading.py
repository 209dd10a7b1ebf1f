"""A pair being loaded beside the screen."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING

from edgespec import paths
from edgespec.cli.diagnostics import logged
from edgespec.config import Settings
from edgespec.errors import EdgespecError

if TYPE_CHECKING:
    from edgespec.catalog import Pair
    from edgespec.chat import ChatFormat
    from edgespec.engine import Engine
    from edgespec.keeping import Keeper


@dataclass(frozen=True, slots=True)
class Loaded:
    """A pair at work."""

    pair: "Pair"
    engine: "Engine"
    form: "ChatFormat"
    keeper: "Keeper"


class _Cancelled(Exception):
    """Nobody wants the pair any more."""


class Loading:
    """Loads the pair that `settings` name, on a thread, after `first`, which makes room for it.

    `what` and `fraction` say how far it is. In the end `outcome` is set: the pair, why there is
    none, or nothing if `cancel` came first.
    """

    def __init__(self, settings: Settings, first: Callable[[], None] = lambda: None) -> None:
        self.what = "starting"
        self.fraction = 0.0
        self.outcome: Loaded | EdgespecError | None = None
        self._settings = settings
        self._first = first
        self._cancelled = False
        self._thread = Thread(target=self._run, name="edgespec-load", daemon=True)
        self._thread.start()

    @property
    def over(self) -> bool:
        """True once nothing more will change."""
        return not self._thread.is_alive()

    def cancel(self) -> None:
        """Stop as soon as possible."""
        self._cancelled = True

    def join(self, timeout: float) -> bool:
        """Wait for the end; True if it came."""
        self._thread.join(timeout)
        return self.over

    def _run(self) -> None:
        try:
            self.outcome = self._load()
        except _Cancelled:
            pass
        except EdgespecError as error:
            self.outcome = error
        except Exception as error:
            self.outcome = logged(error)

    def _load(self) -> Loaded:
        # Not at the top: numpy and its friends would delay the first picture.
        from edgespec.chat import ChatFormat
        from edgespec.keeping import Keeper
        from edgespec.loading import LoadOptions, load
        from edgespec.matchmaking import best_pair
        from edgespec.placement.enumerate import Pins
        from edgespec.snapshots import SnapshotStore

        self._first()
        settings = self._settings
        pair = best_pair(
            settings.model or None, settings.drafter or None, speculate=settings.speculate
        )
        options = LoadOptions(
            n_ctx=settings.context,
            threads=settings.threads,
            draft_length=settings.draft_length,
            speculate=settings.speculate,
            pins=Pins(
                settings.device or None,
                settings.gpu_layers if settings.gpu_layers >= -1 else None,
                settings.drafter_device or None,
                settings.cpu_experts if settings.cpu_experts >= -1 else None,
                settings.cpus,
                settings.drafter_cpus,
            ),
            kv_type=settings.kv_type,
            attention=settings.attention,
        )
        engine = load(pair, options, self._report)
        if self._cancelled:
            engine.close()
            raise _Cancelled
        kept = SnapshotStore(paths.cache_dir() / "snapshots", settings.snapshots << 20)
        return Loaded(pair, engine, ChatFormat.of(engine.target), Keeper(kept))

    def _report(self, what: str, fraction: float) -> bool:
        self.what, self.fraction = what, fraction
        if self._cancelled:
            raise _Cancelled
        return True
