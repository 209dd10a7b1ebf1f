"""How likely a draft is to be accepted, learnt online from the drafts that were checked."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import exp, log, sqrt
from typing import Any, Self

from edgespec.tree import Features

_RATE = 0.3
_BOUND = 6.0
_MEMORY = 0.98
_SHORT_MEMORY = 0.8
_EXPECTED = 0.6
_LEAST, _HEAVIEST = 1e-6, 1e6


@dataclass(slots=True)
class SourceModel:
    """One source's logistic regression P(accepted) = 1 / (1 + exp(-w.x)), trained by AdaGrad.

    x is a constant, the log-odds of the acceptance rate over a long and over a short while, and the
    source's features (each about of size one). AdaGrad: Duchi et al. 2011, figure 1.
    """

    weights: list[float]
    squares: list[float]
    recent: float
    lately: float

    @classmethod
    def prior(cls, n_features: int, rate: float) -> Self:
        """A model that expects acceptance at `rate` and trusts its features a little."""
        weights = [0.5 * _logit(rate), 0.25, 0.25, *[0.5] * n_features]
        return cls(weights, [1.0] * len(weights), rate, rate)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The model with these fields. Raises TypeError or ValueError for senseless ones."""
        model = cls(**data)
        model.weights = [_bounded(weight, -_HEAVIEST) for weight in model.weights]
        model.squares = [_bounded(square, _LEAST) for square in model.squares]
        model.recent = _bounded(model.recent, 0.0, 1.0)
        model.lately = _bounded(model.lately, 0.0, 1.0)
        if len(model.squares) != len(model.weights):
            raise ValueError("lists of the wrong length")
        return model

    @property
    def n_features(self) -> int:
        """How many features it judges by."""
        return len(self.weights) - len(self._inputs(()))

    def probability(self, features: Features) -> float:
        """P(accepted), given that all before it was."""
        return _sigmoid(
            sum(w * x for w, x in zip(self.weights, self._inputs(features), strict=True))
        )

    def learn(self, features: Features, accepted: bool) -> None:
        """One step on the log loss of one checked draft."""
        inputs = self._inputs(features)
        error = self.probability(features) - accepted
        for index, value in enumerate(inputs):
            gradient = error * value
            self.squares[index] += gradient * gradient
            self.weights[index] -= _RATE * gradient / sqrt(self.squares[index])
        self.recent += (1 - _MEMORY) * (accepted - self.recent)
        self.lately += (1 - _SHORT_MEMORY) * (accepted - self.lately)

    def _inputs(self, features: Features) -> tuple[float, ...]:
        rates = _logit(self.recent), _logit(self.lately)
        return (1.0, *rates, *(max(-_BOUND, min(_BOUND, x)) for x in features))


class AcceptanceModel:
    """The source models of one pair, made on first use and kept on disk between runs."""

    def __init__(self, prior: Mapping[str, float] | None = None) -> None:
        self._prior = dict(prior or {})
        self._models: dict[str, SourceModel] = {}

    def source(self, name: str, n_features: int, prior: float | None = None) -> SourceModel:
        """The model of `name`; a new one, by `prior`, if the known one was of other features."""
        known = self._models.get(name)
        if known is None or known.n_features != n_features:
            expected = self._prior.get(name, _EXPECTED) if prior is None else prior
            known = self._models[name] = SourceModel.prior(n_features, expected)
        return known

    def rate(self, name: str) -> float | None:
        """The recent acceptance of source `name`, None if it never proposed anything."""
        known = self._models.get(name)
        return known.recent if known else None

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads back."""
        return {name: asdict(model) for name, model in self._models.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The models that `to_json` wrote. Raises TypeError or ValueError for anything else."""
        model = cls()
        model._models = {name: SourceModel.from_json(fields) for name, fields in data.items()}
        return model


def _bounded(value: Any, least: float, most: float = _HEAVIEST) -> float:
    number = float(value)
    if not least <= number <= most:
        raise ValueError(f"{number} is not between {least} and {most}")
    return number


def _logit(p: float) -> float:
    p = min(max(p, 0.01), 0.99)
    return log(p / (1 - p))


def _sigmoid(x: float) -> float:
    x = max(-30.0, min(30.0, x))
    return 1 / (1 + exp(-x))
