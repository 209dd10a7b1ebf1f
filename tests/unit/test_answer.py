"""One answer on a toy language: nothing that speculation does may change it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from threading import Condition

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgespec.acceptance import AcceptanceModel
from edgespec.answer import Answer
from edgespec.cache import Cache
from edgespec.drafting import DraftThread
from edgespec.errors import Aborted, BackendError
from edgespec.events import Finish, FinishReason, Notice, Request, Source, StepEvent, Token
from edgespec.events import Round as RoundSpans
from edgespec.protocols import ContextOptions, Rollback
from edgespec.sampling.logprobs import logprobs
from edgespec.sampling.params import SamplingParams
from edgespec.sampling.sampler import Sampler
from edgespec.scheduler import Scheduler
from edgespec.sources.drafter import ModelDrafter
from edgespec.sources.source import InstantSource
from edgespec.sources.suffix import SuffixMatch
from edgespec.tree import Candidate
from tests.fakes import FakeContext, FakeModel, ToyLanguage
from tests.oracle import expected
from tests.policies import Round, Told

LANGUAGE = ToyLanguage()
MODEL = FakeModel(LANGUAGE)
DRAFTERS = {
    "itself": LANGUAGE,
    "twin": LANGUAGE.twin(0.5),
    "distant twin": LANGUAGE.twin(3.0),
    "stranger": ToyLanguage(seed=99),
    "smaller vocabulary": ToyLanguage(28),
    "larger vocabulary": ToyLanguage(40),
}
N_CTX = 96
PROMPT = (0, 1, 2, 3, 0, 1)


@dataclass(frozen=True)
class Setting:
    """A target's context and the sources beside it, by name."""

    sources: tuple[str, ...] = ("twin",)
    lengths: tuple[int, ...] = (4,)
    n_batch: int = 32
    max_outputs: int = 17
    rollback: Rollback = Rollback.ANY
    drafter_rollback: Rollback = Rollback.ANY
    drafter_ctx: int = N_CTX
    overlap: bool = False


@dataclass
class Bench:
    """One target cache and its sources, over several answers."""

    setting: Setting
    cache: Cache = field(init=False)
    context: FakeContext = field(init=False)
    drafter_context: FakeContext | None = None
    drafter: DraftThread | None = None
    suffix: list[InstantSource] = field(default_factory=list)
    policy: Told = field(init=False)
    monitor: Condition = field(default_factory=Condition)
    told: list[RoundSpans] | None = None
    """What was told of the rounds, if anybody asked."""

    def __post_init__(self) -> None:
        setting = self.setting
        options = ContextOptions(N_CTX, setting.n_batch, setting.max_outputs, rollback=16)
        self.context = FakeContext(LANGUAGE, options, setting.rollback)
        self.cache = Cache(self.context)
        self.policy = Told(setting.lengths, overlap=setting.overlap)
        for name in setting.sources:
            if name == "suffix":
                self.suffix = [SuffixMatch()]
            else:
                self._start(name)
        OPEN.append(self)

    def _start(self, name: str) -> None:
        lanes = 4 if self.setting.drafter_rollback is Rollback.ANY else 1
        options = ContextOptions(self.setting.drafter_ctx, 8, 4, lanes, rollback=16)
        context = FakeContext(DRAFTERS[name], options, self.setting.drafter_rollback)
        drafter = ModelDrafter(context, LANGUAGE.n_vocab, lanes)
        self.drafter_context = context
        self.drafter = DraftThread(drafter, self.policy.costs, self.monitor)

    def events(self, request: Request) -> Iterator[StepEvent]:
        grammar = request.sampling.grammar
        sampler = Sampler(
            request.sampling,
            request.prompt,
            grammar=MODEL.grammar(grammar) if grammar is not None else None,
        )
        self.policy.rounds.clear()
        drafter = self.drafter if request.speculate else None
        scheduler = Scheduler(
            self.policy,
            AcceptanceModel(),
            max_drafts=self.context.max_outputs - 1,
            drafting=drafter is not None and drafter.usable,
        )
        answer = Answer(
            request,
            self.cache,
            MODEL.tokenizer,
            sampler,
            scheduler,
            self.suffix,
            drafter,
            self.monitor,
            clock=Clock(),
            on_round=self.told.append if self.told is not None else None,
        )
        return answer.events()

    @property
    def rounds(self) -> list[Round]:
        return self.policy.rounds


OPEN: list[Bench] = []


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    yield
    while OPEN:
        if drafter := OPEN.pop().drafter:
            drafter.close()


class Clock:
    """One second passes between two looks."""

    def __init__(self) -> None:
        self._now = 0.0

    def __call__(self) -> float:
        self._now += 1
        return self._now


def ids(events: Iterable[StepEvent]) -> tuple[int, ...]:
    return tuple(event.id for event in events if isinstance(event, Token))


def text(events: Iterable[StepEvent]) -> str:
    return "".join(event.piece for event in events if not isinstance(event, Notice))


def notices(events: Iterable[StepEvent]) -> list[Notice]:
    return [event for event in events if isinstance(event, Notice)]


def finish(events: Sequence[StepEvent]) -> Finish:
    assert isinstance(events[-1], Finish)
    assert not any(isinstance(event, Finish) for event in events[:-1])
    return events[-1]


def continued(request: Request, tokens: Sequence[int]) -> Request:
    """The rest of an answer that began with `tokens`."""
    left = None if request.max_tokens is None else request.max_tokens - len(tokens)
    return replace(request, prompt=(*request.prompt, *tokens), max_tokens=left)


def check_answer(bench: Bench, request: Request, events: Sequence[StepEvent]) -> None:
    """`events` are the answer that the oracle gives, and leave the cache as they should."""
    answer = expected(MODEL, request, N_CTX)
    assert ids(events) == answer.tokens
    assert text(events) == answer.text
    assert finish(events).reason is answer.reason
    assert bench.cache.tokens == [*request.prompt, *answer.tokens][:-1]
    assert bench.context.held() == tuple(bench.cache.tokens)


def check_stats(bench: Bench, request: Request, events: Sequence[StepEvent], held: int) -> None:
    """The numbers of an answer that found `held` tokens in the cache, counted once more."""
    stats, rounds = finish(events).stats, bench.rounds
    tokens = [event for event in events if isinstance(event, Token)]
    assert stats.prompt_tokens == len(request.prompt)
    assert stats.cached_tokens == held
    assert stats.tokens == len(tokens)
    assert stats.rounds == len(rounds) == tokens[-1].round
    assert stats.drafted == sum(done.drafts for done in rounds)
    assert stats.accepted == sum(token.source is not Source.TARGET for token in tokens)
    assert stats.ties == sum(token.tie for token in tokens)
    first = len(request.prompt)
    assert [token.position for token in tokens] == list(range(first, first + len(tokens)))
    assert all(0 <= b.round - a.round <= 1 for a, b in pairwise(tokens))
    for number, done in enumerate(rounds, start=1):
        emitted = [token.source for token in tokens if token.round == number]
        assert done.tokens == len(emitted) <= done.drafts + 1
        assert Source.TARGET not in emitted[:-1]
        assert emitted[-1] is Source.TARGET or number == stats.rounds
    if stats.rounds:
        assert stats.mean_accepted_length == (len(tokens) - 1) / stats.rounds
    assert stats.acceptance_rate == (stats.accepted / stats.drafted if stats.drafted else None)


samplings = st.builds(
    SamplingParams,
    temperature=st.sampled_from([0.0, 0.4, 1.0, 1.2]),
    top_k=st.sampled_from([0, 1, 5, 40]),
    top_p=st.sampled_from([0.8, 1.0]),
    min_p=st.sampled_from([0.0, 0.05]),
    repeat_penalty=st.sampled_from([1.0, 1.3]),
    frequency_penalty=st.sampled_from([0.0, 0.5]),
    penalty_window=st.sampled_from([3, 64]),
    logit_bias=st.dictionaries(st.integers(0, 31), st.sampled_from([-3.0, 1.0]), max_size=3),
    grammar=st.none() | st.sampled_from(["0", "1", "5"]),
    seed=st.integers(0, 2**64 - 1),
)
requests = st.builds(
    Request,
    prompt=st.lists(st.integers(0, 31), min_size=1, max_size=20).map(tuple),
    sampling=samplings,
    max_tokens=st.none() | st.integers(1, 40),
    stop=st.lists(st.sampled_from(["ab", "abc", "é", "the e", "(", "x"]), max_size=2).map(tuple),
)
kinds = st.sampled_from(list(Rollback))
bench_settings = st.builds(
    Setting,
    sources=st.sampled_from(
        [("suffix",), *((name,) for name in DRAFTERS), *(("suffix", name) for name in DRAFTERS)]
    ),
    lengths=st.lists(st.integers(0, 16), min_size=1, max_size=4).map(tuple),
    n_batch=st.sampled_from([1, 2, 5, 32]),
    max_outputs=st.sampled_from([1, 2, 6, 17]),
    rollback=kinds,
    drafter_rollback=kinds,
    drafter_ctx=st.sampled_from([24, N_CTX, 2 * N_CTX]),
    overlap=st.booleans(),
)


@settings(deadline=None, max_examples=150)
@given(setting=bench_settings, request=requests)
def test_speculation_changes_nothing(setting: Setting, request: Request) -> None:
    bench = Bench(setting)
    events = list(bench.events(request))
    check_answer(bench, request, events)
    check_stats(bench, request, events, held=0)
    assert notices(events) == []


@pytest.mark.parametrize("temperature", [0.0, 0.8])
@pytest.mark.parametrize("length", range(17))
def test_every_draft_length_gives_the_same_answer(length: int, temperature: float) -> None:
    sampling = SamplingParams(temperature, logit_bias={LANGUAGE.eog: -100.0}, seed=5)
    request = Request(PROMPT, sampling, max_tokens=60)
    bench = Bench(Setting(("suffix", "twin"), lengths=(length,)))
    events = list(bench.events(request))
    check_answer(bench, request, events)
    assert (finish(events).stats.accepted > 0) == (length > 0)


@pytest.mark.parametrize("temperature", [0.0, 0.8, 1.2])
@pytest.mark.parametrize("penalty", [1.0, 1.3])
@pytest.mark.parametrize("grammar", [None, "1"])
def test_the_target_as_its_own_drafter_accepts_everything(
    temperature: float, penalty: float, grammar: str | None
) -> None:
    sampling = SamplingParams(
        temperature,
        repeat_penalty=penalty,
        grammar=grammar,
        logit_bias={LANGUAGE.eog: -100.0, 3: 0.5},
        seed=3,
    )
    bench = Bench(Setting(("itself",), lengths=(4, 1, 9)))
    stats = finish(list(bench.events(Request(PROMPT, sampling)))).stats
    assert stats.drafted == stats.accepted > 0
    assert stats.tokens == N_CTX - len(PROMPT) + 1


@pytest.mark.parametrize(("name", "low", "high"), [("twin", 0.4, 1.0), ("stranger", 0.0, 0.3)])
def test_a_drafter_is_accepted_as_often_as_it_resembles_the_target(
    name: str, low: float, high: float
) -> None:
    drafted = accepted = 0
    for seed in range(15):
        request = Request(PROMPT, SamplingParams(seed=seed), max_tokens=50)
        stats = finish(list(Bench(Setting((name,))).events(request))).stats
        drafted, accepted = drafted + stats.drafted, accepted + stats.accepted
    assert low < accepted / drafted < high


def test_every_source_is_named_in_the_tokens() -> None:
    sampling = SamplingParams(0.0, logit_bias={LANGUAGE.eog: -100.0})
    bench = Bench(Setting(("suffix", "twin")))
    events = list(bench.events(Request(PROMPT, sampling)))
    found = {event.source for event in events if isinstance(event, Token)}
    assert found == {Source.SUFFIX, Source.DRAFTER, Source.TARGET}


def test_no_draft_is_asked_for_without_speculation() -> None:
    bench = Bench(Setting(("suffix", "twin")))
    sampling = SamplingParams(0.0, logit_bias={LANGUAGE.eog: -100.0})
    request = Request(PROMPT, sampling, speculate=False)
    events = list(bench.events(request))
    assert finish(events).stats.drafted == 0
    assert bench.suffix[0].propose([*PROMPT, *ids(events)], 4)
    assert bench.drafter_context is not None
    assert bench.drafter_context.decodes == 0
    assert {size for size, _ in bench.context.batches[1:]} == {1}


@pytest.mark.parametrize("length", [0, 1, 4, 16])
@pytest.mark.parametrize("limit", range(1, 24))
def test_the_answer_has_exactly_as_many_tokens_as_allowed(length: int, limit: int) -> None:
    sampling = SamplingParams(logit_bias={LANGUAGE.eog: -100.0})
    bench = Bench(Setting(("itself",), lengths=(length,)))
    events = list(bench.events(Request(PROMPT, sampling, max_tokens=limit)))
    assert len(ids(events)) == limit
    assert finish(events).reason is FinishReason.LENGTH
    assert sum(size for size, _ in bench.context.batches[1:]) == limit - 1


@pytest.mark.parametrize("length", [0, 1, 4, 16])
@pytest.mark.parametrize("room", range(24))
def test_the_answer_ends_with_the_first_token_that_the_context_cannot_hold(
    length: int, room: int
) -> None:
    sampling = SamplingParams(logit_bias={LANGUAGE.eog: -100.0})
    prompt = tuple(n % 30 for n in range(N_CTX - room))
    bench = Bench(Setting(("itself",), lengths=(length,)))
    events = list(bench.events(Request(prompt, sampling)))
    assert len(ids(events)) == room + 1
    assert finish(events).reason is FinishReason.CONTEXT
    assert len(bench.context.held()) == N_CTX


def test_a_suffix_match_that_the_grammar_forbids_hurts_nobody() -> None:
    for seed in range(30):
        sampling = SamplingParams(0.9, grammar="1", seed=seed, logit_bias={LANGUAGE.eog: -100.0})
        bench = Bench(Setting(("suffix", "twin"), (4,)))
        bench.suffix = [SuffixMatch(1)]
        request = Request((*range(28), *range(28)), sampling, max_tokens=20)
        events = list(bench.events(request))
        check_answer(bench, request, events)
        assert notices(events) == []


class Heedless:
    """Proposes what the grammar "1" allows behind `prompt`, and then what it does not."""

    name = Source.SUFFIX

    def __init__(self, prompt: Sequence[int]) -> None:
        self._prompt = len(prompt)

    def propose(self, history: Sequence[int], count: int) -> list[Candidate]:
        grammar = MODEL.grammar("1")
        for token in history[self._prompt :]:
            grammar.accept(token)
        chain: list[Candidate] = []
        for allowed in (True, False):
            mask = list(grammar.mask(np.arange(LANGUAGE.n_vocab, dtype=np.int32)))
            token = mask.index(allowed)
            chain.append(Candidate(token, ()))
            if allowed:
                grammar.accept(token)
        return chain[:count]


def test_nothing_is_verified_that_the_grammar_forbids() -> None:
    sampling = SamplingParams(0.9, grammar="1", seed=3, logit_bias={LANGUAGE.eog: -100.0})
    bench = Bench(Setting(("suffix",), (4,)))
    bench.suffix = [Heedless(PROMPT)]
    request = Request(PROMPT, sampling, max_tokens=20)
    events = list(bench.events(request))
    check_answer(bench, request, events)
    assert {outputs for _, outputs in bench.context.batches} == {1, 2}


def test_a_drafter_of_fewer_tokens_drafts_where_it_knows_them_all() -> None:
    sampling = SamplingParams(
        0.0, repeat_penalty=1.1, logit_bias={30: -200.0, 29: -200.0, 28: -200.0, 31: -200.0}
    )
    bench = Bench(Setting(("smaller vocabulary",)))
    request = Request(PROMPT, sampling, max_tokens=20)
    events = list(bench.events(request))
    check_answer(bench, request, events)
    assert notices(events) == []
    assert finish(events).stats.drafted > 0
    other = Request((*PROMPT, 30), sampling, max_tokens=20)
    events = list(bench.events(other))
    check_answer(bench, other, events)
    assert notices(events) == []
    assert finish(events).stats.drafted == 0


def test_an_end_inside_accepted_drafts_ends_the_answer_there() -> None:
    inside = 0
    for seed in range(40):
        request = Request(PROMPT, SamplingParams(1.2, logit_bias={LANGUAGE.eog: 2.0}, seed=seed))
        bench = Bench(Setting(("itself",), lengths=(7,)))
        events = list(bench.events(request))
        check_answer(bench, request, events)
        ended = finish(events).reason is FinishReason.EOG
        assert (LANGUAGE.eog in ids(events)) == ended
        inside += ended and ended_inside_drafts(bench)
    assert inside > 10


def test_a_stop_string_inside_accepted_drafts_ends_the_answer_there() -> None:
    inside = 0
    for seed in range(40):
        sampling = SamplingParams(1.0, logit_bias={LANGUAGE.eog: -100.0}, seed=seed)
        request = Request(PROMPT, sampling, stop=("he", "bc", "c("))
        bench = Bench(Setting(("itself",), lengths=(7,)))
        events = list(bench.events(request))
        check_answer(bench, request, events)
        ended = finish(events).reason is FinishReason.STOP
        inside += ended and ended_inside_drafts(bench)
    assert inside > 10


def ended_inside_drafts(bench: Bench) -> bool:
    return bool(bench.rounds) and 1 < bench.rounds[-1].tokens <= bench.rounds[-1].drafts


@settings(deadline=None, max_examples=40)
@given(setting=bench_settings, request=requests, others=st.lists(requests, max_size=3))
def test_an_answer_does_not_depend_on_those_before_it(
    setting: Setting, request: Request, others: list[Request]
) -> None:
    bench = Bench(setting)
    for other in others:
        check_answer(bench, other, list(bench.events(other)))
    check_answer(bench, request, list(bench.events(request)))


@pytest.mark.parametrize("temperature", [0.0, 0.9])
@pytest.mark.parametrize("rollback", list(Rollback))
def test_an_answer_dropped_at_any_event_can_be_continued(
    temperature: float, rollback: Rollback
) -> None:
    sampling = SamplingParams(temperature, repeat_penalty=1.1, seed=11)
    request = Request(PROMPT, sampling, max_tokens=30)
    setting = Setting(("suffix", "twin"), (6,), rollback=rollback, drafter_rollback=rollback)
    whole = expected(MODEL, request, N_CTX)
    for count in range(1, len(whole.tokens)):
        bench = Bench(setting)
        begun = [event for event, _ in zip(bench.events(request), range(count), strict=False)]
        rest = continued(request, ids(begun))
        events = list(bench.events(rest))
        assert (*ids(begun), *ids(events)) == whole.tokens
        check_answer(bench, rest, events)


@pytest.mark.parametrize("temperature", [0.0, 0.9])
def test_an_answer_that_has_begun_goes_on_as_it_would_have(temperature: float) -> None:
    sampling = SamplingParams(temperature, repeat_penalty=1.1, seed=11)
    request = Request(PROMPT, sampling, max_tokens=30)
    whole = list(Bench(Setting()).events(request))
    for count in range(1, len(ids(whole))):
        bench = Bench(Setting())
        events = list(bench.events(replace(request, begun=ids(whole)[:count])))
        assert (*ids(whole)[:count], *ids(events)) == ids(whole)
        assert text(whole[:count]) + text(events) == text(whole)
        assert finish(events).stats.tokens == finish(whole).stats.tokens


@pytest.mark.parametrize("rollback", list(Rollback))
def test_an_answer_aborted_in_any_decode_can_be_continued(rollback: Rollback) -> None:
    sampling = SamplingParams(0.9, seed=8, logit_bias={LANGUAGE.eog: -100.0})
    request = Request(tuple(range(20)), sampling, max_tokens=16)
    setting = Setting(("twin",), (5,), n_batch=8, rollback=rollback, drafter_rollback=rollback)
    aborted = 0
    for number in range(100):
        bench = Bench(setting)
        abort_in(bench.context, number)
        begun: list[StepEvent] = []
        try:
            begun.extend(bench.events(request))
            break
        except Aborted:
            aborted += 1
        bench.context.resume()
        bench.context.on_decode = lambda number: None
        bench.context.delay = lambda: 0.0
        rest = continued(request, ids(begun))
        check_answer(bench, rest, list(bench.events(rest)))
    assert aborted > 5


def abort_in(context: FakeContext, number: int) -> None:
    """Abort while decode `number` of `context` runs, or just before it."""

    def on_decode(now: int) -> None:
        if now == number and number % 2:
            context.abort()

    def delay() -> float:
        if context.decodes == number + 1:
            context.abort()
        return 0.0

    context.on_decode, context.delay = on_decode, delay


@pytest.mark.parametrize("rollback", list(Rollback))
@pytest.mark.parametrize("error", [BackendError("the device is gone"), Aborted()])
def test_a_drafter_that_fails_in_any_decode_is_left_out(
    rollback: Rollback, error: Exception
) -> None:
    sampling = SamplingParams(0.9, seed=8, logit_bias={LANGUAGE.eog: -100.0})
    request = Request(tuple(range(20)), sampling, max_tokens=14)
    failures = 0
    for number in range(200):
        bench = Bench(Setting(("twin",), (5,), drafter_rollback=rollback))
        assert bench.drafter_context is not None
        assert bench.drafter is not None
        bench.drafter_context.failures[number] = error
        events = list(bench.events(request))
        check_answer(bench, request, events)
        check_stats(bench, request, events, held=0)
        if bench.drafter_context.decodes <= number:
            break
        failures += 1
        again = list(bench.events(request))
        check_answer(bench, request, again)
        told = [notice.text for notice in (*notices(events), *notices(again))]
        if isinstance(error, Aborted):
            assert told == []
            continue
        assert told == [f"the drafter failed, the answer goes on without it: {error}"]
        assert bench.drafter_context.decodes == number + 1
        assert finish(again).stats.drafted == 0
    assert failures > 5


def test_the_other_source_goes_on_when_the_drafter_fails() -> None:
    sampling = SamplingParams(0.0, logit_bias={LANGUAGE.eog: -100.0})
    bench = Bench(Setting(("suffix", "twin"), (5,)))
    assert bench.drafter_context is not None
    bench.drafter_context.failures[3] = BackendError("the device is gone")
    request = Request(PROMPT, sampling)
    events = list(bench.events(request))
    check_answer(bench, request, events)
    assert len(notices(events)) == 1
    after = [event for event in list(bench.events(request)) if isinstance(event, Token)]
    assert {token.source for token in after} == {Source.TARGET, Source.SUFFIX}


@pytest.mark.parametrize("rollback", list(Rollback))
def test_a_failure_of_the_target_is_raised_and_the_next_answer_is_right(
    rollback: Rollback,
) -> None:
    sampling = SamplingParams(0.9, seed=8, logit_bias={LANGUAGE.eog: -100.0})
    request = Request(tuple(range(20)), sampling, max_tokens=16)
    whole = expected(MODEL, request, N_CTX)
    failures = 0
    for number in range(12):
        for kept in (0, 3, 100):
            bench = Bench(Setting(("twin",), (5,), n_batch=8, rollback=rollback))
            bench.context.failures[number] = BackendError("out of memory")
            begun: list[StepEvent] = []
            try:
                begun.extend(bench.events(request))
            except BackendError:
                failures += 1
            bench.context.failures.clear()
            emitted = ids(begun)
            assert emitted == whole.tokens[: len(emitted)]
            following = replace(request, prompt=(*request.prompt, *emitted)[: 20 + kept])
            check_answer(bench, following, list(bench.events(following)))
    assert failures > 15


def test_times_are_measured_with_the_clock() -> None:
    bench = Bench(Setting(lengths=(0,)))
    sampling = SamplingParams(logit_bias={LANGUAGE.eog: -100.0})
    stats = finish(list(bench.events(Request(PROMPT, sampling, max_tokens=3)))).stats
    assert (stats.prefill, stats.ttft) == (1.0, 2.0)
    assert stats.decode == sum(done.seconds for done in bench.rounds) + 1.0
    assert stats.tokens_per_second == 2 / stats.decode
    assert stats.plain_step is not None
    assert stats.speedup == stats.plain_step * 2 / stats.decode


def test_what_is_shared_with_the_last_answer_is_not_decoded_again() -> None:
    bench = Bench(Setting(lengths=(0,)))
    sampling = SamplingParams(logit_bias={LANGUAGE.eog: -100.0})
    request = Request(PROMPT, sampling, max_tokens=5)
    first = ids(bench.events(request))
    before = bench.context.decoded
    events = list(bench.events(Request((*PROMPT, *first, 7), sampling, max_tokens=1)))
    assert bench.context.decoded - before == 2
    assert finish(events).stats.cached_tokens == len(PROMPT) + 4


@pytest.mark.parametrize("sources", [("suffix",), ("twin",), ()])
def test_whoever_asks_is_told_of_every_round(sources: tuple[str, ...]) -> None:
    bench = Bench(Setting(sources, (4, 0, 2)))
    told: list[RoundSpans] = []
    bench.told = told
    sampling = SamplingParams(0.8, seed=3, logit_bias={LANGUAGE.eog: -100.0})
    stats = finish(list(bench.events(Request(PROMPT, sampling, max_tokens=40)))).stats
    assert [round_.index for round_ in told] == list(range(1, stats.rounds + 1))
    assert sum(round_.drafted for round_ in told) == stats.drafted
    assert sum(round_.accepted for round_ in told) == stats.accepted
    assert all(round_.verify[0] < round_.verify[1] for round_ in told)
    assert all(one.verify[1] < two.verify[0] for one, two in pairwise(told))
    spans = [span for round_ in told for span in round_.drafting]
    assert bool(spans) == ("twin" in sources)
    assert all(begin <= end for begin, end in spans)


@given(rest=st.integers(0, 5), lengths=st.lists(st.integers(0, 6), min_size=1, max_size=6))
@settings(deadline=None, max_examples=40)
def test_rounds_that_nobody_planned_change_nothing(rest: int, lengths: list[int]) -> None:
    sampling = SamplingParams(0.8, seed=3, logit_bias={LANGUAGE.eog: -100.0})
    bench = Bench(Setting(("suffix", "twin"), tuple(lengths)))
    bench.policy.rest = rest
    request = Request(PROMPT, sampling, max_tokens=40)
    events = list(bench.events(request))
    check_answer(bench, request, events)
    assert sum(done.tokens for done in bench.rounds) == 39
    rests = [done.tokens for done in bench.rounds if not done.drafts and done.tokens > 1]
    assert all(tokens <= rest for tokens in rests)
    if rest > 1:
        assert rests


@pytest.mark.parametrize("count", [None, 0, 3])
def test_a_token_has_as_many_logprobs_as_were_asked_for(count: int | None) -> None:
    sampling = SamplingParams(0.8, seed=3, logit_bias={LANGUAGE.eog: -100.0})
    request = Request(PROMPT, sampling, max_tokens=20, logprobs=count)
    history = list(PROMPT)
    for event in Bench(Setting(("twin",))).events(request):
        if isinstance(event, Token):
            wanted = LANGUAGE.logits(history)
            assert event.logprobs == (None if count is None else logprobs(wanted, event.id, count))
            history.append(event.id)
    assert len(history) == len(PROMPT) + 20


def test_without_speculation_no_plain_step_is_known() -> None:
    request = Request(PROMPT, SamplingParams(seed=3), max_tokens=5, speculate=False)
    assert finish(list(Bench(Setting()).events(request))).stats.plain_step is None
