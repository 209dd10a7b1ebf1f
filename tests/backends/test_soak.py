"""Ten thousand rounds leave the memory as it was."""

import gc
from random import Random

import psutil
import pytest

from edgespec.events import Request
from edgespec.protocols import ModelOptions
from edgespec.sampling.params import SamplingParams
from edgespec_backends.llamacpp import open_model
from tests.backends.nano import DRAFTER, TARGET, Pair, Prompts

pytestmark = [pytest.mark.native, pytest.mark.slow, pytest.mark.timeout(1200)]

SETTLED = 6_000
ROUNDS = SETTLED + 10_000
ALLOWED = 8 << 20
"""Bytes: rarely used weights come into memory late, most of them before it is settled.
A leak of one row of logits in every tenth round would be 26 MB."""


def test_10000_rounds_leave_memory_flat() -> None:
    one = ModelOptions(threads=1)
    target, drafter = open_model(TARGET, one), open_model(DRAFTER, one)
    pair, prompts, random = Pair(target, drafter, overlap=True), Prompts(target), Random(3)
    process, rounds, settled = psutil.Process(), 0, 0
    while rounds < ROUNDS:
        eog = target.tokenizer.eos
        sampling = SamplingParams(
            1.0, seed=rounds, logit_bias={eog: -100.0} if eog is not None else {}
        )
        pair.answer(Request(prompts.short(random), sampling, 400), random.randint(1, 4))
        rounds += len(pair.policy.rounds)
        if rounds >= SETTLED and not settled:
            gc.collect()
            settled = process.memory_info().rss
    gc.collect()
    grown = process.memory_info().rss - settled
    for closable in (pair.engine, target, drafter):
        closable.close()
    assert grown < ALLOWED
