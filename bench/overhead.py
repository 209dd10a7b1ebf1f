"""What a round costs besides the models: sampling, planning, the tree, hand-overs between threads.

From the end of one decode of the target to the begin of the next, without the time in which the
drafter was at work: that is waited for, or hidden. Every round verifies `--length` drafts; with 0
the controller decides, as in use, and rounds without drafts are left out.
"""

import argparse
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles

import machine
import prompts
import report

from edgespec.catalog import Pair
from edgespec.engine import Engine
from edgespec.events import Request, Round
from edgespec.loading import LoadOptions, load
from edgespec.sampling.params import SamplingParams

Span = tuple[float, float]


def overheads(rounds: list[Round]) -> list[float]:
    """Seconds between two decodes of the target in which the drafter rested."""
    found = []
    drafting = [span for round_ in rounds for span in round_.drafting]
    for before, after in pairwise(rounds):
        gap = before.verify[1], after.verify[0]
        found.append(gap[1] - gap[0] - sum(_common(gap, span) for span in drafting))
    return found


def _common(one: Span, other: Span) -> float:
    return max(min(one[1], other[1]) - max(one[0], other[0]), 0.0)


def measure(engine: Engine, temperature: float, tokens: int, count: int) -> list[float]:
    """The overheads of all rounds with drafts over `count` prompts."""
    found: list[float] = []
    for seed, text in enumerate(prompts.held_out("code", count)):
        prompt = engine.target.tokenizer.encode(text, add_special=True, parse_special=False)
        sampling = SamplingParams(temperature=temperature, seed=seed)
        rounds: list[Round] = []
        for _ in engine.generate(Request(tuple(prompt), sampling, tokens), rounds.append):
            pass
        drafted = [after.drafted > 0 for after in rounds[1:]]
        found += [one for one, real in zip(overheads(rounds), drafted, strict=True) if real]
    return found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    nano = Path(__file__).resolve().parent.parent / "edgespec" / "nano"
    parser.add_argument("target", type=Path, nargs="?", default=nano / "target-q8_0.gguf")
    parser.add_argument("--drafter", type=Path, default=nano / "drafter-q8_0.gguf")
    parser.add_argument("--length", type=int, default=3, help="drafts, 0 = as many as pay")
    parser.add_argument("--threads", type=int, default=machine.cores())
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def main() -> None:
    options, facts = _options(), machine.describe()
    pair = Pair("overhead", options.target, options.drafter)
    loading = LoadOptions(n_ctx=2048, threads=options.threads, draft_length=options.length)
    lines: list[tuple[object, ...]] = []
    record: dict[str, object] = {"machine": facts}
    with load(pair, loading) as engine:
        for temperature in (0.0, 0.8, 1.0):
            found = measure(engine, temperature, options.tokens, options.prompts)
            record[f"{temperature:g}"] = found
            if len(found) > 1:
                p95 = quantiles(found, n=20)[-1]
                lines.append((f"{temperature:g}", 1e3 * median(found), 1e3 * p95, len(found)))
    print(report.table(("temperature", "median ms", "p95 ms", "rounds"), lines))
    print(machine.headline(facts))
    report.save(options.json, record)


if __name__ == "__main__":
    main()
