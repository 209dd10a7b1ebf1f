"""A batch with a drafter, on a clock that only decodes move: what drafting gains, and may cost."""

from dataclasses import dataclass
from random import Random

import pytest

from edgespec.acceptance import AcceptanceModel
from edgespec.batch.batcher import Batcher
from edgespec.batch.drafts import Drafts
from edgespec.batch.pace import Pace
from edgespec.batch.seats import BatchDrafter
from edgespec.batch.tasks import Answered, Load, Task
from edgespec.costs import CostModel, CostTable
from edgespec.errors import BackendError
from edgespec.events import Request
from edgespec.protocols import ContextOptions
from edgespec.sampling.params import SamplingParams
from tests.fakes import FakeContext, FakeModel, ToyLanguage

TARGET = ToyLanguage(scale=3.0, eog_shift=-30.0)
TWIN, HOSTILE = TARGET.twin(noise=0.5), ToyLanguage(seed=5, scale=3.0)
N_CTX, WIDTH, TOKENS = 256, 32, 60
DRAFT = 0.04
SIZES = range(1, 65)


def verify(size: int) -> float:
    """Reading the weights takes a second, whoever computes more than 8 tokens takes longer."""
    return max(1.0, 0.125 * size)


@dataclass
class Clock:
    """Stands still but for decodes."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Outcome:
    """What a batch said, and how long it took on the clock."""

    texts: list[str]
    seconds: float
    load: Load


def run(
    rows: int,
    language: ToyLanguage | None,
    *,
    samples: int = 1,
    temperature: float = 0.8,
    width: int = WIDTH,
) -> Outcome:
    """`rows` answers at a time, drafted for by a model of `language`."""
    clock = Clock()
    target = context(TARGET, clock, verify)
    costs = CostModel(CostTable({0: {n: verify(n) for n in SIZES}}, {0: DRAFT}, draft_row=0.05))
    small = language and context(language, clock, lambda size: DRAFT * (1 + 0.05 * (size - 1)))
    drafter = BatchDrafter(small, TARGET.n_vocab, WIDTH) if small else None
    pace = Pace(costs)
    drafts = Drafts(pace, AcceptanceModel(), drafter, clock) if small else None
    model = FakeModel(TARGET)
    batcher = Batcher(model, target, pace, width, N_CTX, drafts, clock)
    random = Random(3)
    prompts = [tuple(random.choices(range(31), k=12)) for _ in range(rows)]
    for number in range(rows):
        row, sample = divmod(number, samples)
        sampling = SamplingParams(temperature, seed=row)
        request = Request(prompts[row], sampling, max_tokens=TOKENS, choice=sample)
        batcher.add(Task(row, sample, request, TOKENS, samples))
    texts = [""] * rows
    while batcher.busy:
        for outcome in batcher.step():
            assert isinstance(outcome, Answered)
            texts[outcome.task.row * samples + outcome.task.sample] = outcome.text
    return Outcome(texts, clock.now, batcher.load)


def context(language: ToyLanguage, clock: Clock, cost: object) -> FakeContext:
    """A context whose decodes move the clock."""
    options = ContextOptions(8192, 64, max_outputs=64, max_sequences=WIDTH, ordered=True)
    made = FakeContext(language, options)

    def spend(number: int) -> None:
        assert callable(cost)
        clock.now += cost(made.batches[number][0])

    made.on_decode = spend
    return made


@pytest.mark.parametrize("rows", [1, 2, 4])
def test_few_rows_gain_by_a_drafter(rows: int) -> None:
    plain, drafted = run(rows, None), run(rows, TWIN)
    assert drafted.texts == plain.texts
    assert plain.seconds / drafted.seconds > (1.5 if rows < 4 else 1.15)


def test_a_full_machine_drafts_nothing() -> None:
    plain, drafted = run(WIDTH, None), run(WIDTH, TWIN)
    assert drafted.texts == plain.texts
    assert drafted.load.drafted < 5
    # Now and then it is looked whether the drafter is right by now.
    assert drafted.seconds <= 1.01 * plain.seconds


@pytest.mark.parametrize("rows", [1, 2, 4, 8, WIDTH])
def test_a_drafter_that_is_always_wrong_costs_a_twentieth_and_two_steps(rows: int) -> None:
    plain, drafted = run(rows, None), run(rows, HOSTILE)
    assert drafted.texts == plain.texts
    assert drafted.seconds <= 1.05 * plain.seconds + 2 * verify(rows)


def test_samples_are_drafted_from_what_their_siblings_said() -> None:
    """Without a drafter of any use: its language is another one."""
    alone = run(8, HOSTILE, temperature=0.2, width=2)
    together = run(8, HOSTILE, samples=4, temperature=0.2, width=2)
    assert together.load.accepted > 2 * alone.load.accepted
    assert together.seconds < 0.9 * alone.seconds


def test_a_drafter_that_fails_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = run(2, None)

    def fail(drafter: BatchDrafter, asked: object) -> None:
        raise BackendError("the device is gone")

    monkeypatch.setattr(BatchDrafter, "draft", fail)
    drafted = run(2, TWIN)
    assert drafted.texts == plain.texts
    assert drafted.load.note == "the drafter failed, it is not used any more: the device is gone"
