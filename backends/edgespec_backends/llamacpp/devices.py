"""The offload devices in ggml's registry."""

import ctypes
from collections.abc import Iterator
from typing import Any

from edgespec.devices import Device, DeviceKind
from edgespec.errors import BackendUnavailable
from edgespec_backends.llamacpp.ggml import function

_GPU, _IGPU = 1, 2
"""ggml_backend_dev_type: 0 is the processor, 3 what helps it, 4 a bundle of devices."""
_POINTER = ctypes.c_void_p
TOGETHER = "+"
"""Between the names of devices that share the layers."""

remote: list[Device] = []
"""Devices of other machines that children of this process can use."""


def offload_devices() -> tuple[Device, ...]:
    """The GPUs, integrated GPUs and remote devices, with the memory that is free now."""
    return (*map(_describe, pointers()), *remote)


def device_list(name: str) -> Any:
    """The NULL-terminated list of the device `name`, "" for none, for llama_model_params.

    Raises BackendUnavailable if the registry has none of that name.
    """
    known = {_text("ggml_backend_dev_name", pointer): pointer for pointer in pointers()}
    names = name.split(TOGETHER) if name else []
    for one in names:
        if one not in known:
            raise BackendUnavailable(f"llama.cpp has no device {one!r}", "see edgespec doctor")
    return (_POINTER * (len(names) + 1))(*(known[one] for one in names), None)


class _Override(ctypes.Structure):
    """llama_model_tensor_buft_override of llama.h."""

    _fields_ = [("pattern", ctypes.c_char_p), ("buffer_type", _POINTER)]


def overrides(layers: int) -> Any:
    """The NULL-terminated list that keeps the experts of the first layers with the processor."""
    on_cpu = function("ggml_backend_cpu_buffer_type", _POINTER)()
    patterns = (rb"^blk\.%d\.ffn_[a-z_]*exps\." % layer for layer in range(layers))
    kept = [_Override(pattern, on_cpu) for pattern in patterns]
    return (_Override * (layers + 1))(*kept, _Override(None, None))


def pointers() -> Iterator[int]:
    """The devices in this process's registry."""
    count = function("ggml_backend_dev_count", ctypes.c_size_t)
    get = function("ggml_backend_dev_get", _POINTER, ctypes.c_size_t)
    for index in range(count()):
        pointer = get(index)
        if _type(pointer) in (_GPU, _IGPU):
            yield pointer


def _describe(pointer: int) -> Device:
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    sizes = ctypes.POINTER(ctypes.c_size_t)
    ask = function("ggml_backend_dev_memory", None, _POINTER, sizes, sizes)
    ask(pointer, ctypes.byref(free), ctypes.byref(total))
    return Device(
        _text("ggml_backend_dev_name", pointer),
        _text("ggml_backend_dev_description", pointer),
        _kind(pointer),
        free.value,
        total.value,
    )


def _kind(pointer: int) -> DeviceKind:
    registry = function("ggml_backend_dev_backend_reg", _POINTER, _POINTER)(pointer)
    name = _text("ggml_backend_reg_name", registry)
    if name == "RPC":
        return DeviceKind.REMOTE
    # Metal calls every device a GPU, although Apple's share the processor's memory.
    shared = _type(pointer) == _IGPU or name == "MTL"
    return DeviceKind.IGPU if shared else DeviceKind.GPU


def _type(pointer: int) -> int:
    return int(function("ggml_backend_dev_type", ctypes.c_int, _POINTER)(pointer))


def _text(name: str, pointer: int) -> str:
    found: bytes = function(name, ctypes.c_char_p, _POINTER)(pointer) or b""
    return found.decode("utf-8", "replace")
