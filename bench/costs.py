"""V(n), what one decode over n tokens costs, and with it where the stairs of this machine are.

Every size is visited in random order in each repetition, so that drift hits all alike. The first
decode of a visit pays for the change of size (libllama builds its graph anew), the others do not.
"""

import argparse
import random
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from threading import Thread
from time import perf_counter

import machine
import report

from edgespec.protocols import Context, ContextOptions, ModelOptions, backend


@dataclass(slots=True)
class Times:
    """Seconds of the decodes of one size."""

    changed: list[float] = field(default_factory=list)
    steady: list[float] = field(default_factory=list)


def measure(context: Context, sizes: list[int], depth: int, repetitions: int) -> dict[int, Times]:
    """Decode times by size, at `depth` tokens of context."""
    times = {size: Times() for size in sizes}
    for start in range(0, depth, context.n_batch):
        count = min(context.n_batch, depth - start)
        context.decode([index % context.n_vocab for index in range(count)], start, outputs=0)
    order = list(sizes)
    for _ in range(repetitions):
        random.shuffle(order)
        for size in order:
            times[size].changed.append(_decode(context, size, depth))
            times[size].steady.extend(_decode(context, size, depth) for _ in range(2))
    return times


def _decode(context: Context, size: int, depth: int) -> float:
    tokens = [random.randrange(context.n_vocab) for _ in range(size)]
    begin = perf_counter()
    context.decode(tokens, depth, outputs=size)
    seconds = perf_counter() - begin
    context.truncate(depth)
    return seconds


def costs(path: Path, threads: int, sizes: list[int], depth: int, repetitions: int) -> list[float]:
    """Print V(n) of a model as bars; returns the medians in milliseconds."""
    model = backend("llamacpp")(path, ModelOptions(threads))
    options = ContextOptions(n_ctx=depth + max(sizes), max_outputs=max(sizes))
    context = model.context(options)
    times = measure(context, sizes, depth, repetitions)
    steady = [1e3 * median(times[size].steady) for size in sizes]
    scale = 50 / max(steady)
    print(f"\n{path.name}, {threads} threads, {depth} tokens of context, milliseconds")
    print(" n  median    least  changed   V(n)/V(1)")
    for size, value in zip(sizes, steady, strict=True):
        least, changed = 1e3 * min(times[size].steady), 1e3 * median(times[size].changed)
        bar = "█" * round(value * scale)
        print(
            f"{size:2} {value:7.2f}  {least:7.2f}  {changed:7.2f}  {value / steady[0]:9.2f}   {bar}"
        )
    context.close()
    model.close()
    return steady


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--drafter", type=Path)
    parser.add_argument("--threads", type=int, default=machine.cores())
    parser.add_argument("--largest", type=int, default=32, help="n goes from 1 to this")
    parser.add_argument("--depth", type=int, default=128)
    parser.add_argument("--repetitions", type=int, default=15)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    facts = machine.describe()
    sizes = list(range(1, options.largest + 1))
    record: dict[str, object] = {"machine": facts, "depth": options.depth, "sizes": sizes}

    def run() -> None:
        target = costs(options.model, options.threads, sizes, options.depth, options.repetitions)
        record["target_ms"] = target
        if options.drafter:
            step = costs(options.drafter, 1, [1, 2, 3, 4], options.depth, options.repetitions)
            record["drafter_ms"] = step
            print(f"\nd / V(1) = {step[0] / target[0]:.3f}")

    # On a thread of its own, like the engine: OpenMP keeps one team of workers per thread.
    thread = Thread(target=run)
    thread.start()
    thread.join()
    print(f"\n{machine.headline(facts)}")
    report.save(options.json, record)


if __name__ == "__main__":
    main()
