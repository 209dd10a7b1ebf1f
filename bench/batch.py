"""Batches against llama-server: same models, prompts, threads and sampling, in turns.

The full batch has as many answers at a time as a side likes: edgespec what measurement says,
llama-server each number of slots. In the tail of a batch, few answers are under way: there both
sides have as many as the cell says. llama-server does both without speculation, with the drafter
and with n-grams; its clients wait for nothing else. A token of a prompt counts like one of an
answer against the bound: the best n/V(n) that calibration measured, with an empty cache, and "at
its depth" behind as many tokens as stood before those of this batch in the mean.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter

import machine
import peer
import prompts
import report
from measured import Measured
from server import serving

from edgespec.batch.manners import Manners
from edgespec.batch.tasks import Answered, Executor, Task
from edgespec.batch.workers import MOST, best_width, working
from edgespec.catalog import Pair
from edgespec.costs import CostModel
from edgespec.events import Request
from edgespec.loading import LoadOptions, load_parts
from edgespec.parts import Parts
from edgespec.protocols import ModelOptions, backend
from edgespec.sampling.params import SamplingParams

OURS, PLAIN, THEIRS = "edgespec", "edgespec plain", "llama-server"
NANO = Path(__file__).resolve().parent.parent / "edgespec" / "nano"
NGRAMS = "--spec-type ngram-simple --spec-ngram-simple-size-n 4 --spec-ngram-simple-size-m 8"
HEADERS = (
    *("cell", "side", "tok/s", "with prompts", "of bound", "at its depth"),
    *("drafted", "accepted", "seconds"),
)


@dataclass(frozen=True, slots=True)
class Result:
    """One side's batch.

    `bound` is that of an empty cache, `at_depth` that of this batch's depth, both in tokens per
    second, prompts included, and None if not known.
    """

    cell: str
    side: str
    prompt_tokens: int
    tokens: int
    seconds: float
    drafted: int = 0
    accepted: int = 0
    bound: float | None = None
    at_depth: float | None = None

    @property
    def rate(self) -> float:
        """Tokens per second, prompts included."""
        return (self.prompt_tokens + self.tokens) / self.seconds

    def row(self) -> tuple[object, ...]:
        """For the table."""
        return (
            self.cell,
            self.side,
            self.tokens / self.seconds,
            self.rate,
            *(
                f"{self.rate / bound:.2f}" if bound else "-"
                for bound in (self.bound, self.at_depth)
            ),
            self.drafted,
            self.accepted,
            self.seconds,
        )


def bound(costs: CostModel, depth: int) -> float:
    """The most tokens per second that one step can make behind `depth` tokens."""
    return max(n / costs.verify(n, depth) for n in range(1, MOST + 1))


def mean_depth(answers: Sequence[Answered]) -> int:
    """How many tokens of the same text stood before each token of a batch, in the mean."""
    lengths = [answer.stats.prompt_tokens + answer.stats.tokens for answer in answers]
    return round(sum(length**2 / 2 for length in lengths) / sum(lengths))


Side = Callable[[], Result]


@dataclass(frozen=True, slots=True)
class Bench:
    """The models, and what is asked of them."""

    options: argparse.Namespace
    asked: Sequence[list[int]]
    program: Path | None

    def sides(self) -> list[Side]:
        """All of them, cell by cell."""
        options, found = self.options, list[Side]()
        if options.prompts:
            found += self._cell("full batch", 0, options.slots, self.asked)
        for active in options.active:
            few = self.asked[: options.tail_prompts]
            found += self._cell(f"{active} active", active, [active], few)
        return found

    def _cell(
        self, name: str, width: int, slots: Sequence[int], asked: Sequence[list[int]]
    ) -> Iterator[Side]:
        yield partial(self.ours, name, width, asked, speculate=True)
        yield partial(self.ours, name, width, asked, speculate=False)
        if self.program is None:
            return
        draft = ["--spec-type", "draft-simple", "--model-draft", str(self.options.drafter)]
        modes = {"": list[str](), " ngram": NGRAMS.split()}
        for length in self.options.draft_lengths:
            modes[f" draft {length}"] = [*draft, "--spec-draft-n-max", str(length)]
        for count in slots:
            for mode, flags in modes.items():
                yield partial(self.theirs, name, count, asked, mode, flags)

    def ours(self, cell: str, width: int, asked: Sequence[list[int]], *, speculate: bool) -> Result:
        """edgespec's batch; width 0 is what measurement says."""
        parts = self._loaded(width, speculate=speculate)
        best = best_width(parts.policy.costs)
        # What the batch sees of the machine does not change these.
        costs = CostModel(parts.policy.costs.table)
        with working(parts, width or None, Manners(), speculate=speculate) as executor:
            begin = perf_counter()
            answers = list(self._answers(executor, asked, speculate=speculate))
            seconds = perf_counter() - begin
        return Result(
            cell,
            f"{OURS if speculate else PLAIN} {width or best}",
            sum(map(len, asked)),
            sum(answer.stats.tokens for answer in answers),
            seconds,
            sum(answer.stats.drafted for answer in answers),
            sum(answer.stats.accepted for answer in answers),
            bound(costs, 0),
            bound(costs, mean_depth(answers)),
        )

    def theirs(
        self, cell: str, slots: int, asked: Sequence[list[int]], mode: str, flags: Sequence[str]
    ) -> Result:
        """llama-server with so many slots, each of which is asked again at once."""
        options = self.options
        assert self.program
        many = ["--parallel", str(slots), *flags]
        n_ctx = options.n_ctx * slots
        with serving(self.program, options.target, n_ctx, options.threads, many) as server:
            server.answer([1, 2, 3], 1, temperature=0, seed=0)

            def ask(number: int) -> Measured:
                return server.answer(
                    asked[number], options.tokens, temperature=options.temperature, seed=number
                )

            begin = perf_counter()
            with ThreadPoolExecutor(slots) as clients:
                answers = list(clients.map(ask, range(len(asked))))
            seconds = perf_counter() - begin
        return Result(
            cell,
            f"{THEIRS} -np {slots}{mode}",
            sum(map(len, asked)),
            sum(answer.tokens for answer in answers),
            seconds,
            sum(answer.drafted for answer in answers),
            sum(answer.accepted for answer in answers),
        )

    def _loaded(self, width: int, *, speculate: bool) -> Parts:
        """The models for `width` answers at a time; what works with them closes them."""
        options = self.options
        pair = Pair(options.target.stem, options.target, options.drafter if speculate else None)
        return load_parts(
            pair,
            LoadOptions(
                n_ctx=options.n_ctx,
                threads=options.threads,
                speculate=speculate,
                sequences=max(width or MOST, 2),
            ),
        )

    def _answers(
        self, executor: Executor, asked: Sequence[list[int]], *, speculate: bool
    ) -> Iterator[Answered]:
        options = self.options
        for number, prompt in enumerate(asked):
            sampling = SamplingParams(options.temperature, seed=number)
            request = Request(
                tuple(prompt), sampling, max_tokens=options.tokens, speculate=speculate
            )
            executor.submit(Task(number, 0, request, options.tokens))
        left = len(asked)
        while left:
            if outcome := executor.next():
                assert isinstance(outcome, Answered), outcome
                left -= 1
                yield outcome


def tokens_of(options: argparse.Namespace) -> list[list[int]]:
    """The prompts, over and over from all sets until there are enough."""
    model = backend("llamacpp")(options.target, ModelOptions(1))
    texts = [text for name in prompts.HELD_OUT for text in prompts.held_out(name)]
    encode = model.tokenizer.encode
    count = max(options.prompts, options.tail_prompts)
    chosen = [texts[(7 * n) % len(texts)] for n in range(count)]
    made = [encode(text, add_special=True, parse_special=False) for text in chosen]
    model.close()
    return made


def take_turns(sides: Sequence[Side], rounds: int) -> Iterator[Result]:
    """All sides, as often as asked for, each time from the other end."""
    for number in range(rounds):
        for side in sides if number % 2 == 0 else reversed(sides):
            result = side()
            print(f"{result.cell}, {result.side}: {result.seconds:.1f} s", flush=True)
            yield result


def merged(results: Sequence[Result]) -> list[Result]:
    """The rounds of each side as one."""
    sums: dict[tuple[str, str], Result] = {}
    for one in results:
        key = one.cell, one.side
        if (known := sums.get(key)) is None:
            sums[key] = one
        else:
            sums[key] = replace(
                known,
                prompt_tokens=known.prompt_tokens + one.prompt_tokens,
                tokens=known.tokens + one.tokens,
                seconds=known.seconds + one.seconds,
                drafted=known.drafted + one.drafted,
                accepted=known.accepted + one.accepted,
            )
    return list(sums.values())


def verdicts(results: Sequence[Result]) -> Iterator[str]:
    """For each cell, edgespec's rate beside its own without drafts and the best llama-server's."""
    for cell in dict.fromkeys(result.cell for result in results):
        rates = {one.side: one.rate for one in results if one.cell == cell}
        mine = next(rate for name, rate in rates.items() if name.startswith(f"{OURS} "))
        plain = next(rate for name, rate in rates.items() if name.startswith(PLAIN))
        line = f"{cell}: {mine / plain:.2f} of its own without drafts"
        rivals = {name: rate for name, rate in rates.items() if name.startswith(THEIRS)}
        if rivals:
            best = max(rivals, key=rivals.__getitem__)
            line += f", {mine / rivals[best]:.2f} of {best}"
        yield line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path)
    parser.add_argument("--drafter", type=Path, default=NANO / "drafter-q8_0.gguf")
    parser.add_argument("--threads", type=int, default=machine.cores())
    parser.add_argument("--n-ctx", type=int, default=512)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--prompts", type=int, default=200, help="of the full batch; 0: none")
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--slots", type=int, nargs="*", default=[1, 4, 8, 16])
    parser.add_argument("--active", type=int, nargs="*", default=[1, 2, 4], help="rows at a time")
    parser.add_argument("--tail-prompts", type=int, default=16, help="for each of --active")
    parser.add_argument("--draft-lengths", type=int, nargs="*", default=[4], help="llama-server's")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--no-server", action="store_true")
    parser.add_argument("--json", type=Path)
    peer.add_option(parser)
    options = parser.parse_args()
    program = None if options.no_server else peer.ensure(options.peer_dir).server
    bench = Bench(options, tokens_of(options), program)
    facts = machine.describe()
    results = list(take_turns(bench.sides(), options.rounds))
    print(report.table(HEADERS, [result.row() for result in merged(results)]))
    print(*verdicts(merged(results)), sep="\n")
    kept = {"machine": facts, "model": options.target.stem, "prompts": options.prompts}
    report.save(options.json, {**kept, "results": [asdict(result) for result in results]})
    print(f"{options.prompts} prompts, {options.target.name}, {options.threads} threads")
    print(machine.headline(facts))


if __name__ == "__main__":
    main()
