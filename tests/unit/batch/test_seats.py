"""One drafter for many answers: each draft is what its own text suggests, if there is room."""

from collections.abc import Sequence
from random import Random

import pytest

from edgespec.batch.layout import Layout
from edgespec.batch.seats import BatchDrafter
from edgespec.batch.stream import Stream
from edgespec.batch.tasks import Task
from edgespec.events import Request
from edgespec.protocols import ContextOptions
from edgespec.sampling.params import SamplingParams
from edgespec.sampling.sampler import Sampler
from tests.fakes import FakeContext, FakeModel, ToyLanguage

LANGUAGE = ToyLanguage()


def stream(prompt: Sequence[int]) -> Stream:
    request = Request(tuple(prompt), SamplingParams(0.0))
    sampler = Sampler(request.sampling, request.prompt)
    tokenizer = FakeModel(LANGUAGE).tokenizer
    return Stream(Task(0, 0, request, 9.0), tokenizer, sampler, Layout(len(prompt), 16), 256, 0.0)


def drafter(room: int = 256, seats: int = 3, n_vocab: int = LANGUAGE.n_vocab) -> BatchDrafter:
    options = ContextOptions(room, 16, max_outputs=seats, max_sequences=seats)
    return BatchDrafter(FakeContext(LANGUAGE, options), n_vocab, seats)


def expected(text: Sequence[int]) -> int:
    return int(LANGUAGE.logits(text).argmax())


def test_each_answer_is_drafted_for_at_its_own_position() -> None:
    random, small = Random(1), drafter()
    streams = [stream(random.choices(range(31), k=size)) for size in (3, 40, 11)]
    tails: list[list[int]] = [[], [], []]
    for _ in range(60):
        asked = [number for number in range(3) if random.random() < 0.7]
        found = small.draft([(streams[number], tails[number]) for number in asked])
        for number, candidate in zip(asked, found, strict=True):
            assert candidate is not None
            text = [*streams[number].history, *tails[number]]
            assert candidate.token == expected(text)
            tails[number].append(candidate.token)
            if random.random() < 0.4:
                # The target keeps some of the drafts and goes on with a token of its own.
                kept = random.randrange(len(tails[number]) + 1)
                streams[number].history += [*tails[number][:kept], random.randrange(31)]
                tails[number] = []


def test_who_finds_no_seat_or_no_room_has_no_draft() -> None:
    small = drafter(room=32, seats=2)
    long, short, third = stream([1] * 29), stream([2] * 3), stream([3])
    first, second = small.draft([(long, []), (short, [])])
    assert first is not None
    assert second is not None
    assert small.draft([(third, []), (short, [4])]) == [None, None]
    small.release(long)
    assert None not in small.draft([(third, []), (short, [4])])


@pytest.mark.parametrize("token", [31, 40])
def test_texts_in_tokens_that_the_drafter_lacks_are_left_alone(token: int) -> None:
    small = drafter(n_vocab=64)
    (found,) = small.draft([(stream([1, token]), [])])
    assert (found is None) == (token >= LANGUAGE.n_vocab)
