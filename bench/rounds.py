"""What target and drafter did, round by round, in one real answer: for docs' picture of it.

`--drafts N` asks for N drafts in every round, so that there is something to see on a machine where
the scheduler would draft nothing.
"""

import argparse
from dataclasses import asdict
from pathlib import Path

import machine
import prompts
import report

from edgespec.catalog import resolve
from edgespec.events import Request, Round
from edgespec.loading import LoadOptions, load
from edgespec.sampling.params import SamplingParams


def record(options: argparse.Namespace) -> list[Round]:
    """The rounds of the second of two equal answers; the first one warms everything up."""
    pair = resolve(options.target, options.drafter)
    settings = LoadOptions(n_ctx=1024, threads=options.threads, draft_length=options.drafts)
    rounds: list[Round] = []
    with load(pair, settings) as engine:
        text = prompts.held_out("code", 1)[0]
        prompt = engine.target.tokenizer.encode(text, add_special=True, parse_special=False)
        request = Request(tuple(prompt), SamplingParams(temperature=0.0), max_tokens=options.tokens)
        for _ in range(2):
            rounds.clear()
            for _event in engine.generate(request, rounds.append):
                pass
    return rounds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", nargs="?", default="nano")
    parser.add_argument("--drafter")
    parser.add_argument("--drafts", type=int, default=0, help="in every round (default: planned)")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, default=machine.cores())
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    facts = machine.describe()
    rounds = record(options)
    rows = [
        (one.index, one.drafted, one.accepted, 1e3 * (one.verify[1] - one.verify[0]))
        for one in rounds
    ]
    print(report.table(("round", "drafted", "accepted", "ms"), rows))
    print(machine.headline(facts))
    model = Path(options.target).stem
    kept = {"machine": facts, "model": model, "rounds": [asdict(one) for one in rounds]}
    report.save(options.json, kept)


if __name__ == "__main__":
    main()
