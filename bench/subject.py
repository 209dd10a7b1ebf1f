"""edgespec as the benchmarks use it: loaded like the command line does, asked for whole answers."""

from pathlib import Path
from time import perf_counter

from measured import Measured

from edgespec.catalog import Pair
from edgespec.engine import Engine
from edgespec.events import Finish, Request, Stats
from edgespec.loading import LoadOptions, load
from edgespec.sampling.params import SamplingParams

NANO = Path(__file__).resolve().parent.parent / "edgespec" / "nano"


def open_engine(target: Path, drafter: Path | None, n_ctx: int, threads: int) -> Engine:
    """The engine of a pair as the command line makes it; without a drafter it never speculates."""
    pair = Pair(name=target.stem, target=target, drafter=drafter)
    return load(pair, LoadOptions(n_ctx=n_ctx, threads=threads, speculate=drafter is not None))


def answer(
    engine: Engine,
    prompt: list[int],
    tokens: int,
    *,
    temperature: float,
    seed: int = 0,
    speculate: bool = True,
) -> Measured:
    """Produce one answer to its end, as fast as the engine gives it."""
    sampling = SamplingParams(temperature=temperature, seed=seed)
    request = Request(tuple(prompt), sampling, max_tokens=tokens, speculate=speculate)
    begin = perf_counter()
    stats = _stats(engine, request)
    wall = perf_counter() - begin
    return Measured(stats.tokens, stats.decode, wall, stats.drafted, stats.accepted)


def _stats(engine: Engine, request: Request) -> Stats:
    for event in engine.generate(request):
        if isinstance(event, Finish):
            return event.stats
    raise SystemExit("the engine gave no end of its answer")
