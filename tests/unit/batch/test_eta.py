"""The time left, on a simulated machine: answers of all lengths, and a tail that is half empty."""

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from edgespec.batch.progress import Progress
from edgespec.batch.tasks import Answered, Load, Outcome, Task
from edgespec.events import FinishReason
from tests.unit.batch.harness import STATS, Bench, EveryText, FakeExecutor

ROWS, WIDTH = 600, 8


class Machine(FakeExecutor):
    """Answers eight at a time, the longest expected first; a step takes time for each of them.

    A prompt takes a step for every 40 bytes; an answer has four tokens for every byte of its row,
    give or take half.
    """

    def __init__(self, lengths: list[int]) -> None:
        super().__init__()
        self.now = 0.0
        self._lengths = lengths
        self._live: dict[int, int] = {}
        self._known: dict[int, Task] = {}
        self._tokens = 0

    @property
    def load(self) -> Load:
        """Every token so far."""
        return Load(active=len(self._live), tokens=self._tokens)

    @property
    def wants(self) -> bool:
        """Enough to choose from."""
        return len(self._tasks) < 4 * WIDTH

    def next(self) -> Outcome | None:
        """Steps until something is finished."""
        while True:
            while len(self._live) < WIDTH and self._tasks:
                task = max(self._tasks, key=lambda task: task.expected)
                self._tasks.remove(task)
                self._known[task.row] = task
                self._live[task.row] = self._lengths[task.row]
                self.now += self._lengths[task.row] / 160
            self.now += 1 + len(self._live) / 4
            self._tokens += len(self._live)
            self._live = {row: left - 1 for row, left in self._live.items()}
            done = next((row for row, left in self._live.items() if left <= 0), None)
            if done is not None:
                del self._live[done]
                stats = replace(STATS, tokens=self._lengths[done])
                return Answered(self._known.pop(done), "x", FinishReason.EOG, stats)


@pytest.mark.parametrize("spread", [1.0, 30.0])
def test_from_a_tenth_on_the_end_is_known_to_an_eighth(tmp_path: Path, spread: float) -> None:
    random = Random(0)
    sizes = [round(20 * spread ** random.random()) for _ in range(ROWS)]
    bench = Bench(tmp_path, ['{"prompt": "' + "a" * size + '"}' for size in sizes])
    bench.preparer = EveryText()
    machine = Machine([max(round(4 * size * random.uniform(0.5, 1.5)), 1) for size in sizes])
    bench.clock = lambda: machine.now
    seen: list[Progress] = []
    bench.run(machine, on_progress=lambda now, _: seen.append(now))
    total = machine.now
    for now in seen:
        if now.done >= ROWS // 10:
            assert now.eta is not None
            assert now.seconds + now.eta == pytest.approx(total, rel=0.12)
