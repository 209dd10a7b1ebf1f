"""The keys and values of a decoder: in one buffer, or in tensors that grow with every run."""

from typing import Any, Protocol

import numpy as np

from edgespec_backends.onnx.layout import KvPort
from edgespec_backends.onnx.lib import to_device


class KvCache(Protocol):
    """What a run reads as past and writes as present. How much of it counts, the caller knows."""

    def bind(self, binding: Any, length: int) -> None:
        """Bind the first `length` positions as past, and where the present goes."""

    def keep(self, binding: Any) -> None:
        """A run succeeded: its present is what the next one finds."""


class SharedCache:
    """One buffer per port for as many positions as there will ever be, past and present at once.

    For graphs whose GroupQueryAttention appends in place: what counts is told by the attention
    mask alone, so taking positions back costs nothing.
    """

    def __init__(self, ports: tuple[KvPort, ...], device: str, capacity: int) -> None:
        self._ports = ports
        self._values = [to_device(np.zeros(p.shape(capacity), p.dtype), device) for p in ports]
        self._bound: Any = None

    def bind(self, binding: Any, length: int) -> None:
        """The buffers, whatever `length` is."""
        if binding is self._bound:
            return
        for port, value in zip(self._ports, self._values, strict=True):
            binding.bind_ortvalue_input(port.past, value)
            binding.bind_ortvalue_output(port.present, value)
        self._bound = binding

    def keep(self, binding: Any) -> None:
        """It is there already."""


class GrowingCache:
    """Tensors of exactly the length that is held; every run makes longer ones.

    For graphs that concatenate. Taking positions back costs a copy of what stays, made when the
    next run needs it.
    """

    def __init__(self, ports: tuple[KvPort, ...], device: str) -> None:
        self._ports = ports
        self._device = device
        self._values = [to_device(np.zeros(p.shape(0), p.dtype), device) for p in ports]
        self._length = 0

    def bind(self, binding: Any, length: int) -> None:
        """The past, cut to `length`; the present is allocated by the run."""
        if length < self._length:
            self._values = [self._cut(value, length) for value in self._values]
            self._length = length
        for port, value in zip(self._ports, self._values, strict=True):
            binding.bind_ortvalue_input(port.past, value)
            binding.bind_output(port.present, self._device)

    def keep(self, binding: Any) -> None:
        """Take over what the run allocated; the caches are bound after all other outputs."""
        self._values = binding.get_outputs()[-len(self._ports) :]
        self._length = self._values[0].shape()[2]

    def _cut(self, value: Any, length: int) -> Any:
        return to_device(np.ascontiguousarray(value.numpy()[:, :, :length]), self._device)
