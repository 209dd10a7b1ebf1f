"""What a user waits for, against llama-server: the first token, cold and resumed, at every depth of
context, and the tokens behind it.

*Cold*: the cache holds nothing of the prompt. *Resumed*: it holds all but the last 20 tokens, as
after a turn of a conversation. Sides take turns; each turn has a prompt of its own.
"""

import argparse
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import machine
import peer
import prompts
import report
import subject
from measured import Measured
from server import serving

from edgespec.engine import Engine

_NEW = 20
Ask = Callable[[list[int], int, bool], Measured]


@dataclass(frozen=True, slots=True)
class Turn:
    """One side at one depth: seconds to the first token, tokens per second behind it."""

    side: str
    depth: int
    cold: float
    resumed: float
    rate: float


def turn(side: str, ask: Ask, prompt: list[int], tokens: int) -> Turn:
    """Cold up to the last 20 tokens, then resumed, then an answer."""
    cold = ask(prompt[:-_NEW], 1, False)
    resumed = ask(prompt, 1, True)
    answer = ask(prompt, tokens, True)
    return Turn(side, len(prompt), cold.wall, resumed.wall, answer.rate)


def ours(engine: Engine, speculate: bool) -> Ask:
    """edgespec, whose cache resumes by itself."""

    def ask(prompt: list[int], tokens: int, resume: bool) -> Measured:
        return subject.answer(engine, prompt, tokens, temperature=0, speculate=speculate)

    return ask


def sides(options: argparse.Namespace, engine: Engine, stack: ExitStack) -> dict[str, Ask]:
    """edgespec with and without drafts, and llama-server without."""
    found = {"edgespec": ours(engine, True), "edgespec plain": ours(engine, False)}
    if options.no_server:
        return found
    program = peer.ensure(options.peer_dir).server
    server = stack.enter_context(
        serving(program, options.target, engine.n_ctx, options.threads, [])
    )

    def ask(prompt: list[int], tokens: int, resume: bool) -> Measured:
        return server.answer(prompt, tokens, temperature=0, seed=0, resume=resume)

    return {**found, "llama-server": ask}


def measure(options: argparse.Namespace, engine: Engine) -> list[Turn]:
    """Every side at every depth, as often as asked for, each time another one first."""
    turns = []
    with ExitStack() as stack:
        asked = sides(options, engine, stack)
        names = list(asked)
        for ask in asked.values():
            ask([1, 2, 3], 8, False)
        for depth in options.depths:
            for repetition in range(options.repetitions):
                first = repetition % len(names)
                for place, name in enumerate(names[first:] + names[:first]):
                    start = repetition * len(names) + place
                    prompt = prompts.long(engine.target, depth, start)
                    turns.append(turn(name, asked[name], prompt, options.tokens))
    return turns


def rows(turns: list[Turn]) -> list[tuple[object, ...]]:
    """Medians of each side at each depth."""
    cells = dict.fromkeys((one.depth, one.side) for one in turns)
    found: list[tuple[object, ...]] = []
    for depth, side in cells:
        mine = [one for one in turns if (one.depth, one.side) == (depth, side)]
        medians = [median(getattr(one, key) for one in mine) for key in ("cold", "resumed", "rate")]
        found.append((f"{side}, {depth}", *medians))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path)
    parser.add_argument("--drafter", type=Path, default=subject.NANO / "drafter-q8_0.gguf")
    parser.add_argument("--threads", type=int, default=machine.cores())
    parser.add_argument("--depths", type=int, nargs="+", default=[128, 512, 1900])
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--no-server", action="store_true", help="edgespec alone")
    parser.add_argument("--json", type=Path)
    peer.add_option(parser)
    options = parser.parse_args()
    facts = machine.describe()
    n_ctx = max(options.depths) + options.tokens + 16
    with subject.open_engine(options.target, options.drafter, n_ctx, options.threads) as engine:
        turns = measure(options, engine)
    headers = ("side, tokens of prompt", "cold, s", "resumed, s", "tok/s")
    print(report.table(headers, rows(turns)))
    print(machine.headline(facts))
    kept = {"machine": facts, "model": options.target.stem, "turns": [asdict(t) for t in turns]}
    report.save(options.json, kept)


if __name__ == "__main__":
    main()
