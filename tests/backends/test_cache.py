"""The cache over real contexts: attention only, hybrid with snapshots, hybrid without."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgespec.cache import Cache
from edgespec.errors import Aborted
from edgespec.protocols import ContextOptions, Logits, Model, Rollback

pytestmark = pytest.mark.native

N_CTX, N_BATCH, OUTPUTS = 256, 16, 6
# Batches of different sizes add in different orders; the models' logits are of size one.
ROUNDING = 5e-3

tokens = st.lists(st.integers(0, 319), min_size=1, max_size=OUTPUTS)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("verify"), tokens, st.integers(0, OUTPUTS)),
        st.tuples(st.just("prefill"), tokens, st.integers(0, 40)),
        st.tuples(st.just("abort"), tokens, st.just(0)),
    ),
    min_size=1,
    max_size=8,
)


@pytest.fixture(scope="module")
def caches(model: Model) -> Iterator[tuple[Cache, Cache]]:
    options = ContextOptions(n_ctx=N_CTX, n_batch=N_BATCH, max_outputs=OUTPUTS, rollback=OUTPUTS)
    used, fresh = model.context(options), model.context(options)
    yield Cache(used), Cache(fresh)
    used.close()
    fresh.close()


def last_logits(cache: Cache, history: list[int]) -> Logits:
    cache.prefill(history)
    return cache.logits(0).copy()


def step(cache: Cache, kind: str, new: list[int], amount: int) -> None:
    if kind == "abort":
        cache.context.abort()
        with pytest.raises(Aborted):
            cache.verify(new)
        cache.context.resume()
    elif kind == "verify" and cache.room >= len(new):
        cache.verify(new)
        cache.truncate(len(cache.tokens) - min(amount, len(new) - 1))
    elif kind == "prefill":
        cache.prefill([*cache.tokens[:amount], *new])


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(script=steps, probe=st.integers(0, 319))
def test_any_sequence_of_steps_leaves_the_same_state_as_a_fresh_prefill(
    caches: tuple[Cache, Cache], script: list[tuple[str, list[int], int]], probe: int
) -> None:
    used, fresh = caches
    used.forget()
    used.prefill([7, 8, 9])
    for kind, new, amount in script:
        step(used, kind, new, amount)
    history = [*used.tokens, probe]
    fresh.forget()
    expected = last_logits(fresh, history)
    np.testing.assert_allclose(last_logits(used, history), expected, atol=ROUNDING)
    assert used.context.length() == len(history)


def test_verified_rows_equal_single_decodes(caches: tuple[Cache, Cache]) -> None:
    used, fresh = caches
    used.forget()
    fresh.forget()
    used.prefill([1, 2, 3])
    used.verify([4, 5, 6, 7])
    rows = [used.logits(row).copy() for row in range(4)]
    for count, row in enumerate(rows, start=4):
        expected = last_logits(fresh, list(range(1, count + 1)))
        np.testing.assert_allclose(row, expected, atol=ROUNDING)


def test_prefill_keeps_the_shared_prefix(llama: Model) -> None:
    context = llama.context(ContextOptions(n_ctx=N_CTX, n_batch=N_BATCH, max_outputs=1))
    cache = Cache(context)
    assert cache.prefill(list(range(50))) == 0
    assert cache.prefill([*range(40), 300, 301]) == 40
    assert cache.prefill([*range(40), 300, 301]) == 41
    context.close()


def test_each_model_rolls_back_in_its_own_way(model: Model) -> None:
    context = model.context(ContextOptions(n_ctx=N_CTX, n_batch=N_BATCH, rollback=OUTPUTS))
    expected = {"llama": Rollback.ANY, "lfm2": Rollback.BOUNDED, "jamba": Rollback.CHECKPOINT}
    assert context.rollback is expected[model.metadata["general.architecture"]]
    context.close()


@pytest.mark.parametrize(
    ("batch", "position", "outputs"),
    [
        ([], 0, 0),
        ([1] * (N_BATCH + 1), 0, 1),
        ([1], N_CTX, 1),
        ([1], -1, 1),
        ([1] * 8, 0, 7),
        ([1], 0, 2),
        ([320], 0, 1),
        ([-1], 0, 1),
    ],
)
def test_lengths_that_would_end_the_process_are_refused(
    caches: tuple[Cache, Cache], batch: list[int], position: int, outputs: int
) -> None:
    with pytest.raises(ValueError, match=r"token|batch|outputs|positions"):
        caches[0].context.decode(batch, position, outputs=outputs)


@pytest.mark.parametrize("n_batch", [1, 2, 3, OUTPUTS, OUTPUTS + 1, OUTPUTS + 2])
def test_a_batch_may_be_smaller_than_the_rollback(model: Model, n_batch: int) -> None:
    context = model.context(ContextOptions(n_ctx=N_CTX, n_batch=n_batch, rollback=OUTPUTS))
    cache = Cache(context)
    cache.prefill(list(range(20)))
    cache.verify([1] * n_batch)
    cache.truncate(20)
    assert context.length() == 20
    context.close()
