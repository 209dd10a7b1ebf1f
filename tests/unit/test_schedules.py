"""Two threads, every order of events: random delays, crashes and cancellations change no token."""

import faulthandler
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from threading import Thread

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from edgespec.acceptance import AcceptanceModel
from edgespec.controller import Controller, Policy
from edgespec.costs import CostModel, CostTable
from edgespec.engine import Engine
from edgespec.errors import Aborted, BackendError
from edgespec.events import Finish, Notice, Request, Token
from edgespec.guard import DebtGuard
from edgespec.protocols import ContextOptions, Rollback
from edgespec.sampling.params import SamplingParams
from edgespec.sources.drafter import ModelDrafter
from edgespec.sources.suffix import SuffixMatch
from tests.fakes import FakeContext, FakeModel, ToyLanguage
from tests.oracle import expected
from tests.policies import Told

LANGUAGE = ToyLanguage()
DRAFTERS = [LANGUAGE, LANGUAGE.twin(0.5), LANGUAGE.twin(3.0), ToyLanguage(28, seed=99)]
N_CTX = 30
SCHEDULES = 550
"""Per policy."""
DEADLOCK = 30.0
"""Seconds after which an answer of a few tokens is not slow but stuck."""
CRASHES = [BackendError("device lost"), MemoryError("no memory"), Aborted()]


@dataclass(frozen=True)
class Schedule:
    """One answer, what is to go wrong in it, and when.

    `delays` are seconds that a decode may take at most, of the target and the drafter; the others
    are numbers of decodes or, for `closings`, of tokens.
    """

    request: Request
    drafter: int
    lanes: int
    rollback: Rollback
    refused: bool
    sources: bool
    delays: tuple[float, float]
    crash: tuple[int, Exception] | None
    failures: set[int]
    aborts: set[int]
    drafter_aborts: set[int]
    closings: list[int]
    lengths: list[int]
    overlap: bool
    draft_cost: float
    seed: int


numbers = st.sets(st.integers(0, 12), max_size=2)
rarely = st.just(set[int]()) | numbers
schedules = st.builds(
    Schedule,
    request=st.builds(
        Request,
        prompt=st.lists(st.integers(0, 31), min_size=1, max_size=14).map(tuple),
        sampling=st.builds(
            SamplingParams,
            temperature=st.sampled_from([0.0, 0.7, 1.1]),
            top_k=st.sampled_from([0, 5, 40]),
            repeat_penalty=st.sampled_from([1.0, 1.3]),
            logit_bias=st.sampled_from([{}, {LANGUAGE.eog: -100.0}, {LANGUAGE.eog: 2.0, 3: 1.0}]),
            grammar=st.sampled_from([None, None, "1", "5"]),
            seed=st.integers(0, 2**32),
        ),
        max_tokens=st.integers(8, 20),
    ),
    drafter=st.integers(0, len(DRAFTERS) - 1),
    lanes=st.sampled_from([1, 2, 4]),
    rollback=st.sampled_from([Rollback.ANY, Rollback.ANY, Rollback.BOUNDED, Rollback.CHECKPOINT]),
    refused=st.booleans(),
    sources=st.booleans(),
    delays=st.tuples(st.sampled_from([0.0, 1e-4, 3e-4]), st.sampled_from([0.0, 1e-4, 3e-4])),
    crash=st.none() | st.tuples(st.integers(0, 12), st.sampled_from(CRASHES)),
    failures=rarely,
    aborts=rarely,
    drafter_aborts=rarely,
    closings=st.lists(st.integers(1, 6), max_size=3),
    lengths=st.lists(st.integers(0, 8), min_size=1, max_size=4),
    overlap=st.booleans(),
    draft_cost=st.sampled_from([0.0, 1e-6, 1e-5, 1e-4]),
    seed=st.integers(0, 2**32),
)


@dataclass
class Tally:
    """What happened in all schedules together, so that no test is about nothing."""

    schedules: int = 0
    drafted: int = 0
    trees: int = 0
    accepted: int = 0
    crashes: int = 0
    cancelled: int = 0


@dataclass
class Run:
    """One schedule on an engine of its own."""

    schedule: Schedule
    policy: Policy
    tally: Tally
    target: FakeModel = field(default_factory=lambda: FakeModel(LANGUAGE))
    context: FakeContext = field(init=False)
    drafter: FakeContext = field(init=False)
    engine: Engine = field(init=False)
    notices: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        schedule = self.schedule
        options = ContextOptions(N_CTX, n_batch=9, max_outputs=9, rollback=9)
        self.context = self.target.context(replace(options, branches=8))
        if schedule.refused:
            self.context.refuses.add("keep")
        lanes = schedule.lanes if schedule.rollback is Rollback.ANY else 1
        options = replace(options, max_sequences=lanes)
        model = FakeModel(DRAFTERS[schedule.drafter], schedule.rollback)
        self.drafter = model.context(options)
        for which, context in enumerate((self.context, self.drafter)):
            chance = Random(schedule.seed + which)
            context.delay = partial(_delay, chance, schedule.delays[which])
        self.context.failures = {n: BackendError("target broke") for n in schedule.failures}
        if schedule.crash:
            self.drafter.failures = dict([schedule.crash])
        self.context.on_decode = self._aborting(schedule.aborts)
        self.drafter.on_decode = self._aborting(schedule.drafter_aborts)
        self.engine = Engine(
            self.target,
            self.context,
            self.policy,
            AcceptanceModel(),
            [SuffixMatch()] if schedule.sources else [],
            ModelDrafter(self.drafter, LANGUAGE.n_vocab, lanes),
        )

    def _aborting(self, numbers: set[int]) -> Callable[[int], None]:
        return lambda number: self.engine.abort() if number in numbers else None

    def execute(self) -> None:
        """Answer the request, in as many pieces as it takes, and check all of them."""
        closings = iter(self.schedule.closings)
        request, done = self.schedule.request, tuple[int, ...]()
        with self.engine:
            while not self._attempt(request, next(closings, None)):
                self.tally.cancelled += 1
                prompt = self.context.held() if self.reached is None else self.reached
                done = prompt[len(self.schedule.request.prompt) :]
                assert self.schedule.request.max_tokens is not None
                left = self.schedule.request.max_tokens - len(done)
                request = replace(self.schedule.request, prompt=prompt, max_tokens=left)
        self._check_notices()
        if self.schedule.request.sampling.grammar is None:
            assert self.reached is not None
            whole = expected(self.target, self.schedule.request, N_CTX)
            assert self.reached == (*self.schedule.request.prompt, *whole.tokens)

    reached: tuple[int, ...] | None = None

    def _attempt(self, request: Request, close_after: int | None) -> bool:
        """True if the answer is complete; `reached` is the text that there is now."""
        whole = expected(self.target, request, N_CTX)
        tokens: list[Token] = []
        finish: Finish | None = None
        events = self.engine.generate(request)
        try:
            for event in events:
                assert finish is None, "an event after the last one"
                if isinstance(event, Token):
                    tokens.append(event)
                elif isinstance(event, Notice):
                    self.notices.append(event.text)
                else:
                    finish = event
                if len(tokens) == close_after:
                    break
        except BackendError as error:
            if str(error) != "target broke":
                raise
        events.close()
        ids = tuple(token.id for token in tokens)
        assert ids == whole.tokens[: len(ids)]
        start = len(request.prompt)
        assert [token.position for token in tokens] == list(range(start, start + len(tokens)))
        assert [token.round for token in tokens] == sorted(token.round for token in tokens)
        self.reached = (*request.prompt, *ids)
        if finish:
            assert (ids, finish.reason) == (whole.tokens, whole.reason)
            assert finish.stats.tokens == len(ids)
            assert self.context.held() == self.reached[:-1]
            self.tally.trees += self.context.trees
            self.tally.drafted += finish.stats.drafted
            self.tally.accepted += finish.stats.accepted
        return ids == whole.tokens

    def _check_notices(self) -> None:
        """Nothing went wrong on the drafter's thread but what was meant to."""
        self.tally.crashes += len(self.notices)
        if self.schedule.crash is None or isinstance(self.schedule.crash[1], Aborted):
            assert self.notices == []
        else:
            told = f"the drafter failed, the answer goes on without it: {self.schedule.crash[1]}"
            assert self.notices in ([], [told])


def _delay(chance: Random, most: float) -> float:
    return chance.random() * most if chance.random() < 0.5 else 0.0


def within_time(action: Callable[[], None]) -> None:
    """Run `action` on a thread; a deadlock is a failure that tells where each thread stands."""
    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            action()
        except BaseException as error:
            errors.append(error)

    thread = Thread(target=guarded, daemon=True)
    thread.start()
    thread.join(DEADLOCK)
    if thread.is_alive():
        faulthandler.dump_traceback(all_threads=True)
        # Threads that are stuck would keep the process from ending.
        faulthandler.dump_traceback_later(20 * DEADLOCK, exit=True)
        pytest.fail("deadlock")
    if errors:
        raise errors[0]


def costs(schedule: Schedule) -> CostModel:
    """Costs of about the size of the fakes', with which drafting pays more or less."""
    return CostModel(CostTable({0: {1: 2e-4, 9: 3e-4}}, {0: schedule.draft_cost}, draft_row=0.05))


class Restless(Controller):
    """Beside the fakes' steps every plan is dear: the real one would hardly make any."""

    @property
    def rest(self) -> int:
        return 0


POLICIES: dict[str, Callable[[Schedule], Policy]] = {
    "the controller": lambda schedule: Controller(costs(schedule)),
    "a controller that plans every round": lambda schedule: Restless(
        costs(schedule), DebtGuard(steps=1e6)
    ),
    "told": lambda schedule: Told(schedule.lengths, overlap=False, branching=True),
    "told, both at work": lambda schedule: Told(schedule.lengths, overlap=True, branching=True),
}


@pytest.fixture(autouse=True)
def _many_switches() -> Iterator[None]:
    """Let threads interrupt each other much more often than Python usually does."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(5e-5)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.parametrize("policy", POLICIES)
def test_no_schedule_changes_an_answer(policy: str) -> None:
    tally = Tally()

    # What happens depends on time, so a failure does not shrink.
    @settings(
        deadline=None,
        max_examples=SCHEDULES,
        phases=[Phase.explicit, Phase.generate],
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(schedule=schedules)
    def run(schedule: Schedule) -> None:
        note(str(schedule))
        tally.schedules += 1
        within_time(Run(schedule, POLICIES[policy](schedule), tally).execute)

    run()
    assert tally.schedules >= SCHEDULES
    assert tally.cancelled > SCHEDULES / 10
    assert tally.crashes > SCHEDULES / 50
    assert policy == "the controller" or tally.trees > SCHEDULES / 10
    assert tally.accepted > SCHEDULES / (50 if policy == "the controller" else 10)
