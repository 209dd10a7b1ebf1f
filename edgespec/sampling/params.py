"""The user's sampling settings, validated when they are made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf, isfinite

from edgespec.errors import InvalidInput

_MAX_BIAS = 10_000
_LIMITS: Mapping[str, tuple[Callable[[float], bool], str]] = {
    "temperature": (lambda v: 0 <= v <= 100, "in [0, 100] (0 = greedy)"),
    "top_k": (lambda v: v >= 0, "at least 0 (0 = off)"),
    "top_p": (lambda v: 0 < v <= 1, "in (0, 1] (1 = off)"),
    "min_p": (lambda v: 0 <= v < 1, "in [0, 1) (0 = off)"),
    "typical_p": (lambda v: 0 < v <= 1, "in (0, 1] (1 = off)"),
    "repeat_penalty": (lambda v: 0.01 <= v <= 100, "in [0.01, 100] (1 = off)"),
    "frequency_penalty": (lambda v: -2 <= v <= 2, "in [-2, 2] (0 = off)"),
    "presence_penalty": (lambda v: -2 <= v <= 2, "in [-2, 2] (0 = off)"),
    "penalty_window": (lambda v: v >= 0, "at least 0"),
    "seed": (lambda v: 0 <= v < 2**64, "in [0, 2**64)"),
}


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """What turns the target's logits into the distribution that is sampled.

    Penalties look at the last `penalty_window` tokens of the whole sequence, prompt included, so
    that a continued answer is the same as an uninterrupted one. `logit_bias` is added to the
    logits of its tokens; -inf bans one. `grammar` is GBNF, with start rule `root`.

    Raises InvalidInput for a value outside its range.
    """

    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    typical_p: float = 1.0
    repeat_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    penalty_window: int = 64
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    grammar: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, (allowed, text) in _LIMITS.items():
            value = getattr(self, name)
            if not isfinite(value) or not allowed(value):
                raise InvalidInput(f"{name} = {value} is out of range", f"it must be {text}")
        for token, bias in self.logit_bias.items():
            if token < 0 or not (abs(bias) <= _MAX_BIAS or bias == -inf):
                raise InvalidInput(
                    f"logit_bias of token {token} = {bias} cannot be used",
                    f"it must be in [-{_MAX_BIAS}, {_MAX_BIAS}] or -inf, for a token id",
                )

    @property
    def greedy(self) -> bool:
        """True if the choice is a plain argmax."""
        return self.temperature == 0

    @property
    def penalises(self) -> bool:
        """True if earlier tokens change the distribution of later ones."""
        return self.penalty_window > 0 and (
            self.repeat_penalty != 1 or self.frequency_penalty != 0 or self.presence_penalty != 0
        )
