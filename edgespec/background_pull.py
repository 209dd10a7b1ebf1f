"""A model being pulled from the Hub beside a chat."""

from threading import Event, Thread
from typing import TYPE_CHECKING

from edgespec.cli.diagnostics import logged
from edgespec.errors import Cancelled, EdgespecError

if TYPE_CHECKING:
    from edgespec.hub.client import Hub
    from edgespec.hub.progress import Progress
    from edgespec.pulling import Plan


class Pulling:
    """Gets the model `name` and its drafter, on a thread, from `hub` or else the user's.

    `plan` is there once everything is chosen; from then on `done` of `total` bytes are here, and
    `trouble` tells what is waited for. In the end `outcome` is the installed model's name, why
    there is none, or nothing if `stop` came first; what was fetched until then is kept.
    """

    def __init__(self, name: str, hub: "Hub | None" = None) -> None:
        self.name = name
        self.plan: Plan | None = None
        self.note = "looking"
        self.trouble = ""
        self.outcome: str | EdgespecError | None = None
        self._hub = hub
        self._files: dict[tuple[str, str], int] = {}
        self._stop = Event()
        self._thread = Thread(target=self._run, name="edgespec-pull", daemon=True)
        self._thread.start()

    @property
    def total(self) -> int:
        """Bytes that will be here."""
        return sum(chosen.model.size for chosen in self.plan.models) if self.plan else 0

    @property
    def done(self) -> int:
        """Bytes that are here."""
        return sum(self._files.values())

    @property
    def over(self) -> bool:
        """True once nothing more will change."""
        return not self._thread.is_alive()

    @property
    def told(self) -> str:
        """What became of it, for people. Raises EdgespecError if it failed."""
        if isinstance(self.outcome, EdgespecError):
            raise self.outcome
        if self.outcome:
            return f"{self.outcome} is here; /model {self.outcome} loads it"
        return "the pull was stopped; /pull goes on from there"

    def stop(self) -> None:
        """End it soon."""
        self._stop.set()

    def join(self, timeout: float) -> None:
        """Wait for the end."""
        self._thread.join(timeout)

    def _run(self) -> None:
        try:
            self.outcome = self._pull()
        except Cancelled:
            pass
        except EdgespecError as error:
            self.outcome = error
        except Exception as error:
            self.outcome = logged(error)

    def _pull(self) -> str:
        # Not at the top: the Hub's client would delay the first picture.
        from edgespec.pulling import PullOptions, pull

        installed = pull(
            self.name, PullOptions(), self._plan, self._take, self._stop, hub=self._hub
        )
        return self.name if not self.name.startswith("hf:") else installed[-1].name

    def _plan(self, plan: "Plan") -> None:
        self.plan = plan

    def _take(self, progress: "Progress") -> None:
        self._files = {**self._files, (progress.model, progress.file): progress.done}
        self.trouble = progress.note
        self.note = progress.note or f"{progress.state.value} {progress.file}"
