"""Lanes: whatever was decoded before, a row is what its own path says."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from edgespec.errors import Aborted, BackendError
from edgespec.lanes import Lanes
from edgespec.protocols import ContextOptions
from tests.fakes import FakeContext, ToyLanguage

LANGUAGE = ToyLanguage(16, order=5)
N_CTX = 400
tokens = st.lists(st.integers(0, 2), max_size=5)
some_tokens = st.lists(st.integers(0, 2), min_size=1, max_size=5)
tails = st.lists(tokens, min_size=1, max_size=7)


def lanes_of(count: int, n_batch: int = 64) -> tuple[Lanes, FakeContext]:
    options = ContextOptions(N_CTX, n_batch, max_outputs=count, max_sequences=count)
    context = FakeContext(LANGUAGE, options)
    return Lanes(context, count), context


def check(
    lanes: Lanes,
    context: FakeContext,
    history: Sequence[int],
    tails: Sequence[Sequence[int]],
) -> list[int | None]:
    """Decode, and compare each row with the language."""
    before = context.decodes
    rows = lanes.decode(history, tails)
    found = [row for row in rows if row is not None]
    assert len(rows) == len(tails)
    assert rows[0] is not None, "the first path always has a lane"
    assert found == list(range(len(found)))
    if found:
        assert context.batches[-1][1] == len(found)
        assert context.decodes > before
    for tail, row in zip(tails, rows, strict=True):
        if row is not None:
            np.testing.assert_array_equal(context.logits(row), LANGUAGE.logits([*history, *tail]))
    return rows


class Walk(RuleBasedStateMachine):
    """A drafter's life: looking past several nodes, following the target, beginning again."""

    count = 4

    def __init__(self) -> None:
        super().__init__()
        self.lanes, self.context = lanes_of(self.count, n_batch=48)
        self.history = [3]
        self.tails: list[list[int]] = [[]]

    @rule(tails=tails)
    def look_past(self, tails: list[list[int]]) -> None:
        self._decode(tails)

    @rule(ahead=some_tokens)
    def look_past_what_was_looked_past(self, ahead: list[int]) -> None:
        self._decode([[*tail, token] for tail in self.tails for token in ahead][:7])

    @rule(tail=some_tokens)
    def look_past_a_node_and_its_parents(self, tail: list[int]) -> None:
        self._decode([tail[:length] for length in range(len(tail) + 1)])

    @rule(emitted=some_tokens)
    def emit_something(self, emitted: list[int]) -> None:
        self._emit(emitted)

    @rule(index=st.integers(0, 6), correction=st.none() | st.integers(0, 2))
    def emit_what_was_drafted(self, index: int, correction: int | None) -> None:
        tail = self.tails[index % len(self.tails)]
        self._emit(tail if correction is None else [*tail, correction])

    @rule(length=st.integers(1, 12), rest=tokens)
    def begin_another_answer(self, length: int, rest: list[int]) -> None:
        self.history = [*self.history[:length], *rest]
        self.tails = [[]]
        self.lanes.restart()

    @rule(length=st.integers(1, 120), rest=tokens)
    def prefill_another_answer(self, length: int, rest: list[int]) -> None:
        self.history = [*self.history, *([1, 0, 2] * 40)][:length] + rest
        self.tails = [[]]
        self.lanes.restart()
        self.lanes.prefill(self.history)

    @precondition(lambda self: len(self.history) > 1)
    @rule(tails=tails, error=st.sampled_from([BackendError("broke"), Aborted()]))
    def fail(self, tails: list[list[int]], error: Exception) -> None:
        self.context.failures[self.context.decodes] = error
        with pytest.raises(type(error)):
            self.lanes.decode(self.history, tails)
        self.lanes.forget()
        self.tails = [[]]
        assert all(not self.context.held(sequence) for sequence in range(self.count))

    @rule()
    def forget(self) -> None:
        self.lanes.forget()

    def _decode(self, tails: list[list[int]]) -> None:
        if len(self.history) + max(map(len, tails)) > N_CTX:
            return
        rows = check(self.lanes, self.context, self.history, tails)
        assert sum(row is not None for row in rows) <= self.count
        self.tails = [tail for tail, row in zip(tails, rows, strict=True) if row is not None]

    def _emit(self, emitted: list[int]) -> None:
        self.history = [*self.history, *emitted]
        self.tails = [[]]


class WalkInTwoLanes(Walk):
    """With room for one alternative only."""

    count = 2


class WalkInEightLanes(Walk):
    """As many as the drafter usually has."""

    count = 8


walks = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestWalk = Walk.TestCase
TestWalk.settings = walks
TestWalkInTwoLanes = WalkInTwoLanes.TestCase
TestWalkInTwoLanes.settings = walks
TestWalkInEightLanes = WalkInEightLanes.TestCase
TestWalkInEightLanes.settings = walks


@settings(deadline=None)
@given(history=st.lists(st.integers(0, 15), min_size=1, max_size=200), n_batch=st.integers(1, 50))
def test_prefill_holds_all_but_the_last_token(history: list[int], n_batch: int) -> None:
    lanes, context = lanes_of(3, n_batch)
    lanes.prefill(history)
    assert context.held() == tuple(history[:-1])
    assert all(outputs == 0 for _, outputs in context.batches)
    before = context.decoded
    check(lanes, context, history, [[]])
    assert context.decoded == before + 1


def test_following_the_likeliest_path_costs_one_token_a_step() -> None:
    lanes, context = lanes_of(4)
    history = list(range(10))
    check(lanes, context, history, [[]])
    for length in range(1, 6):
        before = context.decoded
        check(lanes, context, history, [[7] * length])
        assert context.decoded == before + 1


def test_an_alternative_shares_what_it_has_in_common_with_the_path() -> None:
    lanes, context = lanes_of(4)
    history = list(range(10))
    check(lanes, context, history, [[1]])
    before = context.decoded
    check(lanes, context, history, [[1, 2], [1, 3], [4]])
    assert context.decoded == before + 3


def test_a_hit_on_an_alternative_needs_nothing_again() -> None:
    lanes, context = lanes_of(4)
    history = list(range(10))
    check(lanes, context, history, [[]])
    check(lanes, context, history, [[1], [2]])
    before = context.decoded
    check(lanes, context, [*history, 2], [[5]])
    assert context.decoded == before + 1


def test_a_conversation_that_goes_on_keeps_what_was_decoded() -> None:
    lanes, context = lanes_of(4)
    history = [index % 16 for index in range(60)]
    check(lanes, context, history, [[1], [2]])
    lanes.restart()
    before = context.decoded
    check(lanes, context, [*history, 1, 5, 6], [[]])
    assert context.decoded == before + 2


def test_more_paths_than_lanes_leave_the_last_ones_out() -> None:
    lanes, context = lanes_of(3)
    check(lanes, context, [1, 2, 3], [[]])
    rows = check(lanes, context, [1, 2, 3], [[1], [2], [3], [4], [5]])
    assert rows == [0, 1, 2, None, None]


def test_a_long_chain_in_one_lane_asks_for_no_more_rows_than_the_context_keeps() -> None:
    lanes, context = lanes_of(4)
    rows = check(lanes, context, [1, 2, 3], [[5] * length for length in range(9)])
    assert rows == [0, 1, 2, 3, *[None] * 5]


def test_a_batch_never_outgrows_the_context() -> None:
    lanes, context = lanes_of(8, n_batch=8)
    history = list(range(10))
    check(lanes, context, history, [[]])
    rows = check(lanes, context, history, [[token] * 3 for token in range(5)])
    assert rows == [0, 1, None, None, None]
