"""Offload devices: what computes beside the processor, as the engines' registries tell."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from typing import cast

CPU = "CPU"
"""The name of the place that is no device: the processor and its memory."""


class DeviceKind(Enum):
    """Where a device's memory is."""

    GPU = "gpu"
    """On the device itself."""
    IGPU = "igpu"
    """The processor's own memory, shared with it."""
    REMOTE = "remote"
    """On another machine, or in another process, behind a socket."""


@dataclass(frozen=True, slots=True)
class Device:
    """One offload device; `free` and `total` are bytes, `bandwidth` bytes per second if known."""

    name: str
    description: str
    kind: DeviceKind
    free: int
    total: int
    bandwidth: float | None = None


def offload_devices() -> tuple[Device, ...]:
    """The devices that the llama.cpp engine can use, none if it does not load."""
    try:
        module = import_module("edgespec_backends.llamacpp.devices")
    except (ImportError, OSError, RuntimeError):
        return ()
    return cast(Callable[[], tuple[Device, ...]], module.offload_devices)()
