"""Workers in processes on this machine, each with a model of its own near its processors."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

from edgespec.batch.pool import WorkerLost
from edgespec.batch.replica import Facts, Replica, Report, Setup
from edgespec.batch.tasks import Task
from edgespec.errors import EdgespecError

_GRACE = 10.0
"""Seconds for a worker to free its memory, before that is left to the system."""
_MOMENT = 0.2


class ProcessWorker:
    """A worker in a process that ends with this one, however this one ends; see Worker."""

    def __init__(self, setup: Setup, name: str, check: Callable[[], None]) -> None:
        self.name = name
        self._check = check
        self._facts: Facts | None = None
        self._pipe, theirs = get_context("spawn").Pipe()
        self._process = get_context("spawn").Process(
            target=_main, args=(theirs, setup), name=name, daemon=True
        )
        with _uninterrupted():
            self._process.start()
        theirs.close()

    def facts(self) -> Facts:
        """What it is, as soon as it has loaded; calls `check` meanwhile."""
        if self._facts is None:
            while self._process.is_alive() and not self._pipe.poll(_MOMENT):
                self._check()
            facts = self._received()
            assert isinstance(facts, Facts)
            self._facts = facts
        return self._facts

    def work(self, tasks: Sequence[Task]) -> Report:
        """Hand over tasks; what was finished next."""
        with suppress(OSError):  # What is wrong is found out below.
            self._pipe.send(tasks)
        report = self._received()
        assert isinstance(report, Report)
        return report

    def close(self, *, at_once: bool) -> None:
        """End the process."""
        with suppress(OSError):
            if not at_once:
                self._pipe.send(None)
                self._process.join(_GRACE)
        self._process.kill()
        self._process.join()

    def _received(self) -> object:
        try:
            answer = self._pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            code = self._process.exitcode or 0
            how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
            raise WorkerLost(f"{self.name} has ended ({how})") from None
        if isinstance(answer, EdgespecError):
            raise answer
        return answer


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """In here, processes are started that Ctrl+C does not reach: it is this one's to end them."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _main(pipe: "Connection[Any, Any]", setup: Setup) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    inbox: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_listen, args=(pipe, inbox), daemon=True).start()
    try:
        replica = Replica(setup)
        pipe.send(replica.facts())
        while (tasks := inbox.get()) is not None:
            pipe.send(replica.work(tasks))
        replica.close()
    except EdgespecError as error:
        pipe.send(error)


def _listen(pipe: "Connection[Any, Any]", inbox: SimpleQueue[Any]) -> None:
    """Take messages on; end the process together with the one that sends them."""
    while True:
        try:
            message = pipe.recv()
        except (EOFError, OSError):
            os._exit(1)
        inbox.put(message)
