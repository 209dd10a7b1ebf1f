"""The acceptance model: it learns what is true of a stream of checked drafts, and stays sane."""

import json
from collections.abc import Callable
from math import exp
from random import Random
from statistics import mean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgespec.acceptance import AcceptanceModel, SourceModel

Stream = Callable[[Random], tuple[tuple[float, ...], float]]
"""Draws the features of one draft and its true chance of being accepted."""

features = st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))


def sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x))


def constant(rate: float) -> Stream:
    return lambda random: ((random.gauss(0, 1), random.gauss(0, 1)), rate)


def dependent(random: Random) -> tuple[tuple[float, ...], float]:
    """A draft whose first feature tells of its chance and whose second is noise."""
    telling = random.gauss(0, 1.5)
    return (telling, random.gauss(0, 1)), sigmoid(0.5 + 1.5 * telling)


def taught(stream: Stream, count: int, seed: int = 0) -> SourceModel:
    random, model = Random(seed), SourceModel.prior(2, 0.6)
    for _ in range(count):
        inputs, chance = stream(random)
        model.learn(inputs, random.random() < chance)
    return model


def calibration_error(model: SourceModel, stream: Stream, seed: int = 1) -> float:
    """Mean |predicted - true chance| over fresh drafts."""
    random = Random(seed)
    drawn = [stream(random) for _ in range(2000)]
    return mean(abs(model.probability(inputs) - chance) for inputs, chance in drawn)


@pytest.mark.parametrize("rate", [0.1, 0.4, 0.8, 0.95])
@pytest.mark.parametrize("seed", range(3))
def test_a_constant_rate_is_learnt_whatever_the_features_say(rate: float, seed: int) -> None:
    assert calibration_error(taught(constant(rate), 1500, seed), constant(rate)) < 0.08


@pytest.mark.parametrize("seed", range(3))
def test_a_rate_that_depends_on_a_feature_is_learnt(seed: int) -> None:
    model = taught(dependent, 1500, seed)
    assert calibration_error(model, dependent) < 0.08
    assert model.probability((3.0, 0.0)) > 0.85
    assert model.probability((-3.0, 0.0)) < 0.15


def test_learning_beats_the_prior() -> None:
    untaught = calibration_error(SourceModel.prior(2, 0.6), dependent)
    assert calibration_error(taught(dependent, 300), dependent) < 0.75 * untaught


def test_the_prior_expects_the_rate_that_it_was_given() -> None:
    for rate in (0.1, 0.5, 0.9):
        assert SourceModel.prior(2, rate).probability((0.0, 0.0)) == pytest.approx(rate)


def test_a_change_of_the_text_is_followed() -> None:
    model, random = taught(constant(0.95), 2000), Random(5)
    for _ in range(200):
        inputs, _ = constant(0.1)(random)
        model.learn(inputs, random.random() < 0.1)
    assert calibration_error(model, constant(0.1)) < 0.2
    assert model.recent < 0.2


@settings(deadline=None)
@given(lessons=st.lists(st.tuples(features, st.booleans()), max_size=60), asked=features)
def test_probabilities_are_never_certain(
    lessons: list[tuple[tuple[float, float], bool]], asked: tuple[float, float]
) -> None:
    model = SourceModel.prior(2, 0.6)
    for inputs, accepted in lessons:
        model.learn(inputs, accepted)
        assert 0 < model.recent < 1
    assert 0 < model.probability(asked) < 1


def test_each_source_has_a_model_of_its_own_made_by_its_prior() -> None:
    model = AcceptanceModel({"drafter": 0.9})
    drafter, suffix = model.source("drafter", 2), model.source("suffix", 1)
    assert drafter is model.source("drafter", 2)
    assert drafter.probability((0.0, 0.0)) == pytest.approx(0.9)
    assert suffix.probability((0.0,)) == pytest.approx(0.6)
    assert model.source("suffix disputed", 1, 0.3).probability((0.0,)) == pytest.approx(0.3)
    suffix.learn((1.0,), False)
    assert drafter.probability((0.0, 0.0)) == pytest.approx(0.9)


def test_what_was_learnt_survives_json() -> None:
    model = AcceptanceModel()
    random = Random(2)
    for _ in range(100):
        inputs, chance = dependent(random)
        model.source("drafter", 2).learn(inputs, random.random() < chance)
        model.source("suffix", 1).learn(inputs[:1], random.random() < 0.3)
    again = AcceptanceModel.from_json(json.loads(json.dumps(model.to_json())))
    assert again.to_json() == model.to_json()
    for inputs in ((0.3, -0.4), (2.0, 1.0)):
        before, after = (m.source("drafter", 2) for m in (model, again))
        assert after.probability(inputs) == before.probability(inputs)


@pytest.mark.parametrize("data", [{"drafter": 3}, {"drafter": {"weights": [1.0]}}, {"a": {"b": 1}}])
def test_anything_else_than_what_was_written_is_refused(data: dict[str, object]) -> None:
    with pytest.raises((TypeError, ValueError)):
        AcceptanceModel.from_json(data)
