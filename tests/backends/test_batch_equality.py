"""On the built-in pair: a row of a batch says what it says alone, up to flagged ties."""

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any, ClassVar

import pytest

from edgespec.acceptance import AcceptanceModel
from edgespec.batch import batcher as batcher_module
from edgespec.batch.batcher import Batcher
from edgespec.batch.drafts import Drafts
from edgespec.batch.pace import Pace, Prospect
from edgespec.batch.seats import BatchDrafter
from edgespec.batch.sequences import Sequences, Slot
from edgespec.batch.tasks import Answered, Task
from edgespec.costs import CostModel, CostTable
from edgespec.events import Request, Source, Token
from edgespec.protocols import ContextOptions, Logits, Model, ModelOptions, OrderedContext
from edgespec.sampling.sampler import Choice, Sampler
from edgespec_backends.llamacpp import open_model
from tests.backends.nano import DRAFTER, N_CTX, TARGET, Comparison, Pair, Prompts, random_sampling

pytestmark = pytest.mark.native

ROWS, TOKENS = 40, 30


@pytest.fixture(scope="module")
def target() -> Iterator[Model]:
    model = open_model(TARGET, ModelOptions(threads=1))
    yield model
    model.close()


@pytest.fixture(scope="module")
def requests(target: Model) -> list[Request]:
    """Some begin alike, some are long, each has a sampling of its own."""
    random, prompts = Random(9), Prompts(target)
    made: list[Request] = []
    for number in range(ROWS):
        prompt = prompts.short(random) if number % 8 else prompts.long(random, 200)
        if number % 5 == 1:
            prompt = (*made[0].prompt[:150], *prompt[:20])
        made.append(Request(prompt, random_sampling(random), TOKENS))
    return made


@pytest.fixture(scope="module")
def alone(target: Model, requests: list[Request]) -> list[list[Token]]:
    answers = []
    for request in requests:
        pair = Pair(target, None)  # What another answer left in a cache would round otherwise.
        answers.append(pair.answer(request, 0))
        pair.engine.close()
    return answers


class Recorder(Sampler):
    """Remembers what it chose; `made` are all of them, in the order of the tasks."""

    made: ClassVar[list["Recorder"]] = []

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.choices: list[Choice] = []
        self.made.append(self)

    def choose(self, logits: Logits, position: int) -> Choice:
        """As any sampler would."""
        self.choices.append(super().choose(logits, position))
        return self.choices[-1]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Recorder]:
    """The samplers of the test's batches."""
    monkeypatch.setattr(Recorder, "made", [])
    monkeypatch.setattr(batcher_module, "Sampler", Recorder)
    return Recorder.made


class Generous(Pace):
    """Drafts and verifies far more than would pay."""

    def pays(self, answers: int, depth: int, limit: int) -> bool:
        """Always."""
        return True

    def further(
        self, prospects: Sequence[Prospect], depth: int, limit: int, spent: float
    ) -> list[int]:
        """Up to four drafts, of whoever can have more."""
        return [
            index
            for index, prospect in enumerate(prospects)
            if prospect.growth and len(prospect.survival) < 4
        ]

    def affordable(self, survivals: Sequence[Sequence[float]], depth: int, limit: int) -> list[int]:
        """As far as the limit goes."""
        counts: list[int] = []
        for survival in survivals:
            counts.append(min(len(survival), limit - sum(counts)))
        return counts


def batch(
    target: Model,
    requests: Sequence[Request],
    width: int,
    room: int = 32 * N_CTX,
    expected: float = TOKENS,
    drafter: Model | None = None,
) -> list[Answered]:
    """The answers of all requests, in their order."""
    options = ContextOptions(n_ctx=room, max_outputs=64, max_sequences=width, ordered=True)
    context = target.context(options)
    assert isinstance(context, OrderedContext)
    costs = CostModel(CostTable({0: {1: 1.0, 32: 2.0}}, {0: 0.1}))
    pace, drafts = Pace(costs), None
    if drafter:
        size = ContextOptions(n_ctx=room, max_outputs=width, max_sequences=width)
        small = drafter.context(size)
        pace = Generous(costs)
        drafts = Drafts(
            pace, AcceptanceModel(), BatchDrafter(small, target.tokenizer.n_vocab, width)
        )
    batcher = Batcher(target, context, pace, width, N_CTX, drafts)
    for number, request in enumerate(requests):
        batcher.add(Task(number, 0, request, expected))
    found: dict[int, Answered] = {}
    while batcher.busy:
        for outcome in batcher.step():
            assert isinstance(outcome, Answered)
            found[outcome.task.row] = outcome
    context.close()
    if drafter:
        small.close()
    return [found[number] for number in range(len(requests))]


def compare(alone: Sequence[Sequence[Token]], made: Sequence[Recorder]) -> Comparison:
    """Each answer with what was chosen in the batch, up to the first difference."""
    seen = Comparison()
    assert len(alone) == len(made)
    for number, (tokens, sampler) in enumerate(zip(alone, made, strict=True)):
        seen.add(f"row {number}", tokens, [_token(choice) for choice in sampler.choices])
    return seen


def _token(choice: Choice) -> Token:
    return Token(choice.token, "", Source.TARGET, 0, 0, choice.tie)


@pytest.mark.parametrize("width", [1, 2, 7, 32])
def test_rows_are_what_they_are_alone(
    target: Model,
    requests: list[Request],
    alone: list[list[Token]],
    made: list[Recorder],
    width: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    order = Random(width).sample(range(ROWS), ROWS)
    answers = batch(target, [requests[number] for number in order], width)
    seen = compare([alone[number] for number in order], made)
    with capsys.disabled():
        print(f"\n{width} at a time: {seen}")
    assert seen.unexcused == []
    assert seen.answers == ROWS
    # In a cache that is not kept in order, up to a fifth of the rows would.
    assert seen.excused <= 2
    assert width == 1 or max(answer.stats.cached_tokens for answer in answers) >= 130


def test_rows_that_lost_their_room_on_the_way_are_too(
    target: Model,
    requests: list[Request],
    alone: list[list[Token]],
    made: list[Recorder],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    brought_back: list[bool] = []
    load = Sequences.load

    def spy(sequences: Sequences, slot: Slot, tokens: Sequence[int], state: bytes) -> None:
        load(sequences, slot, tokens, state)
        brought_back.append(len(slot.tokens) == len(tokens))

    monkeypatch.setattr(Sequences, "load", spy)
    short = [number for number in range(ROWS) if len(requests[number].prompt) < 150]
    batch(target, [requests[number] for number in short], 16, room=128, expected=1)
    assert compare([alone[number] for number in short], made).unexcused == []
    assert sum(brought_back) > 0


@pytest.mark.parametrize("width", [1, 7])
def test_rows_with_a_drafter_are_too(
    target: Model,
    requests: list[Request],
    alone: list[list[Token]],
    made: list[Recorder],
    width: int,
) -> None:
    model = open_model(DRAFTER, ModelOptions(threads=1))
    answers = batch(target, requests, width, drafter=model)
    model.close()
    seen = compare(alone, made)
    assert seen.unexcused == []
    assert seen.excused <= 2
    drafted = sum(answer.stats.drafted for answer in answers)
    accepted = sum(answer.stats.accepted for answer in answers)
    # Of chains of four, an engine that answers one row at a time accepts a third.
    assert drafted > ROWS * TOKENS
    assert accepted > 0.25 * drafted
