"""How likely a draft is to be accepted, learnt online from the drafts that were checked."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import exp, log, sqrt
from typing import Any, Self

from edgespec.tree import Features

_RATE = 0.3
_BOUND = 6.0
_MEMORY = 0.98
_RANKS = 4


@dataclass(slots=True)
class SourceModel:
    """One source's logistic regression P(accepted) = 1 / (1 + exp(-w.x)), trained by AdaGrad.

    x is a constant, the log-odds of the recent acceptance rate, and the source's features (each
    about of size one). AdaGrad: Duchi et al. 2011, figure 1.
    """

    weights: list[float]
    squares: list[float]
    recent: float
    shares: list[float] = field(default_factory=lambda: [4.0, 2.0, 1.0])

    @classmethod
    def prior(cls, n_features: int, rate: float) -> Self:
        """A model that expects acceptance at `rate` and trusts its features a little."""
        weights = [0.0, 0.5, *[0.5] * n_features]
        weights[0] = 0.5 * _logit(rate)
        return cls(weights, [1.0] * len(weights), rate)

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

    def learn_rank(self, rank: int) -> None:
        """The first choice was wrong and alternative `rank` (1 = second choice) was right."""
        self.shares = [_MEMORY * share for share in self.shares]
        self.shares[rank - 1] += 1

    def share(self, rank: int) -> float:
        """P(alternative `rank` is right, given that the first choice is wrong)."""
        # One part in four stays for tokens that no alternative names.
        return 0.75 * self.shares[rank - 1] / sum(self.shares)

    def _inputs(self, features: Features) -> tuple[float, ...]:
        return (1.0, _logit(self.recent), *(max(-_BOUND, min(_BOUND, x)) for x in features))


class AcceptanceModel:
    """The source models of one pair, made on first use and kept on disk between runs."""

    def __init__(self, prior: Mapping[str, float] | None = None) -> None:
        self._prior = dict(prior or {})
        self._models: dict[str, SourceModel] = {}

    def source(self, name: str, n_features: int) -> SourceModel:
        """The model of source `name`."""
        if name not in self._models:
            self._models[name] = SourceModel.prior(n_features, self._prior.get(name, 0.6))
        return self._models[name]

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads back."""
        return {name: asdict(model) for name, model in self._models.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The models that `to_json` wrote. Raises TypeError or KeyError for anything else."""
        model = cls()
        model._models = {name: SourceModel(**fields) for name, fields in data.items()}
        return model


def _logit(p: float) -> float:
    p = min(max(p, 0.01), 0.99)
    return log(p / (1 - p))


def _sigmoid(x: float) -> float:
    x = max(-30.0, min(30.0, x))
    return 1 / (1 + exp(-x))
