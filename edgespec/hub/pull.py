"""Gets the files of models, several at a time, telling how far it is."""

from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread

from edgespec.errors import Cancelled, EdgespecError
from edgespec.hub.client import Hub
from edgespec.hub.fetch import Fetch, Job
from edgespec.hub.patience import KEPT
from edgespec.hub.progress import Progress, State

OnProgress = Callable[[Progress], None]

_AT_ONCE = 4
_GLANCE = 0.2
_GRACE = 1.0
"""Seconds that threads have to notice that they shall stop."""


def fetch_all(
    hub: Hub, jobs: Sequence[Job], models: Path, on_progress: OnProgress, stop: Event
) -> None:
    """Get all files of `jobs`, at most four at a time, begun in this order.

    `on_progress` is called on this thread. To end it early, set `stop`, on any thread; an exception
    from `on_progress` sets it, too. One file's failure does not keep the others from arriving; the
    first one is raised at the end: DownloadFailed, ModelUnavailable or Cancelled.
    """
    crew = _Crew(hub, jobs, models, stop)
    try:
        for job in jobs:
            on_progress(Progress(job.model, job.file.path, State.QUEUED, 0, job.file.size))
        crew.start()
        failures = crew.listen(on_progress)
    except BaseException:
        stop.set()
        raise
    if failures:
        raise failures[0]


class _Crew:
    """The threads that fetch, and what they have to tell."""

    def __init__(self, hub: Hub, jobs: Sequence[Job], models: Path, stop: Event) -> None:
        self._hub = hub
        self._models = models
        self._stop = stop
        self._work: SimpleQueue[Job] = SimpleQueue()
        self._news: SimpleQueue[Progress | Exception] = SimpleQueue()
        for job in jobs:
            self._work.put(job)
        # Daemons: a connection that is silent must not keep edgespec from ending.
        self._threads = [
            Thread(target=self._fetch_some, daemon=True) for _ in range(min(_AT_ONCE, len(jobs)))
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def listen(self, on_progress: OnProgress) -> list[Exception]:
        """Pass on what the threads tell until they are done, or were told to stop long enough ago.

        Returns the failures, the first one first.
        """
        failures: list[Exception] = []
        left = _GRACE
        while True:
            at_work = any(thread.is_alive() for thread in self._threads) and left > 0
            try:
                record = self._news.get(timeout=_GLANCE if at_work else 0)
            except Empty:
                if not at_work:
                    break
                left -= _GLANCE if self._stop.is_set() else 0
                continue
            if isinstance(record, Exception):
                failures.append(record)
            else:
                on_progress(record)
        if left <= 0:
            failures.append(Cancelled("stopped", KEPT))
        return failures

    def _fetch_some(self) -> None:
        while True:
            try:
                job = self._work.get_nowait()
            except Empty:
                return
            self._fetch(job)

    def _fetch(self, job: Job) -> None:
        done = 0

        def tell(state: State, size: int, note: str = "") -> None:
            nonlocal done
            done = size
            record = Progress(job.model, job.file.path, state, size, job.file.size, note)
            self._news.put(record)

        try:
            source = self._hub.source(job.repository, job.commit, job.file)
            Fetch(self._hub, source, job, self._models, tell, self._stop).run()
        except Exception as error:
            # A thread has nobody above it: what it did not foresee is raised by `listen`, too.
            tell(State.FAILED, done, error.what if isinstance(error, EdgespecError) else str(error))
            self._news.put(error)
