"""The built-in pair while both threads stumble, the drafter dies and the reader leaves."""

from collections.abc import Callable
from math import inf
from random import Random
from time import sleep
from typing import Any

import pytest

from edgespec.acceptance import AcceptanceModel
from edgespec.engine import Engine
from edgespec.errors import BackendError
from edgespec.events import Finish, Notice, Request, Token
from edgespec.protocols import Context, ContextOptions, Model, ModelOptions
from edgespec.sources.drafter import ModelDrafter
from edgespec.sources.suffix import SuffixMatch
from edgespec_backends.llamacpp import open_model
from tests.backends.nano import DRAFTER, TARGET, Comparison, Pair, Prompts, random_sampling
from tests.policies import Told

pytestmark = [pytest.mark.native, pytest.mark.slow]

CASES = 200
TOKENS = 24
LANES = 4


def disturbed(context: Context, random: Random, fails_at: int | None = None) -> Context:
    """The context, whose decodes are late now and then from now on, and fail from the n-th on."""
    left = inf if fails_at is None else fails_at

    def stumbling(decode: Callable[..., None]) -> Callable[..., None]:
        def stumble(*arguments: Any, **options: Any) -> None:
            nonlocal left
            if random.random() < 0.3:
                sleep(random.choice([0.0, 0.0005, 0.003]))
            left -= 1
            if left < 0:
                raise BackendError("the device is gone")
            decode(*arguments, **options)

        return stumble

    for name in ("decode", "decode_rows", "decode_tree"):
        setattr(context, name, stumbling(getattr(context, name)))
    return context


def engine(target: Model, drafter: Model, random: Random, fails_at: int | None) -> Engine:
    contexts = [
        target.context(ContextOptions(n_ctx=512, max_outputs=17, branches=16)),
        drafter.context(ContextOptions(n_ctx=512, max_outputs=LANES, max_sequences=LANES)),
    ]

    def close() -> None:
        for context in contexts:
            context.close()

    lengths = [random.randint(0, 9) for _ in range(5)]
    policy = Told(lengths, overlap=random.random() < 0.8, branching=random.random() < 0.7)
    policy.rest = random.choice([0, 0, 2])
    return Engine(
        target,
        disturbed(contexts[0], random),
        policy,
        AcceptanceModel(),
        [SuffixMatch()] if random.random() < 0.5 else [],
        ModelDrafter(disturbed(contexts[1], random, fails_at), target.tokenizer.n_vocab, LANES),
        close,
    )


def read(running: Engine, request: Request, random: Random) -> tuple[list[Token], int, int]:
    """The tokens of one answer, broken off and continued at random; with stops and notices."""
    done: list[Token] = []
    stops = notices = 0
    while True:
        ids = (token.id for token in done)
        left = TOKENS - len(done)
        rest = Request((*request.prompt, *ids), request.sampling, left)
        until = random.choice([TOKENS, TOKENS, random.randint(1, 12)])
        events = running.generate(rest)
        for event in events:
            notices += isinstance(event, Notice)
            if isinstance(event, Token):
                done.append(event)
                until -= 1
            if until == 0 and not isinstance(event, Finish):
                break
        else:
            return done, stops, notices
        events.close()
        if len(done) == TOKENS:
            return done, stops, notices
        stops += 1


def test_200_answers_with_delays_crashes_and_cancellations_are_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    random, seen = Random(11), Comparison()
    one = ModelOptions(threads=1)
    target, drafter = open_model(TARGET, one), open_model(DRAFTER, one)
    plain = Pair(target, None)
    prompts = Prompts(target)
    stops = crashes = 0
    for number in range(CASES):
        request = Request(prompts.short(random), random_sampling(random), TOKENS)
        expected = plain.answer(request, 0)
        fails_at = random.choice([None, None, random.randint(0, 30)])
        with engine(target, drafter, Random(number), fails_at) as running:
            tokens, stopped, noticed = read(running, request, random)
        assert [token.position for token in tokens] == list(
            range(len(request.prompt), len(request.prompt) + len(tokens))
        )
        assert noticed <= (fails_at is not None)
        stops, crashes = stops + stopped, crashes + noticed
        seen.add(f"case {number}", expected, tokens)
    for closable in (plain.engine, target, drafter):
        closable.close()
    with capsys.disabled():
        print(f"\n{stops} stops, {crashes} drafters died; {seen}")
    assert seen.unexcused == []
    assert stops > 30
    assert crashes > 15
