"""Offload devices: what computes beside the processor, as the engines' registries tell."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from types import ModuleType
from typing import cast

from edgespec.importing import engine

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


def connect(endpoints: Sequence[str]) -> None:
    """Let the devices of other machines, which `edgespec worker` offers at `endpoints`, be used.

    Raises InvalidInput for what is no "host:port", BackendUnavailable if no worker answers there,
    or if the engine does not load or cannot do that.
    """
    cast(Callable[[Sequence[str]], None], _rpc().connect)(endpoints)


def serve(endpoint: str, threads: int, ready: Callable[[], None]) -> None:
    """Offer this machine's devices at `endpoint`; returns only if that fails. Raises likewise."""
    cast(Callable[[str, int, Callable[[], None]], None], _rpc().serve)(endpoint, threads, ready)


def offload_devices() -> tuple[Device, ...]:
    """The devices that the llama.cpp engine can use, none if it does not load."""
    try:
        module = import_module("edgespec_backends.llamacpp.devices")
    except (ImportError, OSError, RuntimeError):
        return ()
    return cast(Callable[[], tuple[Device, ...]], module.offload_devices)()


def _rpc() -> ModuleType:
    return engine("edgespec_backends.llamacpp.rpc", "llama.cpp", "reinstall edgespec")
