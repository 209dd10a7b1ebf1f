"""Lanes over a real context: each row is what a decode of that path alone gives."""

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgespec.cache import Cache
from edgespec.errors import Aborted
from edgespec.lanes import Lanes
from edgespec.protocols import Context, ContextOptions, Model

pytestmark = pytest.mark.native

N_CTX, LANES = 128, 4
# Batches of different sizes add in different orders; the model's logits are of size one.
ROUNDING = 5e-3

tokens = st.lists(st.integers(10, 12), max_size=4)
steps = st.lists(
    st.tuples(
        st.sampled_from(["look", "look", "look", "emit", "follow", "restart", "abort", "forget"]),
        st.lists(tokens, min_size=1, max_size=6),
    ),
    min_size=1,
    max_size=10,
)


@pytest.fixture(scope="module")
def contexts(llama: Model) -> Iterator[tuple[Context, Cache]]:
    used = llama.context(
        ContextOptions(n_ctx=N_CTX, n_batch=64, max_outputs=LANES, max_sequences=LANES)
    )
    alone = llama.context(ContextOptions(n_ctx=N_CTX, n_batch=64, max_outputs=1))
    yield used, Cache(alone)
    used.close()
    alone.close()


def check(
    lanes: Lanes, context: Context, alone: Cache, history: list[int], tails: Sequence[list[int]]
) -> None:
    places = lanes.decode(history, tails)
    assert places[0] == 0
    rows = {place: context.logits(place).copy() for place in places if place is not None}
    for tail, place in zip(tails, places, strict=True):
        if place is not None:
            alone.prefill([*history, *tail])
            np.testing.assert_allclose(rows[place], alone.logits(0), atol=ROUNDING)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(script=steps)
def test_every_row_follows_its_own_path_whatever_was_decoded_before(
    contexts: tuple[Context, Cache], script: list[tuple[str, list[list[int]]]]
) -> None:
    context, alone = contexts
    context.clear()
    lanes = Lanes(context, LANES)
    history, last = [7, 8, 9], [0]
    for kind, tails in script:
        if kind == "look":
            check(lanes, context, alone, history, tails)
            last = tails[0]
        elif kind == "emit":
            history = [*history, *tails[0]]
        elif kind == "follow":
            history = [*history, *last, 11]
        elif kind == "restart":
            history = [*history[: len(tails)], *tails[0]]
            lanes.restart()
        elif kind == "abort":
            context.abort()
            with pytest.raises(Aborted):
                lanes.decode([*history, 10], tails)
            context.resume()
            lanes.forget()
        else:
            lanes.forget()
    check(lanes, context, alone, history, [[], [10], [10, 11], [12]])


def test_alternatives_of_alternatives_stay_apart(contexts: tuple[Context, Cache]) -> None:
    context, alone = contexts
    context.clear()
    lanes, history = Lanes(context, LANES), [1, 2, 3, 4]
    check(lanes, context, alone, history, [[]])
    check(lanes, context, alone, history, [[5], [6], [7]])
    check(lanes, context, alone, history, [[5, 6], [6, 7], [5, 8], [7, 7]])
    check(lanes, context, alone, [*history, 6], [[7, 9], [8]])
