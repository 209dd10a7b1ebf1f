import numpy as np
import pytest

from edgespec.sampling.logprobs import logprobs


@pytest.mark.parametrize("seed", range(5))
def test_alone_a_token_is_as_likely_as_among_others(seed: int) -> None:
    random = np.random.default_rng(seed)
    logits = random.normal(0, 10 ** (seed - 2), 150_000).astype(np.float32)
    for token in (int(logits.argmax()), *random.integers(0, len(logits), 20)):
        exact = logprobs(logits, token, 3)
        assert logprobs(logits, token, 0).chosen == pytest.approx(exact.chosen, abs=1e-4, rel=1e-6)
    assert list(exact.top) == sorted(exact.top, key=lambda one: -one[1])
