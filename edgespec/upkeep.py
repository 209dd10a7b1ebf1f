"""What is done when nobody waits: begun a while after an answer, broken off for the next."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from threading import Lock, Timer

from edgespec.drafting import DraftThread
from edgespec.rebalancing import Rebalancer

_DELAY = 1.0
"""Seconds in which whoever asks again finds everything at rest."""


class Upkeep:
    """Lets `rebalancer`, if there is one, look again on the target's `thread` between answers.

    It does so inside of `claim`, and moves the `drafter`, too. Whoever wants the thread asks inside
    of `put_off`.
    """

    def __init__(
        self,
        thread: ThreadPoolExecutor,
        rebalancer: Rebalancer | None,
        drafter: DraftThread | None,
        claim: Callable[[], AbstractContextManager[object]],
    ) -> None:
        self._thread = thread
        self._rebalancer = rebalancer
        self._drafter = drafter
        self._claim = claim
        self._lock = Lock()
        self._timer: Timer | None = None
        self._job: Future[None] | None = None
        self._closed = False
        self._note = ""

    @contextmanager
    def put_off(self) -> Iterator[None]:
        """Nothing is done inside; what is under way is broken off first."""
        if self._rebalancer is None:
            yield
            return
        self._stop(self._rebalancer)
        try:
            yield
        finally:
            self._wait(self._rebalancer)

    def catch_up(self) -> None:
        """Do at once what is due."""
        if self._rebalancer and self._rebalancer.due():
            self._rebalancer.resume()
            self._thread.submit(self._look, self._rebalancer).result()

    def take_note(self) -> str:
        """What was done, once."""
        note, self._note = self._note, ""
        return note

    def close(self) -> None:
        """Do nothing any more. Idempotent."""
        self._closed = True
        if self._rebalancer:
            self._stop(self._rebalancer)

    def _wait(self, rebalancer: Rebalancer) -> None:
        """Begin after a while, if there is something to do."""
        with self._lock:
            if self._closed or self._timer or self._job or not rebalancer.due():
                return
            rebalancer.resume()
            self._timer = Timer(_DELAY, self._begin, (rebalancer,))
            self._timer.daemon = True
            self._timer.start()

    def _begin(self, rebalancer: Rebalancer) -> None:
        with self._lock:
            if self._timer is None:
                return
            self._timer = None
            with suppress(RuntimeError):  # The process is ending.
                self._job = self._thread.submit(self._look, rebalancer)

    def _stop(self, rebalancer: Rebalancer) -> None:
        with self._lock:
            if self._timer:
                self._timer.cancel()
            job, self._timer, self._job = self._job, None, None
            rebalancer.stop()
        if job and not job.cancel():
            job.result()

    def _look(self, rebalancer: Rebalancer) -> None:
        with self._claim():
            note = rebalancer.look()
        if note:
            self._note = note
            if self._drafter and self._drafter.usable:
                with self._drafter.resting() as drafter:
                    rebalancer.move(drafter.context)
