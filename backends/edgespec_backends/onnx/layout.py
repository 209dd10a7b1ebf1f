"""What a decoder's graph takes and gives, as its session declares it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from edgespec.errors import ModelFileError
from edgespec_backends.onnx.lib import sizes

_TYPES: Mapping[str, DTypeLike] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
}
_PAST, _PRESENT = "past_key_values.", "present."
_PLAIN = ("input_ids", "attention_mask", "position_ids", "num_logits_to_keep", "use_cache_branch")


@dataclass(frozen=True, slots=True)
class KvPort:
    """One key or value cache: what it is called as input and as output, and its shape's rest."""

    past: str
    present: str
    heads: int
    head_size: int
    dtype: np.dtype[Any]

    def shape(self, length: int) -> tuple[int, int, int, int]:
        """The shape of a cache of `length` positions."""
        return 1, self.heads, length, self.head_size


@dataclass(frozen=True, slots=True)
class Layout:
    """The ports of a decoder. `plain` holds the types of those of the usual inputs it declares."""

    plain: Mapping[str, np.dtype[Any]]
    caches: tuple[KvPort, ...]

    @classmethod
    def of(cls, session: Any, name: str) -> "Layout":
        """The layout of `session`; raises ModelFileError, naming the file, for no such decoder."""
        inputs = {port.name: port for port in session.get_inputs()}
        outputs = {port.name for port in session.get_outputs()}
        if "input_ids" not in inputs or "logits" not in outputs:
            raise _unsupported(name, "it does not turn input_ids into logits")
        plain = {port: _dtype(inputs[port], name) for port in _PLAIN if port in inputs}
        pasts = [port for port in inputs.values() if port.name.startswith(_PAST)]
        known = {*plain, *(port.name for port in pasts)}
        if strange := [port for port in inputs if port not in known]:
            raise _unsupported(name, f"it asks for the input {strange[0]!r}")
        if not pasts:
            raise _unsupported(name, "it was exported without a cache")
        caches = tuple(_cache(port, outputs, name) for port in pasts)
        return cls(plain, caches)


def _cache(port: Any, outputs: set[str], name: str) -> KvPort:
    present = _PRESENT + port.name.removeprefix(_PAST)
    if present not in outputs:
        raise _unsupported(name, f"it gives no {present!r}")
    dtype, shape = _dtype(port, name), sizes(port.shape)
    if dtype.kind != "f":
        raise _unsupported(name, f"{port.name!r} is of type {port.type}")
    if len(shape) != 4 or not shape[1] or not shape[3]:
        raise _unsupported(name, f"{port.name!r} has the shape {port.shape}")
    return KvPort(port.name, present, shape[1], shape[3], dtype)


def _dtype(port: Any, name: str) -> np.dtype[Any]:
    if port.type not in _TYPES:
        raise _unsupported(name, f"{port.name!r} is of type {port.type}")
    return np.dtype(_TYPES[port.type])


def _unsupported(name: str, what: str) -> ModelFileError:
    return ModelFileError(
        f"{name} is not a decoder that edgespec can drive: {what}",
        "use a text model exported for text generation with past",
    )
