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
    """What was decided by a flag: None leaves it to the plan.

    `device` is the target's, `layers` how many of its layers go there (-1 = all), `drafter` the
    drafter's place.
    """

    device: str | None = None
    layers: int | None = None
    drafter: str | None = None

    @property
    def any(self) -> bool:
        """True if something was."""
        return (self.device, self.layers, self.drafter) != (None, None, None)


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
    _check(machine, pins)
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
    if pins.drafter is not None:
        yield pins.drafter
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
    if not pins.layers and pins.device in (None, CPU):
        yield TargetPlace()
    if pins.layers == 0 or pins.device == CPU or not target.placeable:
        return
    for device in machine.devices:
        if pins.device in (None, device.name):
            left = room(device)
            if drafter and place == device.name:
                at = TargetPlace(place, drafter.layers)
                left -= sum(drafter.takes(at)[place].values())
            yield from _layouts(device.name, target, left, pins.layers)


def _layouts(
    device: str, target: Footprint, left: int, pinned: int | None
) -> Iterator[TargetPlace]:
    for experts_on_cpu in (False, True) if target.has_experts else (False,):
        if pinned is not None:
            layers = target.layers if pinned < 0 else min(pinned, target.layers)
        else:
            layers = target.fitting(device, left, experts_on_cpu=experts_on_cpu)
        if layers:
            yield TargetPlace(device, layers, experts_on_cpu)


def _check(machine: Machine, pins: Pins) -> None:
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


def _check_placeable(target: Footprint, drafter: Footprint | None, pins: Pins) -> None:
    """Raise InvalidInput for pins on what chooses its device by itself."""
    flags = ""
    if not target.placeable and (pins.device, pins.layers) != (None, None):
        flags = "--device and --gpu-layers"
    if drafter and not drafter.placeable and pins.drafter is not None:
        flags = "--drafter-device"
    if flags:
        raise InvalidInput(
            "where an ONNX model runs is measured when it is loaded", f"leave out {flags}"
        )
