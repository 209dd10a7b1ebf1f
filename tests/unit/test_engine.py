"""The engine's thread: one answer at a time, stopped whenever the consumer or anyone else wants."""

import gc
import random
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from threading import Event, Thread, current_thread, main_thread
from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgespec.acceptance import AcceptanceModel
from edgespec.engine import Engine
from edgespec.errors import BackendError, ContextOverflow, ExitCode, InvalidInput
from edgespec.events import Finish, FinishReason, Notice, Request, StepEvent, Token
from edgespec.protocols import ContextOptions
from edgespec.sampling.params import SamplingParams
from edgespec.sources.drafter import ModelDrafter
from edgespec.sources.suffix import SuffixMatch
from tests.fakes import PATIENCE, FakeContext, FakeModel, ToyLanguage
from tests.oracle import expected
from tests.policies import Told

LANGUAGE = ToyLanguage()
N_CTX = 80
SAMPLING = SamplingParams(0.9, seed=4, logit_bias={LANGUAGE.eog: -100.0})
REQUEST = Request((0, 1, 2, 3), SAMPLING, max_tokens=30)
PROMPTLY = PATIENCE / 3


@dataclass
class Bench:
    """An engine over fakes."""

    draft_length: int = 4
    noise: float = 0.5
    overlap: bool = False
    target: FakeModel = field(default_factory=lambda: FakeModel(LANGUAGE))
    engine: Engine = field(init=False)
    context: FakeContext = field(init=False)
    drafter: FakeContext = field(init=False)
    closings: int = 0

    def __post_init__(self) -> None:
        options = ContextOptions(N_CTX, n_batch=32, max_outputs=17, max_sequences=4)
        self.context = self.target.context(options)
        self.drafter = FakeModel(LANGUAGE.twin(self.noise)).context(options)
        self.engine = Engine(
            self.target,
            self.context,
            Told([self.draft_length], overlap=self.overlap),
            AcceptanceModel(),
            [SuffixMatch()],
            ModelDrafter(self.drafter, LANGUAGE.n_vocab, 4),
            self._close,
        )

    def _close(self) -> None:
        self.closings += 1
        self.context.close()
        self.drafter.close()
        self.target.close()

    def begin(self, request: Request) -> Generator[StepEvent]:
        return self.engine.generate(request)

    def answer(self, request: Request) -> list[StepEvent]:
        return list(self.engine.generate(request))

    def check(self, request: Request) -> None:
        """The answer is right, and the caches hold what they should."""
        events = self.answer(request)
        whole = expected(self.target, request, N_CTX)
        assert ids(events) == whole.tokens
        assert isinstance(events[-1], Finish)
        assert events[-1].reason is whole.reason
        assert self.context.held() == (*request.prompt, *whole.tokens)[:-1]


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    with bench.engine:
        yield bench


def ids(events: Sequence[StepEvent]) -> tuple[int, ...]:
    return tuple(event.id for event in events if isinstance(event, Token))


def take(events: Iterator[StepEvent], count: int) -> list[StepEvent]:
    return [next(events) for _ in range(count)]


def test_events_arrive_in_order_and_each_model_has_a_thread_of_its_own(bench: Bench) -> None:
    target, drafter = set[Thread](), set[Thread]()
    bench.context.on_decode = lambda number: target.add(current_thread())
    bench.drafter.on_decode = lambda number: drafter.add(current_thread())
    bench.check(REQUEST)
    bench.check(REQUEST)
    assert len(target) == len(drafter) == 1
    assert len({*target, *drafter, main_thread()}) == 3


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 2**32),
    length=st.integers(0, 16),
    noise=st.sampled_from([0.0, 0.5, 3.0]),
    temperature=st.sampled_from([0.0, 0.9]),
    overlap=st.booleans(),
)
def test_delays_of_either_model_change_nothing(
    seed: int, length: int, noise: float, temperature: float, overlap: bool
) -> None:
    bench = Bench(length, noise, overlap)
    chance = random.Random(seed)
    bench.context.delay = bench.drafter.delay = lambda: chance.random() * 5e-4
    with bench.engine:
        sampling = replace(SAMPLING, temperature=temperature, seed=seed)
        bench.check(replace(REQUEST, sampling=sampling))


@pytest.mark.parametrize("count", range(1, 30))
def test_an_answer_closed_after_any_token_can_be_continued(bench: Bench, count: int) -> None:
    whole = expected(bench.target, REQUEST, N_CTX)
    events = bench.begin(REQUEST)
    begun = ids(take(events, count))
    events.close()
    assert begun == whole.tokens[:count]
    left = None if REQUEST.max_tokens is None else REQUEST.max_tokens - count
    rest = replace(REQUEST, prompt=(*REQUEST.prompt, *begun), max_tokens=left)
    assert (*begun, *ids(bench.answer(rest))) == whole.tokens


@settings(deadline=None, max_examples=15)
@given(
    counts=st.lists(st.integers(1, 12), max_size=6),
    length=st.integers(0, 16),
    delayed=st.booleans(),
)
def test_an_answer_closed_again_and_again_is_the_same_in_the_end(
    counts: list[int], length: int, delayed: bool
) -> None:
    bench = Bench(length)
    if delayed:
        bench.context.delay = bench.drafter.delay = lambda: 2e-4
    request = replace(REQUEST, max_tokens=None)
    whole = expected(bench.target, request, N_CTX).tokens
    done: tuple[int, ...] = ()
    with bench.engine:
        for count in counts:
            events = bench.begin(replace(request, prompt=(*request.prompt, *done)))
            done = (*done, *ids(take(events, min(count, len(whole) - len(done) - 1))))
            events.close()
            assert done == whole[: len(done)]
        bench.check(replace(request, prompt=(*request.prompt, *done)))


def test_closing_stops_a_decode_that_is_running(bench: Bench) -> None:
    bench.context.blocked.add(3)
    begin = perf_counter()
    events = bench.begin(REQUEST)
    take(events, 2)
    events.close()
    assert perf_counter() - begin < PROMPTLY
    bench.context.blocked.clear()
    bench.check(REQUEST)


def test_closing_stops_a_drafter_that_is_running(bench: Bench) -> None:
    running = Event()
    bench.drafter.blocked.add(2)
    bench.drafter.on_decode = lambda number: running.set() if number == 2 else None
    begin = perf_counter()
    events = bench.begin(REQUEST)
    take(events, 1)
    assert running.wait(PATIENCE)
    events.close()
    assert perf_counter() - begin < PROMPTLY
    bench.drafter.blocked.clear()
    bench.check(REQUEST)


@pytest.mark.parametrize("number", [0, 1, 6])
def test_abort_from_another_thread_ends_the_events_without_a_finish(
    bench: Bench, number: int
) -> None:
    running = Event()
    bench.context.blocked.add(number)
    bench.context.on_decode = lambda now: running.set() if now == number else None

    def abort() -> None:
        assert running.wait(PATIENCE)
        bench.engine.abort()

    thread = Thread(target=abort)
    thread.start()
    events = bench.answer(REQUEST)
    thread.join()
    assert not any(isinstance(event, Finish) for event in events)
    whole = expected(bench.target, REQUEST, N_CTX)
    assert ids(events) == whole.tokens[: len(ids(events))] != whole.tokens
    bench.context.blocked.clear()
    bench.check(REQUEST)


def test_an_abort_while_nothing_runs_does_not_hurt_the_next_answer(bench: Bench) -> None:
    bench.engine.abort()
    bench.check(REQUEST)


@pytest.mark.parametrize("number", [0, 1, 2, 5])
def test_a_failure_of_the_target_is_raised_and_the_next_answer_is_right(
    bench: Bench, number: int
) -> None:
    bench.context.failures[number] = BackendError("out of memory")
    with pytest.raises(BackendError, match="out of memory"):
        bench.answer(REQUEST)
    bench.check(REQUEST)


@pytest.mark.parametrize("error", [RuntimeError("a bug"), MemoryError(), KeyboardInterrupt()])
def test_any_other_exception_reaches_the_consumer_too(bench: Bench, error: BaseException) -> None:
    def raise_it(number: int) -> None:
        bench.context.on_decode = lambda number: None
        raise error

    bench.context.on_decode = raise_it
    with pytest.raises(type(error)):
        bench.answer(REQUEST)
    bench.check(REQUEST)


@pytest.mark.parametrize("number", [0, 1, 5])
def test_a_drafter_whose_step_never_ends_because_its_device_is_lost_is_left_behind(
    bench: Bench, number: int
) -> None:
    bench.drafter.losses = {number}
    events = bench.answer(REQUEST)
    [notice] = [event for event in events if isinstance(event, Notice)]
    assert "the device is lost" in notice.text
    assert ids(events) == expected(bench.target, REQUEST, N_CTX).tokens
    bench.check(replace(REQUEST, prompt=(3, 2, 1)))
    bench.engine.close()


def test_a_drafter_that_fails_gives_one_notice_and_the_same_answer(bench: Bench) -> None:
    bench.drafter.failures[4] = BackendError("the device is gone")
    events = bench.answer(REQUEST)
    assert ids(events) == expected(bench.target, REQUEST, N_CTX).tokens
    [notice] = [event for event in events if isinstance(event, Notice)]
    assert "the device is gone" in notice.text
    again = bench.answer(REQUEST)
    assert ids(again) == ids(events)
    assert not any(isinstance(event, Notice) for event in again)


def test_a_second_answer_at_the_same_time_is_refused(bench: Bench) -> None:
    events = bench.begin(REQUEST)
    begun = take(events, 3)
    with pytest.raises(BackendError, match="another answer is still running"):
        bench.answer(REQUEST)
    whole = expected(bench.target, REQUEST, N_CTX)
    assert ids([*begun, *events]) == whole.tokens
    bench.check(REQUEST)


def test_an_answer_that_nobody_began_blocks_nothing(bench: Bench) -> None:
    unused = bench.begin(REQUEST)
    bench.check(REQUEST)
    unused.close()
    bench.check(REQUEST)


def test_an_answer_that_was_dropped_makes_way_for_the_next(bench: Bench) -> None:
    events = bench.begin(REQUEST)
    take(events, 2)
    del events
    gc.collect()
    bench.check(REQUEST)


def test_an_interrupted_consumer_stops_the_answer(bench: Bench) -> None:
    bench.context.blocked.add(3)
    events = bench.begin(REQUEST)
    take(events, 2)
    with pytest.raises(KeyboardInterrupt):
        events.throw(KeyboardInterrupt)
    bench.context.blocked.clear()
    bench.check(REQUEST)


def test_close_stops_what_runs_and_frees_everything_after_it() -> None:
    bench = Bench()
    running = Event()
    bench.context.blocked.add(3)
    bench.context.on_decode = lambda number: running.set() if number == 3 else None
    seen: list[StepEvent] = []
    consumer = Thread(target=lambda: seen.extend(bench.engine.generate(REQUEST)))
    consumer.start()
    assert running.wait(PATIENCE)
    begin = perf_counter()
    bench.engine.close()
    consumer.join(PATIENCE)
    assert perf_counter() - begin < PROMPTLY
    assert not consumer.is_alive()
    assert bench.context.closed
    assert bench.drafter.closed
    assert bench.target.closed
    assert seen
    assert not any(isinstance(event, Finish) for event in seen)


def test_close_is_idempotent_and_a_closed_engine_refuses_requests() -> None:
    bench = Bench()
    bench.check(REQUEST)
    bench.engine.close()
    bench.engine.close()
    with pytest.raises(BackendError, match="closed"):
        bench.engine.generate(REQUEST)
    assert bench.context.closed


def test_an_answer_begun_after_close_is_refused() -> None:
    bench = Bench()
    events = bench.begin(REQUEST)
    bench.engine.close()
    with pytest.raises(BackendError, match="closed"):
        next(events)


def test_close_ends_an_answer_whose_consumer_paused() -> None:
    bench = Bench()
    events = bench.begin(REQUEST)
    take(events, 2)
    bench.engine.close()
    rest = list(events)
    whole = expected(bench.target, REQUEST, N_CTX)
    assert ids(rest) == whole.tokens[2 : 2 + len(ids(rest))]


@pytest.mark.parametrize(
    ("request_", "error", "words"),
    [
        (Request(()), InvalidInput, "prompt is empty"),
        (Request((1,), max_tokens=0), InvalidInput, "max_tokens = 0.*at least 1"),
        (Request((1, 32)), InvalidInput, "outside the vocabulary"),
        (Request((-1,)), InvalidInput, "outside the vocabulary"),
        (Request((1,) * (N_CTX + 1)), ContextOverflow, "81 tokens, the context holds 80"),
        (Request((1,), SamplingParams(grammar="((")), InvalidInput, "grammar"),
    ],
)
def test_requests_that_cannot_be_answered_are_refused_at_once(
    bench: Bench, request_: Request, error: type[InvalidInput], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        bench.engine.generate(request_)
    assert caught.value.exit_code is ExitCode.USAGE
    assert bench.context.decodes == 0
    bench.check(REQUEST)


def test_a_prompt_that_fills_the_context_gets_one_token(bench: Bench) -> None:
    request = Request(tuple(n % 30 for n in range(N_CTX)), SAMPLING)
    bench.check(request)
    events = bench.answer(request)
    assert len(ids(events)) == 1
    assert isinstance(events[-1], Finish)
    assert events[-1].reason is FinishReason.CONTEXT


def test_a_grammar_rules_every_token(bench: Bench) -> None:
    request = replace(REQUEST, sampling=replace(SAMPLING, grammar="2"))
    bench.check(request)
    grammar = bench.target.grammar("2")
    for token in ids(bench.answer(request)):
        grammar.accept(token)
