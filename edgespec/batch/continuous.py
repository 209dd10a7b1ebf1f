"""The executor that saturates the machine: a batcher on the target's own thread."""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from queue import Empty, SimpleQueue
from threading import Condition

from edgespec.batch.batcher import Batcher
from edgespec.batch.manners import Manners
from edgespec.batch.tasks import Load, Outcome, Task
from edgespec.errors import Aborted
from edgespec.protocols import Context
from edgespec.rebalancing import Rebalancer

_MOMENT = 0.25
"""Seconds to wait for an outcome before there is a look at anything else."""
_AHEAD = 4
"""Tasks to choose from, per answer at a time."""


class ContinuousExecutor:
    """Feeds a batcher from another thread, the only one that decodes; see Executor.

    Two threads that decode would each have an OpenMP team, and the teams would wait for each
    other. It rests between steps where `manners` ask for it; a long step is broken off. Between two
    steps `rebalancer` looks where they are fastest now.
    """

    def __init__(
        self,
        batcher: Batcher,
        width: int,
        thread: ThreadPoolExecutor,
        context: Context,
        manners: Manners,
        rebalancer: Rebalancer | None = None,
    ) -> None:
        self._batcher = batcher
        self.width = width
        self._context = context
        self._manners = manners
        self._rebalancer = rebalancer
        self._note = ""
        if rebalancer:
            rebalancer.resume()
        self._inbox: deque[Task] = deque()
        self._outcomes: SimpleQueue[Outcome | None] = SimpleQueue()
        self._monitor = Condition()
        self._waiting = 0
        self._stopped = False
        self._job: Future[None] = thread.submit(self._work)

    @property
    def load(self) -> Load:
        """What goes on."""
        load = replace(self._batcher.load, resting=self._manners.resting)
        return replace(load, note=load.note or self._note)

    @property
    def wants(self) -> bool:
        """Enough for the batcher to choose the longest of."""
        return self._waiting < (_AHEAD + 1) * self.width

    def submit(self, task: Task) -> None:
        """Hand over a task."""
        with self._monitor:
            self._waiting += 1
            self._inbox.append(task)
            self._monitor.notify()

    def next(self) -> Outcome | None:
        """What was finished next."""
        try:
            outcome = self._outcomes.get(timeout=_MOMENT)
        except Empty:
            if self._manners.reason and not self._manners.resting:
                self._context.abort()
            return None
        if outcome is None:  # The thread has ended.
            self._job.result()
            return None
        self._waiting -= 1
        return outcome

    def stop(self) -> None:
        """Stop the decode under way and end the thread's work."""
        # No lock is taken: a signal handler may have interrupted whoever holds it.
        self._stopped = True
        self._context.abort()
        if self._rebalancer:
            self._rebalancer.stop()

    def close(self) -> None:
        """Return when the thread is done with the context. Idempotent."""
        self.stop()
        with self._monitor:
            self._monitor.notify()
        self._job.exception()

    def _work(self) -> None:
        try:
            while not self._stopped:
                self._manners.rest(lambda: self._stopped)
                self._take()
                self._look_again()
                self._step()
        finally:
            self._outcomes.put(None)

    def _look_again(self) -> None:
        """Between two steps, when nobody waits, see where the next ones are fastest, if need be."""
        if self._rebalancer and self._rebalancer.due():
            self._note = self._rebalancer.look() or self._note

    def _step(self) -> None:
        try:
            for outcome in self._batcher.step():
                self._outcomes.put(outcome)
        except Aborted:
            # If it was to stop for good, that was said before: the loop ends all the same.
            self._context.resume()

    def _take(self) -> None:
        """Hand new tasks to the batcher; wait for one if there is nothing to do."""
        with self._monitor:
            while not (self._inbox or self._batcher.busy or self._stopped):
                self._monitor.wait(0.5)
            while self._inbox:
                self._batcher.add(self._inbox.popleft())
