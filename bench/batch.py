"""Batches against llama-server: same model, prompts, threads and sampling, whole batches at a time.

Each side answers all prompts with as many at a time as its name says: edgespec without and with
drafts, and llama-server with that many slots, whose clients wait for nothing else. A token of a
prompt counts like one of an answer against the bound: the best n/V(n) that calibration measured.
"""

import argparse
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

import machine
import peer
import prompts
import report
from server import serving

from edgespec.batch.manners import Manners
from edgespec.batch.tasks import Answered, Executor, Task
from edgespec.batch.workers import MOST, best_width, working
from edgespec.catalog import Pair
from edgespec.events import Request
from edgespec.loading import LoadOptions, Parts, load_parts
from edgespec.protocols import ModelOptions, backend
from edgespec.sampling.params import SamplingParams


@dataclass(frozen=True, slots=True)
class Result:
    """One side's batch; `bound` in tokens per second, prompts included, None if not known."""

    name: str
    prompt_tokens: int
    tokens: int
    seconds: float
    drafted: int = 0
    accepted: int = 0
    bound: float | None = None

    def row(self) -> tuple[object, ...]:
        """For the table."""
        every = (self.prompt_tokens + self.tokens) / self.seconds
        return (
            self.name,
            self.tokens / self.seconds,
            every,
            f"{every / self.bound:.2f}" if self.bound else "-",
            self.drafted,
            self.accepted,
            self.seconds,
        )


def tokens_of(options: argparse.Namespace) -> list[list[int]]:
    """The prompts, over and over from all sets until there are enough."""
    model = backend("llamacpp")(options.target, ModelOptions(1))
    texts = [text for name in prompts.HELD_OUT for text in prompts.held_out(name)]
    encode = model.tokenizer.encode
    chosen = [texts[(7 * n) % len(texts)] for n in range(options.prompts)]
    made = [encode(text, add_special=True, parse_special=False) for text in chosen]
    model.close()
    return made


@contextmanager
def loaded(options: argparse.Namespace, width: int, speculate: bool) -> Iterator[Parts]:
    """The target for `width` answers at a time; what works with it closes it."""
    pair = Pair(options.target.stem, options.target, None)
    sequences = max(width or MOST, 2)
    yield load_parts(
        pair,
        LoadOptions(
            n_ctx=options.n_ctx, threads=options.threads, speculate=speculate, sequences=sequences
        ),
    )


def ours(
    options: argparse.Namespace, asked: Sequence[list[int]], width: int, speculate: bool
) -> Result:
    """edgespec's batch; width 0 is what measurement says."""
    with loaded(options, width, speculate) as parts:
        costs = parts.policy.costs
        best = best_width(costs)
        bound = max(n / costs.verify(n, 0) for n in range(1, MOST + 1))
        with working(parts, width or None, Manners(), speculate=speculate) as executor:
            begin = perf_counter()
            answers = list(_answers(executor, asked, options, speculate))
            seconds = perf_counter() - begin
    name = f"edgespec {width or best}{' with drafts' if speculate else ''}"
    return Result(
        name,
        sum(map(len, asked)),
        sum(answer.stats.tokens for answer in answers),
        seconds,
        sum(answer.stats.drafted for answer in answers),
        sum(answer.stats.accepted for answer in answers),
        bound if not width else None,
    )


def _answers(
    executor: Executor, asked: Sequence[list[int]], options: argparse.Namespace, speculate: bool
) -> Iterator[Answered]:
    for number, prompt in enumerate(asked):
        sampling = SamplingParams(options.temperature, seed=number)
        request = Request(tuple(prompt), sampling, max_tokens=options.tokens, speculate=speculate)
        executor.submit(Task(number, 0, request, options.tokens))
    left = len(asked)
    while left:
        if outcome := executor.next():
            assert isinstance(outcome, Answered), outcome
            left -= 1
            yield outcome


def theirs(
    options: argparse.Namespace, asked: Sequence[list[int]], program: Path, slots: int
) -> Result:
    """llama-server with so many slots, each of which is asked again at once."""
    n_ctx = options.n_ctx * slots
    mode = ["--parallel", str(slots)]
    with serving(program, options.target, n_ctx, options.threads, mode) as server:
        server.answer([1, 2, 3], 1, temperature=0, seed=0)

        def ask(number: int) -> int:
            return server.answer(
                asked[number], options.tokens, temperature=options.temperature, seed=number
            ).tokens

        begin = perf_counter()
        with ThreadPoolExecutor(slots) as clients:
            tokens = sum(clients.map(ask, range(len(asked))))
        seconds = perf_counter() - begin
    return Result(f"llama-server -np {slots}", sum(map(len, asked)), tokens, seconds)


def sides(
    options: argparse.Namespace, asked: Sequence[list[int]], program: Path | None
) -> Iterator[Result]:
    """All sides in turns, as often as asked for."""
    for _ in range(options.rounds):
        for width in options.widths:
            for speculate in (False, True):
                yield ours(options, asked, width, speculate)
        if program:
            for slots in options.slots:
                yield theirs(options, asked, program, slots)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path)
    parser.add_argument("--threads", type=int, default=machine.cores())
    parser.add_argument("--n-ctx", type=int, default=512)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--widths", type=int, nargs="*", default=[0], help="0: as measured")
    parser.add_argument("--slots", type=int, nargs="*", default=[1, 4, 8, 16])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", type=Path)
    peer.add_option(parser)
    options = parser.parse_args()
    program = peer.ensure(options.peer_dir).server if options.slots else None
    facts = machine.describe()
    results: list[Result] = []
    for result in sides(options, tokens_of(options), program):
        print(f"{result.name}: {result.seconds:.1f} s", flush=True)
        results.append(result)
    headers = ("side", "tok/s", "with prompts", "of bound", "drafted", "accepted", "seconds")
    print(report.table(headers, [result.row() for result in results]))
    kept = {"machine": facts, "model": options.target.stem, "prompts": options.prompts}
    report.save(options.json, {**kept, "results": [asdict(result) for result in results]})
    print(f"{options.prompts} prompts, {options.target.name}, {options.threads} threads")
    print(machine.headline(facts))


if __name__ == "__main__":
    main()
