"""A batch of many rows and an engine that answers at once: what remains is edgespec's own work.

Seconds until the first row is answered, seconds to take the batch up again with all rows but one
done, rows per second in between, and the memory of the process from the 20,000th row to the last.
"""

import argparse
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import machine
import psutil
import report

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from edgespec.batch.progress import Progress
from edgespec.batch.run import Batch
from tests.unit.batch.harness import Bench, EveryText, FakeExecutor

MIB = 2**20


class Watch:
    """Notes when the first row is there, and the memory now and then; stops before the last."""

    def __init__(self, rows: int) -> None:
        self._last = rows - 1
        self.first = 0.0
        self.begin = perf_counter()
        self.memory: list[float] = []

    def __call__(self, now: Progress, batch: Batch) -> None:
        self.first = self.first or perf_counter() - self.begin
        if now.done // 20_000 > len(self.memory):
            self.memory.append(psutil.Process().memory_info().rss / MIB)
        if now.done == self._last:
            batch.stop()


def run(bench: Bench, rows: int) -> Watch:
    """The batch, up to the last row but one, or the last one alone."""
    executor, watch = FakeExecutor(width=32), Watch(rows)
    executor.on_next = executor.answered.clear
    bench.run(executor, watch)
    return watch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--bytes", type=int, default=600, help="of each row")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        bench = Bench(Path(folder), [])
        line = json.dumps({"prompt": "a" * options.bytes}).encode() + b"\n"
        bench.input.write_bytes(line * options.rows)
        bench.preparer = EveryText()
        begin = perf_counter()
        started = run(bench, options.rows)
        whole = perf_counter() - begin
        again = run(bench, options.rows)
        assert len(bench.lines()) == options.rows
    record = {
        "rows": options.rows,
        "first": started.first,
        "resume": again.first,
        "rows a second": options.rows / whole,
        "MiB": [round(memory) for memory in started.memory],
    }
    print(report.table(list(record), [[str(value) for value in record.values()]]))
    print(machine.headline(machine.describe()))
    report.save(options.json, record)


if __name__ == "__main__":
    main()
