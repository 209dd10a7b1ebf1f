"""Workers that share a queue, die and leave rows behind. They are threads' counterparts here."""

from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from threading import Event
from time import monotonic, sleep

import pytest

from edgespec.batch.manners import ON_BATTERY
from edgespec.batch.pool import Pool, WorkerLost
from edgespec.batch.replica import Facts, Report
from edgespec.batch.tasks import Answered, Load, Task
from edgespec.errors import BackendError
from edgespec.events import FinishReason, Request
from edgespec.sampling.params import SamplingParams
from tests.unit.batch.harness import STATS, Bench, EveryText, said

PATIENCE = 30.0


class FakeWorker:
    """Answers one task a call, and is lost after `calls` calls."""

    def __init__(self, name: str, calls: int = 1 << 30, seed: int = 0) -> None:
        self.name = name
        self.done: list[Task] = []
        self.closed: bool | None = None
        self.resting = ""
        self.given = 0
        self.gate = Event()
        self.gate.set()
        self._calls = calls
        self._held: deque[Task] = deque()
        self._random = Random(seed)

    def facts(self) -> Facts:
        """Two answers at a time."""
        return Facts("toy", 256, 2)

    def work(self, tasks: Sequence[Task]) -> Report:
        """Take them on; some task's answer, or none yet."""
        self.given += len(tasks)
        assert self.gate.wait(PATIENCE)
        self._held.extend(tasks)
        assert len(self._held) <= 4
        self._calls -= 1
        if self._calls < 0 or self.closed:
            raise WorkerLost(f"{self.name} has ended")
        load = Load(len(self._held), 2 * len(self.done), resting=self.resting)
        if self.resting or self._random.random() < 0.3:
            return Report(None, load)
        task = self._held.popleft()
        self.done.append(task)
        answered = Answered(task, said(task.request), FinishReason.EOG, STATS, mean_logprob=-1.0)
        return Report(answered, load)

    def close(self, *, at_once: bool) -> None:
        """Note how."""
        self.closed = self.closed or at_once


def tasks(count: int) -> Iterator[Task]:
    for row in range(count):
        yield Task(row, 0, Request((row + 1,), SamplingParams(seed=row)), 10.0)


def outcomes(pool: Pool, count: int) -> list[int]:
    """The rows of all outcomes, in the order in which they came."""
    left, found = tasks(count), list[int]()
    while len(found) < count:
        while pool.wants and (task := next(left, None)):
            pool.submit(task)
        if outcome := pool.next():
            found.append(outcome.task.row)
    return found


def test_no_worker_takes_more_than_its_share() -> None:
    workers = [FakeWorker("first"), FakeWorker("second")]
    for worker in workers:
        worker.gate.clear()
    pool = Pool(workers, pytest.fail)
    assert pool.width == 4
    for task in tasks(8):
        pool.submit(task)
    end = monotonic() + PATIENCE
    while [worker.given for worker in workers] != [4, 4]:
        assert monotonic() < end
        sleep(0.01)
    for worker in workers:
        worker.gate.set()
    found: list[int] = []
    while len(found) < 8:
        if outcome := pool.next():
            found.append(outcome.task.row)
    assert sorted(found) == list(range(8))
    pool.close()
    assert [worker.closed for worker in workers] == [False, False]


@pytest.mark.parametrize("calls", [0, 1, 7, 20])
def test_what_a_lost_worker_had_in_hand_is_done_by_others(calls: int) -> None:
    notes: list[str] = []
    pool = Pool([FakeWorker("first", calls), FakeWorker("second")], notes.append)
    assert sorted(outcomes(pool, 60)) == list(range(60))
    while not notes:
        pool.next()
    pool.close()
    assert notes == ["first has ended; its rows are answered by the others, 1 of 2 workers go on"]


def test_when_all_are_lost_it_ends() -> None:
    pool = Pool([FakeWorker("first", 3), FakeWorker("second", 5)], lambda note: None)
    with pytest.raises(BackendError, match=r"the last worker is lost: .* has ended"):
        outcomes(pool, 60)
    pool.close()


def test_a_batch_over_a_pool_is_that_of_one_process(tmp_path: Path) -> None:
    rows = [f'{{"id": {n}, "prompt": "a", "n": {1 + n % 3}}}' for n in range(40)]
    (tmp_path / "one").mkdir()
    alone = Bench(tmp_path / "one", rows)
    alone.preparer = EveryText()
    alone.run()
    (tmp_path / "pool").mkdir()
    shared = Bench(tmp_path / "pool", rows)
    shared.preparer = EveryText()
    pool = Pool([FakeWorker("first", 9), FakeWorker("second"), FakeWorker("third", 30)], print)
    shared.run(pool)
    pool.close()
    assert shared.lines() == alone.lines()


def test_stop_is_heard_while_workers_are_busy() -> None:
    worker = FakeWorker("first")
    worker.gate.clear()
    pool = Pool([worker], pytest.fail)
    pool.submit(next(tasks(1)))
    pool.stop()
    assert pool.next() is None
    worker.closed = True
    worker.gate.set()
    pool.close()


def test_it_rests_when_its_workers_do() -> None:
    worker = FakeWorker("first")
    worker.resting = ON_BATTERY
    pool = Pool([worker], pytest.fail)
    pool.submit(next(tasks(1)))
    while pool.load.resting != ON_BATTERY:
        assert pool.next() is None
    worker.resting = ""
    while pool.next() is None:
        pass
    assert pool.load.resting == ""
    pool.close()
