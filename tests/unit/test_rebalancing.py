"""Processors are measured anew once steps drift: between answers, and never during one."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import pytest

from edgespec import balance
from edgespec.acceptance import AcceptanceModel
from edgespec.balance import Balance
from edgespec.batch.continuous import ContinuousExecutor
from edgespec.batch.manners import Manners
from edgespec.batch.tasks import Task
from edgespec.batch.workers import batcher_of
from edgespec.costs import CostModel
from edgespec.cpu_sets import CpuSet, candidates
from edgespec.engine import Engine
from edgespec.errors import NotEnoughMemory
from edgespec.events import Finish, Notice, Request, Token
from edgespec.parts import Parts
from edgespec.protocols import ContextOptions
from edgespec.rebalancing import Rebalancer, small
from edgespec.sampling.params import SamplingParams
from edgespec.topology import detect
from tests.fakes import PATIENCE, FakeContext, FakeModel, ToyLanguage
from tests.policies import Told

LANGUAGE = ToyLanguage()
SETS = candidates(detect.plain(2))
BOTH, FIRST, SECOND = (0, 1), (0,), (1,)
SAMPLING = SamplingParams(0.9, seed=4, logit_bias={LANGUAGE.eog: -100.0})
REQUEST = Request((0, 1, 2, 3), SAMPLING, max_tokens=30)


class Scratch(FakeContext):
    """The small context: a core that is busy makes its decodes slower."""

    def __init__(self, machine: "Machine") -> None:
        super().__init__(LANGUAGE, small("f16", flash=True))
        self._machine = machine
        if machine.blocking:
            self.blocked = {0}
            begun = machine.blocking
            self.on_decode = lambda number: begun.set()

    def decode(
        self, tokens: Sequence[int], position: int, *, outputs: int, sequence: int = 0
    ) -> None:
        super().decode(tokens, position, outputs=outputs, sequence=sequence)
        assert self.bound is not None
        cpus = self.bound[min(len(tokens) - 1, 1)]
        slowest = min(self._machine.free[cpu] for cpu in cpus)
        self._machine.now += 1e-3 * len(tokens) / len(cpus) / slowest


@dataclass
class Machine:
    """Two cores, of which something else takes its part, and a model on them."""

    file: Path
    free: list[float] = field(default_factory=lambda: [1.0, 1.0])
    made: list[Scratch] = field(default_factory=list)
    on_make: Callable[[], None] = lambda: None
    blocking: Event | None = None
    now: float = 0.0

    def __post_init__(self) -> None:
        self.model = FakeModel(LANGUAGE)
        self.policy = Told([0])
        options = ContextOptions(80, n_batch=32, max_outputs=17, max_sequences=4)
        self.target = self.model.context(options)
        self.model.context = self._make  # type: ignore[method-assign]
        self.rebalancer = Rebalancer(
            self.costs,
            self.model,
            self.target,
            Balance.of(BOTH),
            self._sets,
            self.file,
            small("f16", flash=True),
            clock=lambda: self.now,
        )
        self.now = 100.0  # A while after it was loaded.

    @property
    def costs(self) -> CostModel:
        return self.policy.costs

    def drift(self, factor: float, steps: int = 40) -> None:
        """The target's steps take `factor` times as long as they were measured."""
        usual = self.costs.table.verify[0][1]
        for _ in range(steps):
            self.costs.observe_verify(1, 0, factor * usual)

    def _make(self, options: ContextOptions) -> Scratch:
        self.on_make()
        self.made.append(Scratch(self))
        return self.made[-1]

    def _sets(self) -> list[CpuSet]:
        return SETS


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "balance.json")


def test_what_goes_on_as_measured_is_left_alone(machine: Machine) -> None:
    assert not machine.rebalancer.due()
    machine.drift(1.2)
    assert not machine.rebalancer.due()


def test_what_was_measured_just_now_is_not_measured_again(machine: Machine) -> None:
    machine.now = 30.0
    machine.drift(2.0)
    assert not machine.rebalancer.due()
    machine.now = 61.0
    assert machine.rebalancer.due()


@pytest.mark.parametrize("factor", [2.0, 0.5])
def test_a_drift_leads_to_another_look_and_then_is_what_is_usual(
    machine: Machine, factor: float
) -> None:
    machine.drift(factor)
    assert machine.rebalancer.due()
    note = machine.rebalancer.look()
    assert f"steps took {factor:.1f} times as long as measured" in note
    machine.now = 1e6
    machine.drift(factor)
    assert not machine.rebalancer.due()
    machine.drift(1.0)
    assert machine.rebalancer.due()


def test_the_target_moves_away_from_a_busy_core_and_back(machine: Machine) -> None:
    machine.free = [0.1, 1.0]
    machine.drift(5.0)
    note = machine.rebalancer.look()
    assert note.endswith("the target computes on processors 1 now, on 0-1 before")
    assert machine.target.bound == (SECOND,) * 3
    kept = balance.load(machine.file)
    assert kept
    assert kept.single == SECOND
    machine.free, machine.now = [1.0, 1.0], 1e6
    machine.drift(1.0)
    assert not machine.rebalancer.due()
    machine.drift(0.5)
    assert machine.rebalancer.due()
    note = machine.rebalancer.look()
    assert note.endswith("the target computes on processors 0-1 now, on 1 before")
    assert [one.closed for one in machine.made] == [True, True]


def test_what_became_worse_by_a_look_is_not_taken_for_usual(machine: Machine) -> None:
    machine.drift(0.6)
    machine.rebalancer.look()
    machine.now += 61.0
    machine.drift(3.0)
    assert machine.rebalancer.due()


def test_it_looks_once_a_minute_at_most(machine: Machine) -> None:
    machine.drift(2.0)
    machine.rebalancer.look()
    machine.drift(2.0)
    assert not machine.rebalancer.due()
    machine.drift(4.0)
    assert not machine.rebalancer.due()
    machine.now += 61.0
    assert machine.rebalancer.due()


def test_a_look_for_which_there_is_no_room_changes_nothing(machine: Machine) -> None:
    def refuse() -> None:
        raise NotEnoughMemory("no room")

    machine.on_make = refuse
    machine.drift(2.0)
    assert machine.rebalancer.look() == ""
    assert machine.target.bound is None
    assert not machine.rebalancer.due()


def test_a_look_that_is_stopped_changes_nothing_and_is_made_up_for(machine: Machine) -> None:
    machine.drift(2.0)
    machine.on_make = machine.rebalancer.stop
    assert machine.rebalancer.look() == ""
    assert machine.target.bound is None
    assert machine.made[0].closed
    assert machine.rebalancer.due()
    machine.on_make = lambda: None
    machine.rebalancer.resume()
    assert machine.rebalancer.look()


@pytest.fixture
def engine(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """An engine that looks again as soon as it rests."""
    monkeypatch.setattr("edgespec.upkeep._DELAY", 0.0)
    engine = Engine(
        machine.model,
        machine.target,
        machine.policy,
        AcceptanceModel(),
        rebalancer=machine.rebalancer,
    )
    with engine:
        yield engine


def wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


def test_between_two_answers_and_not_during_one(machine: Machine, engine: Engine) -> None:
    events = engine.generate(REQUEST)
    next(events)
    machine.drift(5.0)
    machine.free = [0.1, 1.0]
    list(events)
    held = machine.target.held()
    wait(lambda: machine.target.bound == (SECOND,) * 3)
    assert machine.target.held() == held
    first, *rest = engine.generate(REQUEST)
    assert isinstance(first, Notice)
    assert "computes on processors 1 now" in first.text
    assert isinstance(rest[-1], Finish)
    assert not any(isinstance(event, Notice) for event in engine.generate(REQUEST))
    assert len(machine.made) == 1


def test_whoever_asks_does_not_wait_for_it(machine: Machine, engine: Engine) -> None:
    machine.blocking = Event()  # A look would never end.
    machine.drift(5.0)
    list(engine.generate(REQUEST))
    assert machine.blocking.wait(PATIENCE)
    tokens = [event for event in engine.generate(REQUEST) if isinstance(event, Token)]
    assert len(tokens) == 30
    assert machine.target.bound is None
    assert machine.rebalancer.due()


def test_a_closed_engine_does_not_look(machine: Machine, engine: Engine) -> None:
    machine.blocking = Event()
    machine.drift(5.0)
    list(engine.generate(REQUEST))
    engine.close()
    assert machine.target.bound is None


def test_what_is_due_can_be_done_at_once(machine: Machine, engine: Engine) -> None:
    machine.drift(5.0)
    engine.catch_up()
    assert machine.target.bound == (BOTH,) * 3


def test_a_batch_looks_between_two_steps(machine: Machine) -> None:
    thread = ThreadPoolExecutor(1)
    parts = Parts(
        machine.model,
        machine.target,
        machine.policy,
        AcceptanceModel(),
        None,
        lambda: None,
        thread,
        "",
        80,
        machine.rebalancer,
    )
    machine.drift(2.0)
    assert isinstance(machine.target, FakeContext)
    batcher = batcher_of(parts, machine.target, 2, speculate=False)
    executor = ContinuousExecutor(batcher, 2, thread, machine.target, Manners(), machine.rebalancer)
    executor.submit(Task(0, 0, REQUEST, 30.0))
    wait(lambda: bool(executor.load.note))
    assert "the target is still fastest on processors 0-1" in executor.load.note
    assert machine.target.bound == (BOTH,) * 3
    executor.close()
    thread.shutdown()
