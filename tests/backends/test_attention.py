"""Plain attention in llama.cpp: the text is the same up to ties, and caches can be kept."""

from collections.abc import Iterator
from dataclasses import replace
from random import Random

import numpy as np
import pytest

from edgespec import attention
from edgespec.catalog import resolve
from edgespec.errors import InvalidInput
from edgespec.events import Request
from edgespec.loading import LoadOptions, load
from edgespec.protocols import ContextOptions, Model, ModelOptions, Saving
from edgespec_backends.llamacpp import open_model
from tests.backends.nano import DRAFTER, TARGET, Comparison, Pair, Prompts, random_sampling

pytestmark = pytest.mark.native

TOKENS = 30
OPTIONS = ContextOptions(n_ctx=512, max_outputs=4)


@pytest.fixture(scope="module")
def target() -> Iterator[Model]:
    model = open_model(TARGET, ModelOptions(threads=1))
    yield model
    model.close()


def test_answers_are_the_same_with_speculation_but_for_ties(
    target: Model, capsys: pytest.CaptureFixture[str]
) -> None:
    drafter = open_model(DRAFTER, ModelOptions(threads=1))
    pairs = {
        "plain": Pair(target, None, flash=False),
        "suffix": Pair(target, None, flash=False),
        "drafter": Pair(target, drafter, flash=False),
        "trees": Pair(target, drafter, overlap=True, trees=True, flash=False),
    }
    prompts, random, seen = Prompts(target), Random(11), Comparison()
    for number in range(20):
        request = Request(prompts.short(random), random_sampling(random), TOKENS)
        plain = pairs["plain"].answer(request, 0)
        for name in ("suffix", "drafter", "trees"):
            tokens = pairs[name].answer(request, random.randint(1, 16))
            seen.add(f"case {number}, {name}", plain, tokens)
    for pair in pairs.values():
        pair.engine.close()
    drafter.close()
    with capsys.disabled():
        print(f"\n{seen}")
    assert seen.answers == 60
    assert seen.unexcused == []


def test_logits_are_those_of_the_kernel_but_for_rounding(target: Model) -> None:
    tokens = [7 + n for n in range(200)]
    kernel, plain = (target.context(replace(OPTIONS, flash=flash)) for flash in (True, False))
    for context in (kernel, plain):
        context.decode(tokens, 0, outputs=1)
    np.testing.assert_allclose(plain.logits(0), kernel.logits(0), atol=0.3)
    kernel.close()
    plain.close()


def test_a_state_is_taken_and_given_back(target: Model) -> None:
    contexts = [target.context(replace(OPTIONS, flash=False)) for _ in range(2)]
    first, second = contexts
    assert isinstance(first, Saving)
    assert isinstance(second, Saving)
    first.decode([5, 6, 7, 8], 0, outputs=1)
    assert second.load(first.save(), 4)
    for context in contexts:
        context.decode([9], 4, outputs=1)
    np.testing.assert_array_equal(first.logits(0), second.logits(0))
    for context in contexts:
        context.close()


def test_what_is_asked_for_is_loaded() -> None:
    found = {}
    for kind in attention.KINDS:
        with load(resolve(None), LoadOptions(n_ctx=512, threads=1, attention=kind)) as engine:
            found[kind] = engine.fingerprint
    # The nano model is too small for the choice to be measured.
    assert attention.kept() is None
    assert found["auto"] == found["flash"] != found["plain"]
    with pytest.raises(InvalidInput, match="no attention 'fast'"):
        load(resolve(None), LoadOptions(attention="fast"))


def test_the_timing_of_this_machine() -> None:
    timing = attention.settle()
    assert timing.flash > 0
    assert timing.plain > 0
    assert attention.settle() == timing
