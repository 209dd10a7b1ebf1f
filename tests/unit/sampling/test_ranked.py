"""The cuts on plain floats: exactly what the cuts on arrays leave."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgespec.sampling.candidates import Vocabulary
from edgespec.sampling.params import SamplingParams
from edgespec.sampling.penalties import Penalties
from edgespec.sampling.ranked import cut_ranked
from edgespec.sampling.truncate import min_p, top_k, top_p

# Coarse logits make equal and nearly equal neighbours, where every comparison matters.
levels = st.integers(-60, 20).map(lambda level: level / 4)


@settings(deadline=None, max_examples=400)
@given(
    logits=st.lists(levels, min_size=2, max_size=40),
    k=st.integers(1, 45),
    p=st.sampled_from([0.1, 0.5, 0.8, 0.95, 0.999, 1.0]),
    least=st.sampled_from([0.0, 0.02, 0.05, 0.3]),
    slack=st.sampled_from([0.0, 0.05, 0.25, 0.6, 3.0]),
)
def test_lengths_are_those_of_the_flags(
    logits: list[float], k: int, p: float, least: float, slack: float
) -> None:
    params = SamplingParams(1.0, top_k=k, top_p=p, min_p=least)
    vocabulary = Vocabulary(np.array(logits, np.float32), Penalties(params, []), None)
    listing = vocabulary.top(k, slack)
    left = cut_ranked(listing, params, slack)
    slow = top_k(listing, k, slack)
    if len(listing.ids) < k:
        assert left is None
        return
    if p < 1:
        nucleus = top_p(slow, p, slack)
        assert nucleus is not None
        slow = nucleus
    if least:
        slow = min_p(slow, least, slack)
    assert left is not None
    assert slow.ids.tolist() == listing.ids[: left.maybe].tolist()
    assert slow.kept.tolist() == [place < left.kept for place in range(left.maybe)]
    assert slow.sure.tolist() == [place < left.sure for place in range(left.maybe)]


@pytest.mark.parametrize("k", [3, 10])
def test_a_list_that_a_grammar_made_too_short_is_left_to_the_other_cuts(k: int) -> None:
    params = SamplingParams(1.0, top_k=k, top_p=0.9)
    vocabulary = Vocabulary(np.arange(20, dtype=np.float32), Penalties(params, []), None)
    listing = vocabulary.above(18.0)
    assert len(listing.ids) < k
    assert cut_ranked(listing, params, 0.05) is None
