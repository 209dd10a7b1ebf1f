"""Over many seeds, the sampled tokens follow the target's processed distribution."""

from collections import Counter
from collections.abc import Iterator, Mapping
from math import cbrt, exp, sqrt
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Quant

from edgespec.events import Request, Source
from edgespec.protocols import ContextOptions, Logits, Model, ModelOptions
from edgespec.sampling.params import SamplingParams
from edgespec_backends.llamacpp import open_model
from tests.backends.nano import Pair
from tests.ggufs import llama_gguf

pytestmark = pytest.mark.native

PROMPT = (5, 6, 7)
ANSWERS = 1500
TOP = 5
BIAS = {10: 4.0, 20: 3.0, 30: 5.0}
Tokens = tuple[int, ...]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Model, Model]]:
    """A target of 260 tokens, and its coarser copy as a drafter that often agrees with it."""
    folder: Path = tmp_path_factory.mktemp("distribution")
    target, drafter = (
        open_model(
            llama_gguf(folder / f"{quant.name}.gguf", vocab=260, seed=1, quant=quant),
            ModelOptions(threads=1),
        )
        for quant in (Quant.F32, Quant.Q4_0)
    )
    yield target, drafter
    drafter.close()
    target.close()


def processed(logits: Logits, temperature: float) -> dict[int, float]:
    """Probabilities of the TOP best tokens after BIAS, at `temperature`."""
    biased = logits.astype(np.float64)
    biased[list(BIAS)] += list(BIAS.values())
    best = np.argsort(-biased)[:TOP].tolist()
    masses = {token: exp((biased[token] - biased[best[0]]) / temperature) for token in best}
    return {token: mass / sum(masses.values()) for token, mass in masses.items()}


def distribution(target: Model, length: int, temperature: float) -> dict[Tokens, float]:
    """Probabilities of all answers of `length` tokens."""
    context = target.context(ContextOptions(n_ctx=64))
    found: dict[Tokens, float] = {(): 1.0}
    for _ in range(length):
        longer: dict[Tokens, float] = {}
        for tokens, probability in found.items():
            context.clear()
            context.decode([*PROMPT, *tokens], 0, outputs=1)
            for token, share in processed(context.logits(0), temperature).items():
                longer[*tokens, token] = probability * share
        found = longer
    context.close()
    return found


def surprise(counts: Mapping[Tokens, int], expected: Mapping[Tokens, float]) -> float:
    """Pearson's chi-square as a standard normal deviate; rare outcomes share one cell.

    The cube root of chi-square over its degrees of freedom is nearly normal (Wilson and Hilferty
    1931).
    """
    total = sum(counts.values())
    assert set(counts) <= set(expected), "an outcome that is impossible"
    common = {outcome for outcome, share in expected.items() if share * total >= 5}
    cells = [(counts.get(outcome, 0), expected[outcome] * total) for outcome in common]
    cells.append((total - sum(seen for seen, _ in cells), total - sum(share for _, share in cells)))
    terms = [(seen - share) ** 2 / share for seen, share in cells if share > 1]
    freedom = len(terms) - 1
    variance = 2 / (9 * freedom)
    return (cbrt(sum(terms) / freedom) - 1 + variance) / sqrt(variance)


@pytest.mark.parametrize("temperature", [0.7, 1.0])
@pytest.mark.parametrize("length", [0, 2])
def test_tokens_follow_the_processed_distribution(
    models: tuple[Model, Model], temperature: float, length: int
) -> None:
    pair = Pair(*models)
    answers: list[Tokens] = []
    drafted = 0
    for seed in range(ANSWERS):
        sampling = SamplingParams(temperature, TOP, 1.0, 0.0, logit_bias=BIAS, seed=seed)
        tokens = pair.answer(Request(PROMPT, sampling, 3), length)
        answers.append(tuple(token.id for token in tokens))
        drafted += sum(token.source is Source.DRAFTER for token in tokens)
    pair.engine.close()
    assert (drafted > ANSWERS / 50) == (length > 0)
    for count in (1, 2, 3):
        seen = Counter(tokens[:count] for tokens in answers)
        assert abs(surprise(seen, distribution(models[0], count, temperature))) < 4
        assert surprise(seen, distribution(models[0], count, temperature * 1.3)) > 4
