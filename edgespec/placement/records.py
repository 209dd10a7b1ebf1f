"""The frozen records of a plan: a placement, what it takes, what it brings, and the reasons."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from edgespec.attention import Attention
from edgespec.cpu_sets import CpuSet
from edgespec.devices import CPU


@dataclass(frozen=True, slots=True)
class TargetPlace:
    """Where the target's layers go: the last `layers` of them, counting the output matrix as one,
    to `device`; the experts of the first `experts_on_cpu` layers stay in the processor's memory."""

    device: str = CPU
    layers: int = 0
    experts_on_cpu: int = 0


@dataclass(frozen=True, slots=True)
class Placement:
    """Places of target and drafter (None without one), and the size and type of the cache.

    `flash` is whether the target attends in llama.cpp's flash kernel.
    """

    target: TargetPlace
    drafter: str | None
    n_ctx: int
    kv_type: str = "f16"
    flash: bool = True

    @property
    def devices(self) -> frozenset[str]:
        """The offload devices in use."""
        used = {self.drafter or CPU}
        if self.target.layers:
            used.add(self.target.device)
        return frozenset(used - {CPU})


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a placement is predicted to bring.

    Tokens per second with and without speculation, seconds of a plain step and of a drafter step,
    and `bound`, the place whose memory takes most of a plain step, which reads at the part `used`
    of its bandwidth. `calibrated` if the steps were measured on this machine.
    """

    rate: float
    plain_rate: float
    step: float
    draft_step: float
    bound: str
    used: float
    calibrated: bool = False


@dataclass(frozen=True, slots=True)
class Option:
    """A placement with the bytes it takes in each place, by what they are for."""

    placement: Placement
    takes: Mapping[str, Mapping[str, int]]
    forecast: Forecast

    def total(self, place: str) -> int:
        """Bytes at `place`."""
        return sum(self.takes.get(place, {}).values())


class Why(Enum):
    """Why a placement was chosen, or was not."""

    FASTEST = "fastest"
    ONLY_ONE = "only_one"
    PINNED = "pinned"
    SLOWER = "slower"
    TOO_LARGE = "too_large"
    NO_GAIN = "no_gain"
    OTHER_TEXT = "other_text"


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason, and the same in words."""

    why: Why
    text: str


@dataclass(frozen=True, slots=True)
class Judged:
    """An option and the reason that speaks for or against it."""

    option: Option
    reason: Reason


@dataclass(frozen=True, slots=True)
class Plan:
    """The choice, what else there was, the processors that compute, and how the target attends.

    `drafter_cpus` are the drafter's, if it is on the processor.
    `acceptance` is the chance that a draft is accepted that the forecasts assume, `learnt` if it
    was seen with these models.
    """

    chosen: Judged
    others: tuple[Judged, ...]
    cpus: CpuSet
    drafter_cpus: CpuSet | None
    attention: Attention
    acceptance: float
    learnt: bool
