"""Speculation against llama-server's: same models, prompts, threads, context and sampling.

A sweep finds the best mode of llama-server for each prompt set and temperature; its modes are
measured against edgespec's plain decoding, in turns, so that only ratios count. Then all sides
answer each prompt in turns. Numbers from a cost-inflated twin (see inflate.py) have the costs of
the big model and the acceptance of the small one.
"""

import argparse
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import machine
import peer
import prompts
import report
import subject
from measured import Measured, acceptance, median_rate, total_rate
from server import serving

from edgespec.engine import Engine

Side = Callable[[Sequence[int], float, int], Measured]
Cell = tuple[str, float]
Mode = tuple[str, list[str]]

_SHORT = "--spec-ngram-simple-size-n 4 --spec-ngram-simple-size-m 8"
_NGRAMS: list[Mode] = [
    ("ngram-simple 4/8", f"--spec-type ngram-simple {_SHORT}".split()),
    *(
        (name, ["--spec-type", name])
        for name in ("ngram-simple", "ngram-map-k", "ngram-map-k4v", "ngram-mod", "ngram-cache")
    ),
]


@dataclass(slots=True)
class Bench:
    """What every part of the benchmark needs."""

    options: argparse.Namespace
    engine: Engine
    server: Path | None

    def start(self, mode: Mode, stack: ExitStack) -> Side:
        """A running and warm llama-server in `mode`."""
        options, engine = self.options, self.engine
        assert self.server
        server = stack.enter_context(
            serving(self.server, options.target, engine.n_ctx, options.threads, mode[1])
        )

        def side(prompt: Sequence[int], temperature: float, seed: int) -> Measured:
            return server.answer(prompt, options.tokens, temperature=temperature, seed=seed)

        side([1, 2, 3], 0, 0)
        return side

    def ours(self, speculate: bool) -> Side:
        """edgespec, with or without speculation."""

        def side(prompt: Sequence[int], temperature: float, seed: int) -> Measured:
            return subject.answer(
                self.engine,
                list(prompt),
                self.options.tokens,
                temperature=temperature,
                seed=seed,
                speculate=speculate,
            )

        return side

    def prompts(self, name: str, count: int | None) -> list[list[int]]:
        """Tokens of `count` prompts of a set."""
        return prompts.tokens(name, self.engine.target, count)

    def modes(self) -> list[Mode]:
        """All modes of llama-server that are tried."""
        options = self.options
        drafter = ["--spec-type", "draft-simple", "--model-draft", str(options.drafter)]
        return [
            *(
                (f"draft n={n} threads={threads}", [*drafter, *_draft_flags(n, threads)])
                for threads in options.draft_threads
                for n in options.n_max
            ),
            *_NGRAMS,
        ]


def _draft_flags(length: int, threads: int) -> list[str]:
    return ["--spec-draft-n-max", str(length), "--spec-draft-threads", str(threads)]


def take_turns(
    sides: dict[str, Side], asked: list[list[int]], temperature: float
) -> dict[str, list[Measured]]:
    """Every side answers every prompt, each time another one first."""
    answers: dict[str, list[Measured]] = {name: [] for name in sides}
    names = list(sides)
    for seed, prompt in enumerate(asked):
        first = seed % len(names)
        for name in names[first:] + names[:first]:
            answers[name].append(sides[name](prompt, temperature, seed))
    return answers


def sweep(bench: Bench, cells: list[Cell]) -> dict[Cell, dict[str, float]]:
    """Speed-up of each mode of llama-server over edgespec's plain decoding."""
    gains: dict[Cell, dict[str, float]] = {cell: {} for cell in cells}
    for mode in bench.modes():
        with ExitStack() as stack:
            sides = {"peer": bench.start(mode, stack), "plain": bench.ours(False)}
            for cell in cells:
                asked = bench.prompts(cell[0], bench.options.sweep_prompts)
                answers = take_turns(sides, asked, cell[1])
                gains[cell][mode[0]] = total_rate(answers["peer"]) / total_rate(answers["plain"])
        found = "  ".join(f"{name} {t:g}: {gains[name, t][mode[0]]:.2f}" for name, t in cells)
        print(f"{mode[0]:>24}  {found}", flush=True)
    return gains


def best_modes(bench: Bench, gains: dict[str, float]) -> list[Mode]:
    """The fastest with the drafter and the fastest without."""
    ranked = sorted(bench.modes(), key=lambda mode: gains.get(mode[0], 0), reverse=True)
    drafts = [mode for mode in ranked if mode[0].startswith("draft")]
    return drafts[:1] + [mode for mode in ranked if mode not in drafts][:1]


def compare(bench: Bench, cell: Cell, rivals: list[Mode]) -> dict[str, list[Measured]]:
    """The alternating run of one prompt set and temperature."""
    with ExitStack() as stack:
        sides = {"edgespec": bench.ours(True), "edgespec plain": bench.ours(False)}
        for mode in rivals:
            sides[f"llama-server {mode[0]}"] = bench.start(mode, stack)
        asked = bench.prompts(cell[0], bench.options.prompts)
        return take_turns(sides, asked, cell[1])


def rows(answers: dict[str, list[Measured]]) -> list[tuple[object, ...]]:
    """A line per side: total and median rate, edgespec's gain over it, acceptance."""
    ours = total_rate(answers["edgespec"])
    return [
        (
            name,
            total_rate(measured),
            median_rate(measured),
            f"{ours / total_rate(measured):.2f}",
            "-" if (rate := acceptance(measured)) is None else f"{rate:.2f}",
            sum(answer.tokens for answer in measured),
        )
        for name, measured in answers.items()
    ]


def run(bench: Bench) -> None:
    """Sweep, compare, and print as results come in."""
    options, facts = bench.options, machine.describe()
    cells = [(name, temperature) for name in options.sets for temperature in options.temperatures]
    for side in (bench.ours(True), bench.ours(False)):
        side(bench.prompts(options.sets[0], 1)[0], 0, 0)
    gains = sweep(bench, cells) if bench.server else {}
    record: list[dict[str, object]] = []
    headers = ("side", "tok/s", "median", "edgespec is", "acceptance", "tokens")
    for cell in cells:
        rivals = best_modes(bench, gains[cell]) if gains else []
        answers = compare(bench, cell, rivals)
        print(f"\n{cell[0]}, temperature {cell[1]:g}\n{report.table(headers, rows(answers))}")
        measured = {name: [asdict(answer) for answer in side] for name, side in answers.items()}
        sweeps = gains.get(cell, {})
        record.append({"cell": cell, "sweep": sweeps, "answers": measured})
        kept = {"machine": facts, "model": options.target.stem, "cells": record}
        report.save(options.json, kept)
    print(f"\n{options.target.name} with {options.drafter.name}, {options.threads} threads")
    print(machine.headline(facts))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    nano = Path(__file__).resolve().parent.parent / "edgespec" / "nano"
    threads = machine.cores()
    parser.add_argument("target", type=Path)
    parser.add_argument("--drafter", type=Path, default=nano / "drafter-q8_0.gguf")
    parser.add_argument("--threads", type=int, default=threads)
    parser.add_argument("--n-ctx", type=int, default=2048)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--sets", nargs="+", choices=prompts.SETS, default=list(prompts.SETS))
    parser.add_argument("--temperatures", nargs="+", type=float, default=[0.0, 0.8, 1.0])
    parser.add_argument("--prompts", type=int, help="per set (default: all)")
    parser.add_argument("--sweep-prompts", type=int, default=3, help="per set and mode")
    parser.add_argument("--n-max", nargs="+", type=int, default=list(range(1, 9)))
    parser.add_argument(
        "--draft-threads", nargs="+", type=int, help="llama-server's (default: as --threads)"
    )
    parser.add_argument("--no-server", action="store_true", help="edgespec against itself only")
    parser.add_argument("--json", type=Path)
    peer.add_option(parser)
    return parser.parse_args()


def main() -> None:
    options = _options()
    options.draft_threads = options.draft_threads or [options.threads]
    server = None if options.no_server else peer.ensure(options.peer_dir).server
    with subject.open_engine(
        options.target, options.drafter, options.n_ctx, options.threads
    ) as engine:
        run(Bench(options, engine, server))


if __name__ == "__main__":
    main()
