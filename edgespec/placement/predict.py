"""How fast a placement will be: steps from bandwidth or measurements, speed from the scheduler."""

from collections.abc import Callable
from dataclasses import dataclass

from edgespec.costs import CostModel, CostTable
from edgespec.devices import CPU, DeviceKind
from edgespec.machines import Machine
from edgespec.placement.footprint import Footprint
from edgespec.placement.records import Forecast, Placement, TargetPlace
from edgespec.simulation import machine as simulated
from edgespec.simulation.run import ours
from edgespec.simulation.text import Text

_USED = 0.9
"""The part of the memory's bandwidth that decoding reaches."""
_CORE_FLOPS = 1e11
"""Multiplications and additions of quantized weights per second and core, roughly: a core with
AVX-512 was measured at 2.3e11."""
_FLOPS_PER_BYTE = 50
"""Of a device, for each byte per second of its memory."""
_LAYER = 5e-5
"""Seconds of synchronisation per layer on the processor, measured on a small model."""
_DEVICE_LAYER = 3e-5
"""Seconds of launching kernels per layer."""
_CROSSING = {DeviceKind.GPU: 5e-5, DeviceKind.IGPU: 2e-5, DeviceKind.REMOTE: 1e-3}
"""Seconds to get activations or logits from a device."""
_UNKNOWN = {DeviceKind.GPU: 3e11, DeviceKind.REMOTE: 1e11}
"""Bytes per second of a device's memory, if nobody says: those of a slow one."""
_MAX_BATCH = 17
_DEPTH = 512
_TOKENS = 256


@dataclass(frozen=True, slots=True)
class Predictor:
    """Predicts for one pair on one machine.

    `threads` compute for the target; `acceptance` is P(a draft is accepted). `measured` is what
    calibration found for all on the processor, which then replaces the bandwidth's word.
    """

    machine: Machine
    target: Footprint
    drafter: Footprint | None
    threads: int
    acceptance: float
    measured: CostTable | None = None

    def forecast(self, placement: Placement) -> Forecast:
        """What `placement` will bring, by the scheduler itself on imagined devices."""
        verify, calibrated = self._verify(placement)
        step = verify(1)
        bound, used = self._bound(placement.target, step)
        if placement.drafter is None:
            return Forecast(1 / step, 1 / step, step, 0.0, bound, used, calibrated)
        draft = self._draft(placement.drafter)
        slowed = self._contention(placement)
        imagined = simulated.Machine(
            verify, draft, verify_contention=slowed, draft_contention=slowed, max_batch=_MAX_BATCH
        )
        text = Text(lambda position: self.acceptance, _TOKENS)
        rate = _TOKENS / ours(imagined, text).seconds
        return Forecast(rate, 1 / step, step, draft, bound, used, calibrated)

    def quick_rate(self, placement: Placement) -> float:
        """Tokens per second of drafting k tokens and verifying them, at the best k: for sorting."""
        verify, _ = self._verify(placement)
        if placement.drafter is None:
            return 1 / verify(1)
        draft = self._draft(placement.drafter)
        tokens, reach, best = 1.0, 1.0, 1 / verify(1)
        for k in range(1, _MAX_BATCH):
            reach *= self.acceptance
            tokens += reach
            best = max(best, tokens / (k * draft + verify(k + 1)))
        return best

    def _verify(self, placement: Placement) -> tuple[Callable[[int], float], bool]:
        place = placement.target
        if self.measured and place.layers == 0:
            costs = CostModel(self.measured)
            return lambda n: costs.verify(n, 0), True
        steps = {n: self._step(place, n) for n in range(1, _MAX_BATCH + 1)}
        return steps.__getitem__, False

    def _step(self, place: TargetPlace, n: int) -> float:
        reads = self.target.reads(place, n, _DEPTH)
        whole = sum(reads.values())
        seconds = self._crossing(place.device) if place.layers else 0.0
        for where, size in reads.items():
            if not size:
                continue
            work = 2 * self.target.parameters * size / whole
            seconds += self._time(where, size, work, n)
            seconds += self.target.layers * size / whole * self._layer(where)
        return seconds

    def _time(self, place: str, size: float, work: float, n: int) -> float:
        """Reading overlaps with the first token's work; each further one adds its own."""
        single = max(size / (_USED * self._bandwidth(place)), work / self._flops(place))
        return single + (n - 1) * work / self._flops(place)

    def _draft(self, place: str) -> float:
        assert self.drafter is not None
        if place == CPU and self.measured and self.measured.draft[0]:
            return self.measured.draft[0]
        at = TargetPlace(place, 0 if place == CPU else self.drafter.layers)
        size = sum(self.drafter.reads(at, 1, _DEPTH).values())
        if place == CPU:
            # One thread: the other cores are the target's.
            read = size / self.machine.core_bandwidth
            work = 2 * self.drafter.parameters / _CORE_FLOPS
            return max(read, work) + self.drafter.layers * _DEVICE_LAYER
        seconds = size / (_USED * self._bandwidth(place)) + self._crossing(place)
        return seconds + self.drafter.layers * _DEVICE_LAYER

    def _contention(self, placement: Placement) -> float:
        """By what either side slows down while both run: they share a memory, or a device."""
        target, drafter = placement.target, placement.drafter
        if drafter == CPU and self.measured and target.layers == 0:
            return max(self.measured.verify_contention, self.measured.draft_contention)
        if drafter == CPU:
            share = self.machine.core_bandwidth / self.machine.bandwidth
            return 1 / (1 - min(share, 0.6))
        if drafter == target.device and target.layers:
            return 2.0
        kind = self._kind(str(drafter))
        return 1.3 if kind is DeviceKind.IGPU else 1.0

    def _bound(self, place: TargetPlace, step: float) -> tuple[str, float]:
        """The place whose memory a plain step waits for longest, and how much of it that uses."""
        reads = self.target.reads(place, 1, _DEPTH)
        bound = max(reads, key=lambda where: reads[where] / self._bandwidth(where))
        return bound, reads[bound] / step / self._bandwidth(bound)

    def _kind(self, place: str) -> DeviceKind:
        return next(device.kind for device in self.machine.devices if device.name == place)

    def _bandwidth(self, place: str) -> float:
        if place == CPU:
            return self.machine.bandwidth
        device = next(device for device in self.machine.devices if device.name == place)
        return device.bandwidth or _UNKNOWN.get(device.kind, self.machine.bandwidth)

    def _flops(self, place: str) -> float:
        if place != CPU:
            return _FLOPS_PER_BYTE * self._bandwidth(place)
        cores = sorted((core.speed for core in self.machine.topology.usable), reverse=True)
        return _CORE_FLOPS * sum(cores[: self.threads])

    def _layer(self, place: str) -> float:
        return _LAYER if place == CPU else _DEVICE_LAYER

    def _crossing(self, place: str) -> float:
        return _CROSSING[self._kind(place)]
