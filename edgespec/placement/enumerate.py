"""All placements worth a thought, given what is pinned."""

from collections.abc import Iterator
from dataclasses import dataclass

from edgespec.devices import CPU, Device, DeviceKind
from edgespec.errors import InvalidInput
from edgespec.machines import Machine
from edgespec.placement.footprint import Footprint
from edgespec.placement.records import Placement, TargetPlace

_MARGIN = 0.05
_LEAST_MARGIN = 256 << 20
"""Bytes of a device that its driver and other programs get."""


@dataclass(frozen=True, slots=True)
class Pins:
    """What was decided by a flag: None or "" leaves it to the plan.

    `device` is the target's, `layers` how many of its layers go there (-1 = all), `drafter` the
    drafter's place, `experts` of how many layers, from the first (-1 = all), the experts stay with
    the CPU. `cpus` and `drafter_cpus` are lists of processors, as in "0-3,8".
    """

    device: str | None = None
    layers: int | None = None
    drafter: str | None = None
    experts: int | None = None
    cpus: str = ""
    drafter_cpus: str = ""

    @property
    def any(self) -> bool:
        """True if something was."""
        return self != Pins()

    @property
    def places(self) -> bool:
        """True if it was said where a part goes."""
        return self != Pins(cpus=self.cpus, drafter_cpus=self.drafter_cpus)


def placements(
    machine: Machine,
    target: Footprint,
    drafter: Footprint | None,
    n_ctx: int,
    kv_type: str,
    pins: Pins,
) -> Iterator[Placement]:
    """Every placement that could be the best: more layers on a device are never worse.

    So each device gets as many layers as fit, with the drafter there and without; whether that is
    better than none is for the forecast to say. Raises InvalidInput for a pinned device that is
    not there.
    """
    _check_placeable(target, drafter, pins)
    _check(machine, target, pins)
    for place in _drafter_places(machine, drafter, pins):
        for layout in _target_places(machine, target, drafter, place, pins):
            yield Placement(layout, place, n_ctx, kv_type)


def room(device: Device) -> int:
    """Bytes of the device that a plan may use."""
    return device.free - max(int(_MARGIN * device.total), _LEAST_MARGIN)


def _drafter_places(
    machine: Machine, drafter: Footprint | None, pins: Pins
) -> Iterator[str | None]:
    if drafter is None:
        yield None
        return
    if pins.drafter is not None or pins.drafter_cpus:
        yield pins.drafter or CPU
        return
    yield CPU
    if drafter.placeable:
        # Drafts would wait for the way there and back, and a worker serves one model at a time.
        near = (device for device in machine.devices if device.kind is not DeviceKind.REMOTE)
        yield from (device.name for device in near)
    yield None


def _target_places(
    machine: Machine, target: Footprint, drafter: Footprint | None, place: str | None, pins: Pins
) -> Iterator[TargetPlace]:
    if not pins.layers and pins.device in (None, CPU) and pins.experts in (None, -1):
        yield TargetPlace()
    if pins.layers == 0 or pins.device == CPU or not target.placeable:
        return
    for device in machine.devices:
        if pins.device in (None, device.name):
            left = room(device)
            if drafter and place == device.name:
                at = TargetPlace(place, drafter.layers)
                left -= sum(drafter.takes(at)[place].values())
            yield from _layouts(device.name, target, left, pins)


def _layouts(device: str, target: Footprint, left: int, pins: Pins) -> Iterator[TargetPlace]:
    for experts_on_cpu in _experts(target, pins.experts):
        if pins.layers is not None:
            layers = _counted(pins.layers, target.layers)
        else:
            layers = target.fitting(device, left, experts_on_cpu=experts_on_cpu)
        if layers:
            yield TargetPlace(device, layers, experts_on_cpu)


def _experts(target: Footprint, pinned: int | None) -> tuple[int, ...]:
    """Of how many layers the experts may stay with the processor."""
    every = target.layers - 1
    if pinned is not None:
        return (_counted(pinned, every),)
    return (0, every) if target.has_experts else (0,)


def _counted(pinned: int, every: int) -> int:
    return every if pinned < 0 else min(pinned, every)


def _check(machine: Machine, target: Footprint, pins: Pins) -> None:
    names = [CPU, *(device.name for device in machine.devices)]
    for name in (pins.device, pins.drafter):
        if name is not None and name not in names:
            raise InvalidInput(
                f"there is no device {name!r}", f"this machine has {', '.join(names)}"
            )
    if pins.layers and pins.device == CPU:
        raise InvalidInput("layers cannot be moved to the CPU", "name a device, or no layers")
    if pins.layers and not machine.devices:
        raise InvalidInput(f"there is no device for {pins.layers} layers", "leave --gpu-layers out")
    if pins.drafter_cpus and pins.drafter not in (None, CPU):
        raise InvalidInput(
            f"processors for a drafter on {pins.drafter}", "leave out --drafter-cpus, or the device"
        )
    if pins.experts is None:
        return
    if not target.has_experts:
        raise InvalidInput("this model has no experts", "leave --cpu-experts out")
    if pins.device == CPU or pins.layers == 0 or not machine.devices:
        raise InvalidInput("all experts are with the CPU anyway", "leave --cpu-experts out")


def _check_placeable(target: Footprint, drafter: Footprint | None, pins: Pins) -> None:
    """Raise InvalidInput for pins on what chooses its device by itself."""
    flags = ""
    if not target.placeable and pins != Pins(drafter=pins.drafter, drafter_cpus=pins.drafter_cpus):
        flags = "--device, --gpu-layers, --cpu-experts and --cpus"
    if drafter and not drafter.placeable and (pins.drafter is not None or pins.drafter_cpus):
        flags = "--drafter-device and --drafter-cpus"
    if flags:
        raise InvalidInput(
            "where an ONNX model runs is measured when it is loaded", f"leave out {flags}"
        )
