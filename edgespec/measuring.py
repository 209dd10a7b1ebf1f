"""What is known of a loaded pair on this machine, measured where that is missing or has changed."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from edgespec import balance, bandwidth, cpu_sets, headers, paths
from edgespec.acceptance import AcceptanceModel
from edgespec.balance import Balance, Balancer
from edgespec.calibration import Calibrator
from edgespec.catalog import Pair
from edgespec.costs import CostModel
from edgespec.cpu_sets import CpuSet
from edgespec.devices import CPU
from edgespec.drafter_seat import SeatTrial, take
from edgespec.measurements import Measurements, MeasurementStore
from edgespec.placement import ask
from edgespec.placement.enumerate import Pins
from edgespec.placement.records import Placement
from edgespec.protocols import Bindable, Context, Model
from edgespec.rebalancing import Rebalancer, small
from edgespec.topology import detect
from edgespec.topology.records import first_cpus


@dataclass(frozen=True, slots=True)
class Settled:
    """What is `known`, what keeps on disk what is learnt of it, and the target's processors.

    These are None if they were pinned, or cannot be chosen.
    """

    known: Measurements
    keep: Callable[[], None]
    balance: Balance | None


@dataclass(frozen=True, slots=True)
class Measuring:
    """Measures `pair`, whose parts are where `placement` says; the target has `threads`.

    Which processors those run on is measured, too, unless the threads were `pinned` or `pins` say
    which. `report` is called with the fraction done.
    """

    pair: Pair
    placement: Placement
    threads: int
    pinned: bool
    report: Callable[[float], None]
    pins: Pins = field(default_factory=Pins)

    def settle(self, target: Context, drafter: Context | None, *, again: bool) -> Settled:
        """Costs and acceptance as they are today.

        They are measured `again` if asked to, whatever is known. Called by the thread that decodes.
        """
        balanced = self._balance(target)
        calibrator = Calibrator(target, drafter, self.report)
        store = MeasurementStore(paths.cache_dir() / "measurements")
        key = self.key(target, balanced)
        known = store.load(key)
        usable = known is not None and not known.old and not again
        if known and drafter and not any(known.costs.draft.values()):
            usable = False  # It was measured without the drafter.
        seats = self._seats(drafter, balanced)
        if known and seats:
            seats = [seat for seat in seats if seat.cpus == known.drafter]
            usable = usable and bool(seats)
        bound = self._sit(target, drafter, seats[:1])
        if known is None or not usable or not calibrator.agrees(known.costs):
            if known and balanced:
                # Whatever changed may have changed which processors are the best.
                balanced = self._balance(target, again=True)
                key = self.key(target, balanced)
            acceptance = known.acceptance if known else AcceptanceModel()
            seats = self._seats(drafter, balanced)
            if bound and not seats:
                seats = [cpu_sets.anywhere(detect.here())]
            seat = self._sit(target, drafter, seats)
            known = Measurements(calibrator.measure(), acceptance, time.time(), seat)
            store.save(key, known)
        return Settled(known, partial(store.save, key, known), None if self.pins.cpus else balanced)

    def rebalancer(
        self, costs: CostModel, model: Model, target: Context, now: Balance | None
    ) -> Rebalancer | None:
        """What measures the target's processors anew when its steps drift, if they may change."""
        if now is None or self.placement.devices or not isinstance(target, Bindable):
            return None
        scratch = small(self.placement.kv_type, flash=self.placement.flash)
        file = ask.balance_file(self.pair.target)
        seat = None if self.pins.drafter_cpus else _usual_seat
        return Rebalancer(costs, model, target, now, _candidates, file, scratch, seat)

    def key(self, target: Context, balanced: Balance | None = None) -> str:
        """Under which costs are kept; `balanced` are the processors that were chosen."""
        return ask.costs_key(
            self.pair,
            self.threads,
            target.max_outputs,
            balanced,
            self.placement,
            beside=self.pins.drafter_cpus,
            flash=self.placement.flash,
        )

    def _balance(self, target: Context, *, again: bool = False) -> Balance | None:
        """Let the target's threads run where they are fastest, None if that was decided."""
        if self.pins.cpus and isinstance(target, Bindable):
            pinned = Balance.of(cpu_sets.pinned(detect.here(), self.pins.cpus, "--cpus").cpus)
            target.bind(pinned.single, pinned.batch, pinned.prompt)
            return pinned
        if not isinstance(target, Bindable):
            return None
        if self.pinned or self.threads == 1:
            if self.pins.drafter_cpus:  # Or its thread would stay where the drafter was measured.
                every = cpu_sets.anywhere(detect.here()).cpus
                target.bind(every, every, every, threads=self.threads)
            return None

        balancer = Balancer(target, cpu_sets.candidates(detect.here()))
        file = ask.balance_file(self.pair.target)
        return balance.settle(balancer, file, _candidates, again=again)

    def _seats(self, drafter: Context | None, balanced: Balance | None) -> list[CpuSet]:
        """Where the drafter may compute, the usual place first; empty if the system decides."""
        file = self.pair.drafter
        if file is None or headers.is_onnx(file) or self.placement.drafter != CPU:
            return []
        if not isinstance(drafter, Bindable):
            return []
        topology = detect.here()
        if self.pins.drafter_cpus:
            return [cpu_sets.pinned(topology, self.pins.drafter_cpus, "--drafter-cpus")]
        if balanced is None:
            return []
        seats = cpu_sets.beside(topology, {*balanced.single, *balanced.batch})
        return seats if len(seats) > 1 else []

    def _sit(
        self, target: Context, drafter: Context | None, seats: Sequence[CpuSet]
    ) -> tuple[int, ...]:
        """Let the drafter compute on the best of `seats`; its processors, if there are any."""
        if not seats or not isinstance(drafter, Bindable):
            return ()
        if seats[1:]:
            return SeatTrial(target, drafter, seats).best().cpus
        take(drafter, seats[0])
        return seats[0].cpus


def _candidates() -> list[CpuSet]:
    """Sets worth measuring as things are now."""
    topology = detect.here()
    speeds = bandwidth.core_speeds(first_cpus(topology.usable))
    return cpu_sets.candidates(topology, speeds)


def _usual_seat(target: Balance) -> CpuSet:
    return cpu_sets.beside(detect.here(), {*target.single, *target.batch})[0]
