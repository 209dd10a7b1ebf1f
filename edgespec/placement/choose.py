"""The decision: the fastest placement that fits, the reason, and why not the others."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from edgespec import cpu_sets, memory
from edgespec.attention import Attention
from edgespec.costs import CostTable
from edgespec.cpu_sets import CpuSet
from edgespec.devices import CPU, DeviceKind
from edgespec.errors import NotEnoughMemory
from edgespec.headers import Header
from edgespec.machines import Machine
from edgespec.placement.enumerate import Pins, placements, room
from edgespec.placement.footprint import Footprint
from edgespec.placement.predict import Predictor
from edgespec.placement.question import KV_TYPES, Question
from edgespec.placement.records import (
    Judged,
    Option,
    Placement,
    Plan,
    Reason,
    TargetPlace,
    Why,
)
from edgespec.placement.refuse import refusal

ASSUMED_ACCEPTANCE = 0.7
"""Of a drafter that was never seen with this target."""
_SIMULATED = 6
_SAME = 1.02
"""Below this ratio of two forecasts the simpler placement wins."""


@dataclass(frozen=True, slots=True)
class Known:
    """The processors to compute on, what was measured of the pair with them, its costs on the
    processor and its acceptance, how the target attends there, and the drafter's processors."""

    cpus: CpuSet
    costs: CostTable | None = None
    acceptance: float | None = None
    attention: Attention = field(default_factory=Attention)
    drafter_cpus: CpuSet | None = None


def choose(
    machine: Machine,
    question: Question,
    pins: Pins | None = None,
    known: Known | None = None,
    threads: int = 0,
    failed: Sequence[Placement] = (),
) -> Plan:
    """The plan for `question` on `machine`; `failed` placements were tried and did not work.

    Raises NotEnoughMemory, saying what would fit instead, if nothing fits; InvalidInput for pins
    that name what is not there.
    """
    pins = pins or Pins()
    topology = machine.topology
    known = known or Known(cpu_sets.default(topology, threads, pins.cpus))
    if pins.drafter_cpus:
        beside = cpu_sets.pinned(topology, pins.drafter_cpus, "--drafter-cpus")
        known = replace(known, drafter_cpus=beside)
    return _Judge(machine, question, pins, known).plan(failed)


def rate_alone(machine: Machine, name: str, header: Header, n_ctx: int) -> float | None:
    """Tokens per second of a model without a drafter on `machine`, None if it does not fit."""
    size = min(n_ctx, header.context_length)
    try:
        return choose(machine, Question(name, header, None, size)).chosen.option.forecast.rate
    except NotEnoughMemory:
        return None


class _Judge:
    """Builds and compares the options of one question."""

    def __init__(self, machine: Machine, question: Question, pins: Pins, known: Known) -> None:
        self._machine = machine
        self._question = question
        self._pins = pins
        self._known = known
        self._cpus = known.cpus
        self._target = question.target_footprint()
        self._drafter = question.drafter_footprint()
        self._acceptance = known.acceptance or ASSUMED_ACCEPTANCE
        self._predictor = self._predict(self._target)

    def plan(self, failed: Sequence[Placement]) -> Plan:
        every = [
            attending(placement, self._known.attention)
            for placement in placements(
                self._machine,
                self._target,
                self._drafter,
                self._question.n_ctx,
                self._question.kv_type,
                self._pins,
            )
        ]
        every = [placement for placement in every if placement not in failed]
        fitting = [placement for placement in every if not self._excess(placement)]
        if not fitting:
            excess = self._excess(every[0]) if every else "everything failed"
            raise refusal(self._question, self._machine.free, excess)
        fitting.sort(key=self._predictor.quick_rate, reverse=True)
        options = [self._option(placement) for placement in fitting[:_SIMULATED]]
        best = self._best(options)
        others = [
            Judged(option, self._against(option, best)) for option in options if option is not best
        ]
        too_large = [
            Judged(self._option(placement), Reason(Why.TOO_LARGE, self._excess(placement)))
            for placement in every
            if placement not in fitting
        ]
        chosen = Judged(best, self._for(best, others))
        everything = (*others, *too_large[:_SIMULATED], *self._other_caches(best))
        learnt = self._known.acceptance is not None
        attention = self._known.attention
        seat = self._seat(best.placement)
        return Plan(chosen, everything, self._cpus, seat, attention, self._acceptance, learnt)

    def _seat(self, placement: Placement) -> CpuSet | None:
        """The drafter's processors, if its place is the processor and not for its engine to say."""
        if self._drafter is None or placement.drafter != CPU or not self._drafter.placeable:
            return None
        seats = cpu_sets.beside(self._machine.topology, self._cpus.cpus)
        return self._known.drafter_cpus or seats[0]

    def _predict(self, target: Footprint) -> Predictor:
        return Predictor(
            self._machine,
            target,
            self._drafter,
            self._cpus.threads,
            self._acceptance,
            self._known.costs,
        )

    def _option(self, placement: Placement) -> Option:
        forecast = self._predictor.forecast(placement)
        return Option(placement, self._takes(placement, self._target), forecast)

    def _takes(self, placement: Placement, target: Footprint) -> dict[str, dict[str, int]]:
        found = {
            place: {f"target {what}": size for what, size in parts.items()}
            for place, parts in target.takes(placement.target).items()
        }
        if self._drafter and placement.drafter:
            device = placement.drafter
            at = TargetPlace(device, 0 if device == CPU else self._drafter.layers)
            for place, parts in self._drafter.takes(at).items():
                own = {f"drafter {what}": size for what, size in parts.items()}
                found.setdefault(place, {}).update(own)
        return found

    def _excess(self, placement: Placement) -> str:
        """What is missing where; empty if it fits."""
        takes = self._takes(placement, self._target)
        sizes = {place: sum(parts.values()) for place, parts in takes.items()}
        shared = {device.name for device in self._machine.devices if device.kind is DeviceKind.IGPU}
        sizes[CPU] += sum(size for place, size in sizes.items() if place in shared)
        for place, need in sizes.items():
            limit = self._limit(place)
            if need > limit:
                return f"{place} has {memory.gib(max(limit, 0))} of the {memory.gib(need)} needed"
        return ""

    def _limit(self, place: str) -> int:
        if place == CPU:
            return self._machine.free
        return next(room(device) for device in self._machine.devices if device.name == place)

    def _best(self, options: Sequence[Option]) -> Option:
        """The fastest, or a simpler one that is as fast but for the forecast's doubt.

        A drafter that fits stays: whether it pays, the scheduler finds out while it runs.
        """
        options = [option for option in options if option.placement.drafter] or options
        fastest = max(option.forecast.rate for option in options)
        near = [option for option in options if option.forecast.rate * _SAME >= fastest]
        return min(near, key=_complexity)

    def _for(self, best: Option, others: Sequence[Judged]) -> Reason:
        if self._pins.places:
            return Reason(Why.PINNED, "pinned by you")
        if not others:
            return Reason(Why.ONLY_ONE, "nothing else fits, or there is nothing else")
        rates = [other.option.forecast.rate for other in others if other.option.placement.drafter]
        second = max(rates, default=others[0].option.forecast.rate)
        gain = best.forecast.rate / second - 1
        if gain < _SAME - 1:
            return Reason(Why.FASTEST, "nothing is faster, and it needs the least")
        return Reason(Why.FASTEST, f"{gain:.0%} faster than the next")

    def _against(self, option: Option, best: Option) -> Reason:
        loss = 1 - option.forecast.rate / best.forecast.rate
        if loss >= _SAME - 1:
            return Reason(Why.SLOWER, f"{loss:.0%} slower")
        if best.placement.drafter and not option.placement.drafter:
            return Reason(Why.NO_GAIN, "the scheduler drafts only where that pays, anyway")
        return Reason(Why.NO_GAIN, "hardly faster, if at all, and it needs more")

    def _other_caches(self, best: Option) -> list[Judged]:
        """The same with a smaller cache: never chosen by itself, because it changes the text."""
        if not self._target.placeable:
            return []
        at = KV_TYPES.index(self._question.kv_type)
        found = []
        for kv_type in KV_TYPES[at + 1 :]:
            target = self._question.target_footprint(kv_type=kv_type)
            chosen = best.placement
            placement = Placement(chosen.target, chosen.drafter, chosen.n_ctx, kv_type)
            # Steps were measured with the cache that was asked for.
            forecast = replace(self._predict(target).forecast(placement), calibrated=False)
            option = Option(placement, self._takes(placement, target), forecast)
            reason = Reason(Why.OTHER_TEXT, "a coarser cache can change the text")
            found.append(Judged(option, reason))
        return found


def attending(placement: Placement, attention: Attention) -> Placement:
    """The placement with `attention`, which speaks of the processor unless it was asked for."""
    flash = attention.flash or (bool(placement.target.layers) and not attention.pinned)
    return replace(placement, flash=flash)


def _complexity(option: Option) -> tuple[int, int, float]:
    """Devices in use, no drafter where there is one, bytes in all."""
    devices = len([place for place in option.takes if place != CPU and option.total(place)])
    without = option.placement.drafter is None
    return devices, int(without), float(sum(option.total(place) for place in option.takes))
