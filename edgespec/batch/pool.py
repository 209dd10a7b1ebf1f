"""Several workers as one executor: they share a queue, and what one leaves undone others do."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from queue import Empty, SimpleQueue
from threading import Condition, Thread
from typing import Protocol

from edgespec.batch.replica import Facts, Report
from edgespec.batch.tasks import Load, Outcome, Task
from edgespec.errors import BackendError, EdgespecError

_MOMENT = 0.25
_AHEAD = 2
"""Tasks that a worker holds, per answer at a time: what waits there cannot go to another one."""


class WorkerLost(EdgespecError):
    """A worker is gone with all that it was doing."""


class Worker(Protocol):
    """A replica at work elsewhere; `name` is for people."""

    name: str

    def facts(self) -> Facts:
        """What it is, as soon as it has loaded. Raises EdgespecError if that failed."""

    def work(self, tasks: Sequence[Task]) -> Report:
        """Hand over tasks; what was finished next. Raises WorkerLost or BackendError."""

    def close(self, *, at_once: bool) -> None:
        """End it. Idempotent; from any thread."""


class _Crew:
    """One worker and what it has in hand; the pool's monitor guards it."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.room = _AHEAD * worker.facts().width
        self.held: dict[tuple[int, int], Task] = {}
        self.load = Load()
        self.lost = False


class Pool:
    """Hands tasks to workers and collects their outcomes; see Executor.

    Tasks of a worker that is lost go to the others: `tell` is called with a note. An outcome that
    it did not deliver any more is produced again, and is the same.
    """

    def __init__(self, workers: Sequence[Worker], tell: Callable[[str], None]) -> None:
        self._crews = [_Crew(worker) for worker in workers]
        self._tell = tell
        self._waiting: deque[Task] = deque()
        self._monitor = Condition()
        self._arrived: SimpleQueue[Outcome | EdgespecError | None] = SimpleQueue()
        self._stopped = False
        self._threads = [
            Thread(target=self._drive, args=(crew,), name=f"edgespec-{crew.worker.name}")
            for crew in self._crews
        ]
        for thread in self._threads:
            thread.start()

    @property
    def width(self) -> int:
        """Of all workers."""
        return sum(crew.room // _AHEAD for crew in self._live)

    @property
    def load(self) -> Load:
        """Of all workers; they rest if all that have something to do are resting."""
        loads = [crew.load for crew in self._crews]
        resting = [crew.load.resting for crew in self._live if crew.held]
        return Load(
            sum(load.active for load in loads),
            sum(load.tokens for load in loads),
            sum(load.drafted for load in loads),
            sum(load.accepted for load in loads),
            sum(load.steps for load in loads),
            resting[0] if resting and all(resting) else "",
            next((load.note for load in loads if load.note), ""),
        )

    @property
    def wants(self) -> bool:
        """Enough for every worker, and some to choose from."""
        with self._monitor:
            held = sum(len(crew.held) for crew in self._live)
            room = sum(crew.room for crew in self._live)
            return len(self._waiting) + held < room + len(self._crews)

    def submit(self, task: Task) -> None:
        """Queue a task."""
        with self._monitor:
            self._waiting.append(task)
            self._monitor.notify_all()

    def next(self) -> Outcome | None:
        """What some worker finished next. Raises BackendError if all workers are lost."""
        try:
            arrived = self._arrived.get(timeout=_MOMENT)
        except Empty:
            return None
        if not isinstance(arrived, EdgespecError):
            return arrived
        if self._stopped:
            return None
        if not self._live:
            hint = arrived.hint or "the same command goes on from there"
            raise BackendError(f"the last worker is lost: {arrived.what}", hint)
        left = f"{len(self._live)} of {len(self._crews)} workers go on"
        self._tell(f"{arrived.what}; its rows are answered by the others, {left}")
        return None

    def stop(self) -> None:
        """Give up all tasks."""
        # No lock is taken: a signal handler may have interrupted whoever holds it.
        self._stopped = True
        self._arrived.put(None)

    def close(self) -> None:
        """End all workers, at once if something is still in work."""
        at_once = any(crew.held for crew in self._crews)
        self._stopped = True
        with self._monitor:
            self._monitor.notify_all()
        if not at_once:
            self._join()
        for crew in self._crews:
            crew.worker.close(at_once=at_once)
        self._join()

    @property
    def _live(self) -> list[_Crew]:
        return [crew for crew in self._crews if not crew.lost]

    def _join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _drive(self, crew: _Crew) -> None:
        """Keep one worker busy until it is lost or all is over."""
        try:
            while not self._stopped:
                tasks = self._take(crew)
                if crew.held:
                    self._report(crew, crew.worker.work(tasks))
        except EdgespecError as error:
            self._lose(crew, error)

    def _take(self, crew: _Crew) -> list[Task]:
        """Tasks to hand to the worker; waits for some if it has nothing to do."""
        with self._monitor:
            if not (self._waiting or crew.held):
                self._monitor.wait(_MOMENT)
            count = min(len(self._waiting), crew.room - len(crew.held))
            tasks = [self._waiting.popleft() for _ in range(count)]
            crew.held |= {(task.row, task.sample): task for task in tasks}
            return tasks

    def _report(self, crew: _Crew, report: Report) -> None:
        crew.load = report.load
        if report.outcome is not None:
            task = report.outcome.task
            with self._monitor:
                del crew.held[task.row, task.sample]
            self._arrived.put(report.outcome)

    def _lose(self, crew: _Crew, error: EdgespecError) -> None:
        with self._monitor:
            crew.lost = True
            crew.load = replace(crew.load, active=0, resting="")
            self._waiting.extendleft(reversed(crew.held.values()))
            crew.held = {}
            self._monitor.notify_all()
        self._arrived.put(error)
