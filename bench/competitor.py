"""One core is kept busy by another process: does the balance find the processors that are free?

For each round, with the competitor and without: the time of a step on each single core, on both,
and on the processors that the balance chose. Run on an otherwise idle Linux machine.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, sleep

import machine
import report

from edgespec import balance, bandwidth, cpu_sets
from edgespec.balance import Balancer
from edgespec.protocols import Bindable, ContextOptions, ModelOptions, backend
from edgespec.topology import cpu_lists, detect
from edgespec.topology.records import first_cpus

SPIN = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])})\nwhile True: pass"


@contextmanager
def competitor(cpu: int) -> Iterator[None]:
    """A process that never rests on one processor."""
    process = subprocess.Popen([sys.executable, "-c", SPIN, str(cpu)])
    try:
        sleep(0.3)
        yield
    finally:
        process.kill()
        process.wait()


def step(context: Bindable, cpus: tuple[int, ...], repetitions: int) -> float:
    """Milliseconds of a single-token step on `cpus`, the median."""
    context.bind(cpus, cpus, cpus)
    times = []
    for _ in range(repetitions + 1):
        begin = perf_counter()
        context.decode([7], 0, outputs=1)
        context.logits(0)
        times.append(perf_counter() - begin)
        context.clear()
    return 1e3 * median(times[1:])


def look(context: Bindable, file: Path, repetitions: int) -> dict[str, object]:
    """The chosen processors, and what each set takes."""
    topology = detect.here()
    speeds = bandwidth.core_speeds(first_cpus(topology.usable))
    sets = cpu_sets.candidates(topology, speeds)
    chosen = balance.settle(Balancer(context, sets), file).single
    times = {cpu_lists.render(one.cpus): step(context, one.cpus, repetitions) for one in sets}
    found = step(context, chosen, repetitions)
    return {"chosen": cpu_lists.render(chosen), "ms": found, "times": times,
            "excess": found / min(times.values()) - 1, "speeds": speeds}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    nano = Path(__file__).resolve().parent.parent / "edgespec" / "nano" / "target-q8_0.gguf"
    parser.add_argument("--model", type=Path, default=nano)
    parser.add_argument("--cpu", type=int, default=min(os.sched_getaffinity(0)))
    parser.add_argument("--repetitions", type=int, default=30)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    facts = machine.describe()
    with ThreadPoolExecutor(1) as thread:
        found = thread.submit(rounds, options.model, options.cpu, options.repetitions).result()
    rows = [
        (name, one["chosen"], one["ms"], f"{one['excess']:.1%}", str(one["times"]))
        for name, one in found.items()
    ]
    print(machine.headline(facts))
    print(report.table(("round", "chosen", "ms", "over the best", "ms on each set"), rows))
    report.save(options.json, {"machine": facts, "rounds": found})


def rounds(model: Path, cpu: int, repetitions: int) -> dict[str, dict[str, object]]:
    """Alone, with the competitor, and after it left; on the one thread that decodes."""
    loaded = backend("llamacpp")(model, ModelOptions(1))
    context = loaded.context(ContextOptions(n_ctx=256, max_outputs=17))
    assert isinstance(context, Bindable)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "balance.json"
        found = {"alone": look(context, file, repetitions)}
        with competitor(cpu):
            file.unlink()  # As when the measured costs no longer agree.
            found["competitor"] = look(context, file, repetitions)
        found["after it left"] = look(context, file, repetitions)
    context.close()
    loaded.close()
    return found


if __name__ == "__main__":
    main()
