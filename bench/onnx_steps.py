"""A drafter's step in ONNX Runtime against llama.cpp's, on one thread.

What to measure comes from `python -m tests.onnx_models build/onnx`: graphs, and the same weights in
floats for llama.cpp, as a step that reads four times the bytes takes its time in any engine. All
models are loaded at once and take turns, block by block, so that whatever else the machine does
hits all alike.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import perf_counter

import machine
import report

from edgespec.protocols import Context, ContextOptions, ModelOptions, backend

_BATCH = 128


def open_context(path: Path, n_ctx: int) -> Context:
    """A context of one sequence over the model at `path`, GGUF or ONNX."""
    engine = "onnx" if path.suffix == ".onnx" else "llamacpp"
    model = backend(engine)(path, ModelOptions(threads=1))
    return model.context(ContextOptions(n_ctx=n_ctx, n_batch=_BATCH, max_outputs=1))


def fill(context: Context, depth: int) -> None:
    """Hold `depth` tokens, so that steps cost what they cost there."""
    context.clear()
    while (held := context.length()) < depth:
        context.decode([7] * min(_BATCH, depth - held), held, outputs=0)


def block(context: Context, depth: int, steps: int) -> list[float]:
    """Seconds of `steps` steps after `depth` tokens, logits included."""
    context.truncate(depth)
    times = []
    for position in range(depth, depth + steps):
        begin = perf_counter()
        context.decode([100 + position % 50], position, outputs=1)
        context.logits(0)
        times.append(perf_counter() - begin)
    return times


def measure(contexts: Sequence[Context], depth: int, steps: int, blocks: int) -> list[list[float]]:
    """Seconds of every step, per context."""
    times: list[list[float]] = [[] for _ in contexts]
    for context in contexts:
        fill(context, depth)
        block(context, depth, steps)
    for _ in range(blocks):
        for found, context in zip(times, contexts, strict=True):
            found += block(context, depth, steps)
    return times


def main() -> None:
    options = _options()
    facts = machine.describe()
    paths = [*options.gguf, *options.graphs]
    contexts = [open_context(path, max(options.depths) + options.steps) for path in paths]
    rows, kept = [], {}
    for depth in options.depths:
        times = measure(contexts, depth, options.steps, options.blocks)
        usual = [median(found) for found in times[: len(options.gguf)]]
        for path, found in zip(paths, times, strict=True):
            name = path.name if path in options.gguf else path.parents[1].name
            kept[f"{name} at {depth}"] = found
            step = median(found)
            rows.append((name, depth, step * 1e3, *(f"{step / other:.2f}" for other in usual)))
    print(machine.headline(facts))
    ratios = [f"of {path.name}" for path in options.gguf]
    print(report.table(("model", "depth", "ms a step", *ratios), rows))
    report.save(options.json, {"machine": facts, "seconds": kept})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    nano = Path(__file__).resolve().parent.parent / "edgespec" / "nano" / "drafter-q8_0.gguf"
    parser.add_argument("graphs", type=Path, nargs="+", metavar="GRAPH")
    parser.add_argument("--gguf", type=Path, nargs="+", default=[nano], help="to compare with")
    parser.add_argument("--depths", type=int, nargs="+", default=[0, 256, 1024])
    parser.add_argument("--steps", type=int, default=50, help="per block")
    parser.add_argument("--blocks", type=int, default=10)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
