"""Threads of a real context, bound to processors."""

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgespec import bandwidth, cpu_sets
from edgespec.drafter_seat import SeatTrial
from edgespec.protocols import ContextOptions, ModelOptions
from edgespec.topology import detect
from edgespec_backends.llamacpp.context import LlamaContext
from edgespec_backends.llamacpp.model import LlamaModel
from tests.backends.nano import DRAFTER

pytestmark = [
    pytest.mark.native,
    pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel where threads may run"),
]
ALLOWED = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else [0]


@pytest.fixture
def context() -> Iterator[LlamaContext]:
    model = LlamaModel(Path(DRAFTER), ModelOptions(threads=1), None)
    context = model.context(ContextOptions(n_ctx=256, n_batch=64, max_outputs=8))
    yield context
    context.close()
    model.close()


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    """A thread whose affinity no other test shares."""
    with ThreadPoolExecutor(1) as executor:
        yield executor


def decode(context: LlamaContext, n: int) -> tuple[np.ndarray, set[int]]:
    context.decode([7, 8, 9, 10][:n], 0, outputs=n)
    logits = context.logits(n - 1).copy()
    context.clear()
    return logits, os.sched_getaffinity(0)


def test_one_thread_is_bound(context: LlamaContext, thread: ThreadPoolExecutor) -> None:
    free, _ = thread.submit(decode, context, 1).result()
    for cpu in ALLOWED:
        thread.submit(context.bind, [cpu], [cpu], [cpu]).result()
        for n in (1, 4, 1):
            _, where = thread.submit(decode, context, n).result()
            assert where == {cpu}
    bound, _ = thread.submit(decode, context, 1).result()
    np.testing.assert_array_equal(bound, free)


@pytest.mark.skipif(len(ALLOWED) < 2, reason="needs two processors")
def test_single_tokens_and_batches_on_other_processors(
    context: LlamaContext, thread: ThreadPoolExecutor
) -> None:
    thread.submit(context.bind, ALLOWED[:1], ALLOWED[:2], ALLOWED[:2]).result()
    places = [thread.submit(decode, context, n).result()[1] for n in (1, 4, 1, 4)]
    one, two = set(ALLOWED[:1]), set(ALLOWED[:2])
    assert places == [one, two, one, two]


@pytest.mark.skipif(len(ALLOWED) < 2, reason="needs two processors")
def test_prompts_on_processors_of_their_own(
    context: LlamaContext, thread: ThreadPoolExecutor
) -> None:
    def prompt() -> tuple[np.ndarray, set[int]]:
        context.decode([7] * 20, 0, outputs=1)
        logits = context.logits(0).copy()
        context.clear()
        return logits, os.sched_getaffinity(0)

    free, _ = thread.submit(prompt).result()
    first, second = ALLOWED[:1], ALLOWED[1:2]
    thread.submit(context.bind, ALLOWED[:2], first, second).result()
    for _ in range(2):
        logits, where = thread.submit(prompt).result()
        assert where == set(second)
        np.testing.assert_allclose(logits, free, atol=0.05)
        assert thread.submit(decode, context, 4).result()[1] == set(first)
        thread.submit(decode, context, 1).result()


@pytest.mark.skipif(len(ALLOWED) < 2, reason="needs two processors")
def test_pools_are_changed_while_they_are_in_use(
    context: LlamaContext, thread: ThreadPoolExecutor
) -> None:
    expected = None
    for count in (2, 1, 2, 1, 1, 2):
        thread.submit(context.bind, *3 * [ALLOWED[:count]]).result()
        logits, _ = thread.submit(decode, context, 4).result()
        expected = logits if expected is None else expected
        np.testing.assert_allclose(logits, expected, atol=0.05)


@pytest.mark.skipif(len(ALLOWED) < 2, reason="needs two processors")
def test_one_thread_roams_and_leaves_others_where_they_are(
    context: LlamaContext, thread: ThreadPoolExecutor
) -> None:
    """Target and drafter have one thread in calibrations and batches, and another mask each."""
    model = LlamaModel(Path(DRAFTER), ModelOptions(threads=2), None)
    target = model.context(ContextOptions(n_ctx=256, n_batch=64, max_outputs=8))
    both, one = set(ALLOWED[:2]), set(ALLOWED[1:2])
    free, _ = thread.submit(decode, context, 4).result()
    try:
        thread.submit(target.bind, *3 * [ALLOWED[:2]]).result()
        for mask in (both, one):
            thread.submit(context.bind, *3 * [sorted(mask)], threads=1).result()
            for n in (1, 4, 1):
                assert thread.submit(decode, context, n).result()[1] == mask
                assert thread.submit(decode, target, n).result()[1] == both
        bound, _ = thread.submit(decode, context, 4).result()
        np.testing.assert_array_equal(bound, free)
    finally:
        target.close()
        model.close()


@pytest.mark.parametrize(
    "sets", [([], [0], [0]), ([0], [], [0]), ([0], [0], []), (list(range(513)), [0], [0])]
)
def test_processors_that_cannot_be(context: LlamaContext, sets: tuple[list[int], ...]) -> None:
    with pytest.raises(ValueError, match="threads on"):
        context.bind(*sets)


def test_cores_are_compared() -> None:
    speeds = bandwidth.core_speeds(ALLOWED, 0.02)
    assert speeds.keys() == set(ALLOWED)
    assert max(speeds.values()) == 1
    assert min(speeds.values()) > 0


@pytest.mark.skipif(len(ALLOWED) < 2, reason="needs two processors")
def test_a_real_drafter_takes_a_seat(context: LlamaContext, thread: ThreadPoolExecutor) -> None:
    model = LlamaModel(Path(DRAFTER), ModelOptions(threads=1), None)
    target = model.context(ContextOptions(n_ctx=256, n_batch=64, max_outputs=8))
    seats = cpu_sets.beside(detect.plain(2), (0,))
    seats = [replace(seat, cpus=(ALLOWED[seat.cpus[0]],)) for seat in seats]
    try:
        thread.submit(target.bind, *3 * [ALLOWED[:1]]).result()
        seat = thread.submit(SeatTrial(target, context, seats).best).result()
        assert seat in seats
        assert thread.submit(decode, context, 1).result()[1] == set(seat.cpus)
        assert target.length() == context.length() == 0
    finally:
        target.close()
        model.close()
