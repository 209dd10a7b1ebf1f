"""Many answers in one context: each is what it would be alone, at any width and in any order."""

from collections.abc import Sequence
from dataclasses import replace
from math import exp, log
from random import Random
from statistics import fmean

import pytest

from edgespec.acceptance import AcceptanceModel
from edgespec.batch.batcher import Batcher
from edgespec.batch.drafts import Drafts
from edgespec.batch.pace import Pace
from edgespec.batch.queue import Queue
from edgespec.batch.stream import Stream
from edgespec.batch.tasks import Answered, Failed, Outcome, Task
from edgespec.cache import Cache
from edgespec.costs import CostModel, CostTable
from edgespec.errors import Aborted
from edgespec.events import FinishReason, Request, Token
from edgespec.protocols import ContextOptions
from edgespec.sampling.params import SamplingParams
from edgespec.sampling.sampler import Sampler
from tests.fakes import FakeContext, FakeModel, ToyLanguage

N_CTX = 96
COSTS = CostModel(CostTable({0: {1: 1.0, 32: 2.0}}, {0: 0.1}))
LANGUAGE = ToyLanguage(eog_shift=-2.0)


class Eager(Pace):
    """Verifies any number of the drafts."""

    def __init__(self, random: Random) -> None:
        super().__init__(COSTS)
        self._random = random

    def pays(self, answers: int, depth: int, limit: int) -> bool:
        """Always."""
        return True

    def affordable(self, survivals: Sequence[Sequence[float]], depth: int, limit: int) -> list[int]:
        """Some of each, as far as the limit goes."""
        counts: list[int] = []
        for survival in survivals:
            most = min(len(survival), limit - sum(counts))
            counts.append(self._random.randint(min(1, most), most))
        return counts


def alone(request: Request) -> tuple[list[int], FinishReason]:
    """The answer, token by token, without any machinery."""
    model = FakeModel(LANGUAGE)
    grammar = request.sampling.grammar
    sampler = Sampler(
        request.sampling,
        request.prompt,
        grammar=model.grammar(grammar) if grammar else None,
        choice=request.choice,
    )
    history = list(request.prompt)
    while True:
        token = sampler.choose(LANGUAGE.logits(history), len(history)).token
        sampler.accept(token)
        history.append(token)
        answer = history[len(request.prompt) :]
        if token == LANGUAGE.eog:
            return answer, FinishReason.EOG
        if len(answer) == request.max_tokens:
            return answer, FinishReason.LENGTH
        if len(history) > N_CTX:
            return answer, FinishReason.CONTEXT


def text(tokens: Sequence[int]) -> str:
    pieces = [FakeModel(LANGUAGE).tokenizer.piece(token) for token in tokens]
    return b"".join(pieces).decode("utf-8", "replace")


def requests(count: int, seed: int = 0) -> list[Request]:
    """Prompts that often begin alike, with settings of every kind."""
    random = Random(seed)
    begin = [tuple(random.randrange(31) for _ in range(20)) for _ in range(3)]
    return [
        Request(
            (
                *random.choice(begin)[: random.randint(1, 20)],
                *random.choices(range(31), k=n % 9),
            ),
            SamplingParams(
                random.choice([0.0, 0.7, 1.2]),
                repeat_penalty=random.choice([1.0, 1.2]),
                grammar=random.choice([None, None, "3"]),
                seed=random.getrandbits(64),
            ),
            max_tokens=random.choice([None, 1, 5, 30]),
            choice=random.randrange(3),
        )
        for n in range(count)
    ]


def answers(
    given: Sequence[Request],
    width: int,
    room: int = 4096,
    batch: int = 32,
    eager: Random | None = None,
    aborts: Random | None = None,
) -> dict[int, Outcome]:
    options = ContextOptions(n_ctx=room, n_batch=batch, max_outputs=64, max_sequences=width)
    context = FakeContext(LANGUAGE, options)
    pace = Eager(eager) if eager else Pace(COSTS)
    drafts = Drafts(pace, AcceptanceModel()) if eager else None
    batcher = Batcher(FakeModel(LANGUAGE), context, pace, width, N_CTX, drafts)
    for number, request in enumerate(given):
        batcher.add(Task(number, 0, request, 20.0))
    found: dict[int, Outcome] = {}
    while batcher.busy:
        if aborts and aborts.random() < 0.3:
            context.abort()
            with pytest.raises(Aborted):
                batcher.step()
            context.resume()
        for outcome in batcher.step():
            assert outcome.task.row not in found
            found[outcome.task.row] = outcome
    assert batcher.load.active == 0
    return found


def test_steps_that_are_broken_off_are_tried_again() -> None:
    given = requests(40)
    assert _texts(answers(given, 7, eager=Random(1), aborts=Random(2))) == _texts(answers(given, 7))


def _texts(found: dict[int, Outcome]) -> dict[int, str]:
    return {row: outcome.text for row, outcome in found.items() if isinstance(outcome, Answered)}


@pytest.mark.parametrize("width", [1, 2, 7, 32])
def test_each_answer_is_what_it_is_alone(width: int) -> None:
    given = requests(60)
    found = answers(given, width)
    shuffled = Random(width).sample(range(60), 60)
    again = answers([given[number] for number in shuffled], width)
    for place, number in enumerate(shuffled):
        tokens, reason = alone(given[number])
        for outcome in (found[number], again[place]):
            assert isinstance(outcome, Answered)
            assert (outcome.text, outcome.reason) == (text(tokens), reason)
            assert outcome.stats.tokens == len(tokens)
            assert outcome.stats.prompt_tokens == len(given[number].prompt)


@pytest.mark.parametrize("width", [1, 2, 7])
def test_drafts_of_different_lengths_change_nothing(width: int) -> None:
    greedy = SamplingParams(0.0)  # A toy language without chance soon repeats itself.
    given = requests(40, seed=4)
    given += [replace(request, sampling=greedy, max_tokens=50) for request in given[:20]]
    found = answers(given, width, eager=Random(width))
    drafted = accepted = 0
    for number, request in enumerate(given):
        tokens, reason = alone(request)
        outcome = found[number]
        assert isinstance(outcome, Answered)
        assert (outcome.text, outcome.reason) == (text(tokens), reason)
        drafted += outcome.stats.drafted
        accepted += outcome.stats.accepted
    assert 20 < accepted < drafted


def test_short_of_room_answers_are_put_off_but_not_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = requests(40, seed=1)
    put_off: list[Stream] = []
    put_back = Queue.put_back

    def spy(queue: Queue, stream: Stream) -> None:
        put_off.append(stream)
        put_back(queue, stream)

    monkeypatch.setattr(Queue, "put_back", spy)
    found = answers(given, 16, room=N_CTX + 30)
    assert len(put_off) > 3
    for number, request in enumerate(given):
        outcome = found[number]
        assert isinstance(outcome, Answered)
        assert outcome.text == text(alone(request)[0])


def test_a_beginning_that_all_share_is_decoded_once() -> None:
    shared = tuple(Random(2).choices(range(31), k=60))
    given = [Request((*shared, number), SamplingParams(0.0), max_tokens=2) for number in range(16)]
    found = answers(given, 16)
    cached = [
        outcome.stats.cached_tokens for outcome in found.values() if isinstance(outcome, Answered)
    ]
    assert sorted(cached) == [0, *[60] * 15]


def test_an_answer_that_fails_concerns_nobody_else() -> None:
    given = requests(10, seed=3)
    bans = {token: float("-inf") for token in range(32)}
    given[4] = Request((1, 2), SamplingParams(0.0, logit_bias=bans))
    given[7] = Request((1, 2), SamplingParams(0.0, grammar="nonsense"))
    found = answers(given, 4)
    failed = {number for number, outcome in found.items() if isinstance(outcome, Failed)}
    assert failed == {4, 7}
    assert len(found) == 10


def test_long_prompts_do_not_keep_others_from_going_on() -> None:
    """Between any two pieces of long prompts, the answers that are under way get a step."""
    options = ContextOptions(n_ctx=4096, n_batch=512, max_outputs=64, max_sequences=2)
    context = FakeContext(LANGUAGE, options)
    batcher = Batcher(FakeModel(LANGUAGE), context, Pace(COSTS), 2, 2000)
    batcher.add(Task(0, 0, Request((1,), SamplingParams(0.0), max_tokens=12), 20.0))
    batcher.step()
    batcher.add(Task(1, 0, Request((2,) * 1500, SamplingParams(0.0), max_tokens=1), 20.0))
    while len(batcher.step()) == 0:
        pass
    assert [size for size, _ in context.batches] == [1, 512, 1, 512, 1, 476]


def test_an_answer_that_has_begun_goes_on_as_it_would_have() -> None:
    random = Random(3)
    given = requests(40)
    expected = [alone(request) for request in given]
    begun = [
        replace(request, begun=tuple(tokens[: random.randrange(len(tokens))]))
        for request, (tokens, _) in zip(given, expected, strict=True)
    ]
    found = answers(begun, 4, eager=random)
    for number, (tokens, reason) in enumerate(expected):
        outcome = found[number]
        assert isinstance(outcome, Answered)
        assert (outcome.text, outcome.reason) == (text(tokens), reason)
        assert outcome.stats.tokens == len(tokens)


def lively(width: int) -> tuple[Batcher, FakeContext]:
    options = ContextOptions(n_ctx=4096, n_batch=32, max_outputs=64, max_sequences=width)
    context = FakeContext(LANGUAGE, options)
    return Batcher(FakeModel(LANGUAGE), context, Pace(COSTS), width, N_CTX), context


def test_whoever_listens_hears_every_token_until_the_task_is_given_up() -> None:
    batcher, _ = lively(2)
    given = [replace(request, max_tokens=30, logprobs=2) for request in requests(3)]
    heard: list[list[Token]] = [[], [], []]
    tasks = [Task(n, 0, given[n], 20.0, listen=heard[n].append) for n in range(3)]
    for task in tasks:
        batcher.add(task)
    batcher.step()
    waiting = next(n for n in range(3) if not heard[n])
    given_up = next(n for n in range(3) if heard[n])
    batcher.cancel(tasks[waiting])
    batcher.cancel(tasks[given_up])
    found = [outcome.task.row for _ in range(100) if batcher.busy for outcome in batcher.step()]
    (left,) = {0, 1, 2} - {waiting, given_up}
    assert found == [left]
    assert not heard[waiting]
    assert len(heard[given_up]) == 1
    assert [token.id for token in heard[left]] == alone(given[left])[0]
    for token in heard[left]:
        assert token.logprobs
        assert len(token.logprobs.top) == 2
        assert token.logprobs.chosen <= token.logprobs.top[0][1] <= 0


def test_an_answer_tells_how_likely_it_was() -> None:
    given = [replace(request, max_tokens=30, logprobs=0) for request in requests(6)]
    for row, outcome in answers(given, 3, eager=Random(1)).items():
        assert isinstance(outcome, Answered)
        history, found = list(given[row].prompt), []
        for token in alone(given[row])[0]:
            logits = LANGUAGE.logits(history).astype(float)
            found.append(logits[token] - log(sum(map(exp, logits))))
            history.append(token)
        assert outcome.mean_logprob == pytest.approx(fmean(found), abs=1e-5)


def test_an_engine_and_a_batcher_take_turns_on_one_context() -> None:
    batcher, context = lively(3)
    given = [replace(request, max_tokens=30) for request in requests(3, seed=5)]
    tasks = [Task(n, 0, request, 20.0) for n, request in enumerate(given)]
    for task in tasks:
        batcher.add(task)
    for _ in range(8):
        batcher.step()
    for task in tasks:
        batcher.cancel(task)
    wanted = given[1].prompt
    cache = Cache(context)
    cache.tokens = batcher.keep(wanted)
    assert cache.prefill(wanted) >= len(wanted) - 1
    assert list(cache.logits(0)) == list(LANGUAGE.logits(wanted))
    again = Batcher(
        FakeModel(LANGUAGE), context, Pace(COSTS), 3, N_CTX, held=wanted, prompt=len(wanted)
    )
    for task in tasks:
        again.add(task)
    outcomes = [outcome for _ in range(200) if again.busy for outcome in again.step()]
    for outcome in outcomes:
        assert isinstance(outcome, Answered)
        assert outcome.text == text(alone(given[outcome.task.row])[0])
    assert len(outcomes) == 3
