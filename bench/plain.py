"""Plain decoding against llama.cpp's own llama-bench: same file, threads and depth.

Every run is a process of its own that loads the model anew, and the sides take turns, so that
whatever else the machine does hits all alike. llama-bench decodes random tokens and samples
none; the engine chooses each token and hands it to another thread.
"""

import argparse
import json
import subprocess
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from time import perf_counter

import machine
import peer
import prompts
import report
import subject

from edgespec import bandwidth, cpu_sets
from edgespec.engine import Engine
from edgespec.gguf_header import read_header
from edgespec.placement.footprint import footprint
from edgespec.placement.records import TargetPlace
from edgespec.protocols import ContextOptions, ModelOptions, backend
from edgespec.topology import detect


@dataclass(frozen=True, slots=True)
class Task:
    """What every side does: `tokens` steps after a prompt of `depth` tokens, `answers` times."""

    model: Path
    threads: int
    depth: int
    tokens: int
    answers: int
    n_ctx: int


def llama_bench(program: Path, task: Task) -> float:
    """Tokens per second by llama.cpp's own measure."""
    flags = {
        "-m": task.model,
        "-t": task.threads,
        "-p": 0,
        "-n": task.tokens,
        "-d": task.depth,
        "-r": task.answers,
        "-dev": "none",
        "-o": "json",
    }
    command = [str(program), *(str(part) for flag in flags.items() for part in flag)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    samples: list[float] = json.loads(done.stdout)[0]["samples_ts"]
    return median(samples)


def context_loop(task: Task) -> float:
    """A bare loop over the backend's context, greedy, in one thread."""
    model = backend("llamacpp")(task.model, ModelOptions(task.threads))
    context = model.context(ContextOptions(n_ctx=task.depth + task.tokens, max_outputs=1))
    rates = []
    for _ in range(task.answers + 1):
        context.clear()
        context.decode(_prompt(model.tokenizer.n_vocab, task.depth), 0, outputs=1)
        token = int(context.logits(0).argmax())
        begin = perf_counter()
        for position in range(task.depth, task.depth + task.tokens):
            context.decode([token], position, outputs=1)
            token = int(context.logits(0).argmax())
        rates.append(task.tokens / (perf_counter() - begin))
    return median(rates[1:])


def engine(task: Task, temperature: float) -> float:
    """The whole engine without speculation."""
    with subject.open_engine(task.model, None, task.n_ctx, task.threads) as loaded:
        prompt = _lasting_prompt(loaded, task)
        answers = [
            subject.answer(loaded, prompt, task.tokens, temperature=temperature, seed=seed)
            for seed in range(task.answers)
        ]
    return median(measured.rate for measured in answers)


def _lasting_prompt(loaded: Engine, task: Task) -> list[int]:
    """A prompt whose greedy answer does not end early; trying it out is also the warm-up."""
    best, length = _prompt(loaded.target.tokenizer.n_vocab, task.depth), 0
    for text in prompts.held_out("code", 8):
        prompt = loaded.target.tokenizer.encode(text, add_special=True, parse_special=False)
        prompt = prompt[: task.depth]
        tokens = subject.answer(loaded, prompt, task.tokens, temperature=0).tokens
        if len(prompt) == task.depth and tokens > length:
            best, length = prompt, tokens
        if length == task.tokens:
            break
    return best


def _prompt(n_vocab: int, depth: int) -> list[int]:
    return [index % n_vocab for index in range(depth)]


def alone(side: Callable[[], float]) -> float:
    """Run `side` in a new process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(side).result()


def alternate(sides: dict[str, Callable[[], float]], repetitions: int) -> dict[str, list[float]]:
    """Rates of each side, all sides once per repetition, each time another one first."""
    rates: dict[str, list[float]] = {name: [] for name in sides}
    names = list(sides)
    for repetition in range(repetitions):
        first = repetition % len(names)
        for name in names[first:] + names[:first]:
            rates[name].append(sides[name]())
    return rates


def main() -> None:
    options = _options()
    program = peer.ensure(options.peer_dir).bench
    fields = ("model", "threads", "depth", "tokens", "answers", "n_ctx")
    task = Task(*(getattr(options, field) for field in fields))
    sides: dict[str, Callable[[], float]] = {
        "llama-bench": partial(llama_bench, program, task),
        "context loop": partial(alone, partial(context_loop, task)),
        "engine, temperature 0": partial(alone, partial(engine, task, 0.0)),
        "engine, temperature 0.8": partial(alone, partial(engine, task, 0.8)),
    }
    facts = machine.describe()
    rates = alternate(sides, options.repetitions)
    print(f"{task.model.name}, {task.threads} threads, depth {task.depth}, {task.tokens} tokens")
    print(machine.headline(facts))
    print(report.table(("side", "tok/s", "min", "max", "ratio"), rows(rates)))
    print(memory_share(task, median(rates["context loop"])))
    kept = {"machine": facts, "model": task.model.stem, "tokens": task.tokens, "rates": rates}
    report.save(options.json, kept)


def rows(rates: dict[str, list[float]]) -> list[tuple[object, ...]]:
    """Medians, and the median of the ratios to the first side in the same repetition."""
    first = next(iter(rates.values()))
    return [
        (
            name,
            median(values),
            min(values),
            max(values),
            f"{median(a / b for a, b in zip(values, first, strict=True)):.3f}",
        )
        for name, values in rates.items()
    ]


def memory_share(task: Task, rate: float) -> str:
    """What part of the memory's bandwidth `rate` tokens per second use, and one core alone."""
    read = footprint(read_header(task.model), task.n_ctx or 256, 512, 1, "f16").reads
    size = sum(read(TargetPlace(), 1, task.depth + task.tokens // 2).values())
    speed = bandwidth.measure(cpu_sets.default(detect.here(), task.threads).cpus)
    return (
        f"{size / 2**20:.1f} MiB per token at {rate * size / 1e9:.1f} GB/s, "
        f"{rate * size / speed.together:.0%} of the {speed.together / 1e9:.1f} GB/s that these "
        f"cores read (one alone: {speed.alone / 1e9:.1f} GB/s)"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    nano = Path(__file__).resolve().parent.parent / "edgespec" / "nano" / "target-q8_0.gguf"
    parser.add_argument("--model", type=Path, default=nano)
    parser.add_argument("--threads", type=int, default=machine.cores())
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--depth", type=int, default=32, help="tokens of prompt")
    parser.add_argument("--n-ctx", type=int, default=0, help="the engine's (default: its own)")
    parser.add_argument("--answers", type=int, default=3, help="per run, after a warm-up")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--json", type=Path)
    peer.add_option(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
