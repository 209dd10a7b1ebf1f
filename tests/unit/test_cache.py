"""The cache over contexts that check every call, whatever is refused, fails or is aborted."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgespec.cache import Cache
from edgespec.errors import Aborted, BackendError
from edgespec.protocols import ContextOptions, Rollback
from tests.fakes import FakeContext, ToyLanguage

LANGUAGE = ToyLanguage()
kinds = pytest.mark.parametrize("rollback", list(Rollback))
tokens = st.lists(st.integers(0, 31), min_size=1, max_size=6)
steps = st.lists(
    st.tuples(
        st.sampled_from(["verify", "verify", "prefill", "truncate", "forget"]),
        tokens,
        st.integers(0, 12),
        st.sampled_from(["", "", "", "fail", "abort", "abort inside"]),
    ),
    max_size=20,
)


def cache_of(rollback: Rollback, n_batch: int = 6, limit: int = 4) -> tuple[Cache, FakeContext]:
    options = ContextOptions(n_ctx=120, n_batch=n_batch, max_outputs=6, rollback=limit)
    context = FakeContext(LANGUAGE, options, rollback)
    return Cache(context), context


def act(cache: Cache, kind: str, new: Sequence[int], amount: int) -> None:
    held = len(cache.tokens)
    if kind == "verify" and held + len(new) <= 120:
        cache.verify(new)
    elif kind == "prefill":
        cache.prefill([*cache.tokens[: held - amount], *new][:120])
    elif kind == "truncate":
        cache.truncate(max(held - amount, 0))
    elif kind == "forget":
        cache.forget()


def disturb(context: FakeContext, trouble: str) -> None:
    """Let the next decode fail, find the abort flag set, or see it set while it runs."""

    def abort_now() -> float:
        context.abort()
        return 0.0

    if trouble == "fail":
        context.failures[context.decodes] = BackendError("the engine broke")
    elif trouble == "abort":
        context.abort()
    elif trouble == "abort inside":
        context.delay = abort_now


def calm(context: FakeContext) -> None:
    context.failures.clear()
    context.delay = lambda: 0.0
    context.resume()


@settings(deadline=None, max_examples=250)
@given(
    script=steps,
    rollback=st.sampled_from(list(Rollback)),
    limit=st.integers(0, 6),
    refuses=st.sets(st.sampled_from(["truncate", "restore"])),
    n_batch=st.sampled_from([6, 7, 40]),
)
def test_whatever_happens_the_cache_knows_what_it_holds(
    script: list[tuple[str, list[int], int, str]],
    rollback: Rollback,
    limit: int,
    refuses: set[str],
    n_batch: int,
) -> None:
    cache, context = cache_of(rollback, n_batch, limit)
    context.refuses = refuses
    for kind, new, amount, trouble in script:
        disturb(context, trouble)
        try:
            act(cache, kind, new, amount)
        except (BackendError, Aborted):
            assert trouble
        calm(context)
    history = [*cache.tokens[:119], 5]
    cache.prefill(history)
    assert context.held() == tuple(history) == tuple(cache.tokens)
    assert cache.room == 120 - len(history)
    np.testing.assert_array_equal(cache.logits(0), LANGUAGE.logits(history))


@kinds
def test_rows_follow_each_verified_token(rollback: Rollback) -> None:
    cache, _ = cache_of(rollback)
    cache.prefill([1, 2, 3])
    cache.verify([4, 5, 6])
    for row in range(3):
        np.testing.assert_array_equal(cache.logits(row), LANGUAGE.logits([3, 4, 5, 6][: row + 2]))


@kinds
def test_prefill_decodes_in_batches_and_reports_each(rollback: Rollback) -> None:
    cache, context = cache_of(rollback)
    seen: list[int] = []
    assert cache.prefill(list(range(20)), seen.append) == 0
    assert context.batches == [(6, 0), (6, 0), (6, 0), (2, 1)]
    assert seen == [6, 12, 18, 20]


@kinds
def test_prefill_keeps_what_is_shared_but_always_decodes_the_last_token(
    rollback: Rollback,
) -> None:
    cache, context = cache_of(rollback, n_batch=40)
    cache.prefill(list(range(30)))
    assert cache.prefill([*range(30), 5]) == 30
    assert context.decoded == 31
    keepable = {Rollback.ANY: 28, Rollback.BOUNDED: 0, Rollback.CHECKPOINT: 0}
    assert cache.prefill([*range(28), 9]) == keepable[rollback]
    again = {Rollback.ANY: 28, Rollback.BOUNDED: 28, Rollback.CHECKPOINT: 0}
    assert cache.prefill([*range(28), 9]) == again[rollback]
    assert context.held() == (*range(28), 9)


def test_taking_drafts_back_costs_no_decode_where_that_is_possible() -> None:
    for rollback in (Rollback.ANY, Rollback.BOUNDED):
        cache, context = cache_of(rollback)
        cache.prefill(list(range(30)))
        before = context.decodes
        cache.verify([1, 2, 3, 4])
        cache.truncate(31)
        cache.verify([9])
        assert context.decodes == before + 2
        assert context.held() == (*range(30), 1, 9)


def test_taking_drafts_back_from_a_checkpoint_decodes_only_what_is_kept() -> None:
    cache, context = cache_of(Rollback.CHECKPOINT)
    cache.prefill(list(range(30)))
    cache.verify([1, 2, 3, 4])
    before = context.decoded
    cache.truncate(32)
    assert context.decoded == before + 2
    assert context.held() == (*range(30), 1, 2)


def test_going_back_far_behind_a_checkpoint_replays_in_batches() -> None:
    cache, context = cache_of(Rollback.CHECKPOINT)
    cache.prefill(list(range(10)))
    cache.verify([1, 2])
    for token in range(20):
        cache.verify([token])
    before = context.decodes
    cache.truncate(27)
    assert [size for size, _ in context.batches[before:]] == [6, 6, 5]
    assert context.held() == (*range(10), 1, 2, *range(15))


@kinds
def test_tokens_that_only_an_aborted_decode_saw_are_not_held(rollback: Rollback) -> None:
    cache, context = cache_of(rollback)
    cache.prefill([1, 2, 3])
    troubles = ["abort", "fail", *(["abort inside"] if rollback is Rollback.ANY else [])]
    for trouble in troubles:
        disturb(context, trouble)
        with pytest.raises((Aborted, BackendError)):
            cache.verify([7, 8, 9])
        calm(context)
        cache.verify([4])
        assert context.held() == tuple(cache.tokens)
        assert 8 not in cache.tokens


def test_an_aborted_recurrent_decode_costs_no_rebuild() -> None:
    cache, context = cache_of(Rollback.BOUNDED)
    cache.prefill(list(range(30)))
    context.abort()
    with pytest.raises(Aborted):
        cache.verify([1, 2, 3])
    context.resume()
    before = context.decoded
    cache.verify([1, 2, 3])
    assert context.decoded == before + 3
