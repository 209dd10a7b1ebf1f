"""What speculation gains on this machine: the same answers with and without it, in turns."""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from edgespec.chat import TEMPLATE_KEY, ChatFormat, completion_tokens
from edgespec.engine import Engine
from edgespec.events import Finish, Request, Stats
from edgespec.messages import Message, Role
from edgespec.sampling.params import SamplingParams

PROMPTS = {
    "code": (
        "Write a Python function that merges overlapping intervals in a list of pairs, then one "
        "that tells how much of a given interval the merged ones cover. Add type hints."
    ),
    "prose": (
        "Describe, in three paragraphs, how a lighthouse keeper spent a winter night before "
        "lamps were electric."
    ),
    "facts": "List the planets from the Sun outwards, each with one sentence about its weather.",
}
TEMPERATURES = (0.0, 0.8)
_TURNS = 2


@dataclass(frozen=True, slots=True)
class Comparison:
    """One prompt at one temperature: tokens per second of decoding, medians over the turns.

    None where an answer was too short to be timed, or nothing was drafted.
    """

    prompt: str
    temperature: float
    plain: float | None
    speculating: float | None
    acceptance: float | None
    mean_accepted_length: float | None

    @property
    def gain(self) -> float | None:
        """How many times as fast as plain decoding."""
        return self.speculating / self.plain if self.speculating and self.plain else None


def compare(engine: Engine, tokens: int) -> Iterator[Comparison]:
    """Answer every prompt at every temperature; each turn begins with the other side."""
    _answer(engine, "warm up", 0.0, 8, 0, speculate=False)
    for name, text in PROMPTS.items():
        for temperature in TEMPERATURES:
            sides: dict[bool, list[Stats]] = {True: [], False: []}
            for turn in range(2 * _TURNS):
                speculate = turn % 4 in (1, 2)
                stats = _answer(engine, text, temperature, tokens, turn // 2, speculate=speculate)
                sides[speculate].append(stats)
            yield _comparison(name, temperature, sides[False], sides[True])


def _answer(
    engine: Engine, text: str, temperature: float, tokens: int, seed: int, *, speculate: bool
) -> Stats:
    sampling = SamplingParams(temperature, seed=seed)
    request = Request(_tokens(engine, text), sampling, max_tokens=tokens, speculate=speculate)
    *_, last = engine.generate(request)
    assert isinstance(last, Finish)
    return last.stats


def _tokens(engine: Engine, text: str) -> tuple[int, ...]:
    target = engine.target
    if TEMPLATE_KEY not in target.metadata:
        return tuple(completion_tokens(target.tokenizer, text, parse_special=False))
    return tuple(ChatFormat.of(target).tokens([Message(Role.USER, text)]))


def _comparison(
    name: str, temperature: float, plain: list[Stats], speculating: list[Stats]
) -> Comparison:
    drafted = sum(stats.drafted for stats in speculating)
    accepted = sum(stats.accepted for stats in speculating)
    rounds = sum(stats.rounds for stats in speculating)
    emitted = sum(stats.tokens - 1 for stats in speculating)
    return Comparison(
        name,
        temperature,
        _rate(plain),
        _rate(speculating),
        accepted / drafted if drafted else None,
        emitted / rounds if rounds else None,
    )


def _rate(answers: list[Stats]) -> float | None:
    rates = [rate for stats in answers if (rate := stats.tokens_per_second)]
    return median(rates) if rates else None
