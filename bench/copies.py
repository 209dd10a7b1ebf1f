"""A GGUF written anew from another one, tensor by tensor: memory holds one tensor at a time."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Quant
from numpy.typing import NDArray

Value = str | int | float
Floats = NDArray[np.float32]

_TYPES = {
    str: gguf.GGUFValueType.STRING,
    int: gguf.GGUFValueType.UINT32,
    float: gguf.GGUFValueType.FLOAT32,
}


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor to write: rows of `shape[-1]` values in type `quant`, made when its turn comes."""

    name: str
    shape: tuple[int, ...]
    quant: Quant
    make: Callable[[], NDArray[Any]]


class Source:
    """The file that is copied from."""

    def __init__(self, path: Path) -> None:
        self._reader = gguf.GGUFReader(path)
        self.tensors = {tensor.name: tensor for tensor in self._reader.tensors}

    def get(self, key: str) -> Any:
        """The metadata value of `key`; KeyError if there is none."""
        return self._reader.fields[key].contents()

    def has(self, key: str) -> bool:
        """Whether the metadata has `key`."""
        return key in self._reader.fields

    def shape(self, name: str) -> tuple[int, ...]:
        """Rows first, as numpy counts."""
        return tuple(int(size) for size in reversed(self.tensors[name].shape))

    def values(self, name: str) -> Floats:
        """The tensor in f32."""
        tensor = self.tensors[name]
        flat = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        return np.asarray(flat, np.float32).reshape(self.shape(name))

    def copy_metadata(self, writer: gguf.GGUFWriter, changes: Mapping[str, Value]) -> None:
        """Everything but what the writer states itself, with `changes` put in."""
        for field in self._reader.fields.values():
            stated = field.name.startswith("GGUF.") or field.name == "general.architecture"
            if not stated and field.name not in changes:
                element = field.types[-1] if len(field.types) > 1 else None
                writer.add_key_value(field.name, field.contents(), field.types[0], element)
        for name, value in changes.items():
            writer.add_key_value(name, value, _TYPES[type(value)])


def write(
    source: Source, output: Path, changes: Mapping[str, Value], tensors: Iterable[Tensor]
) -> None:
    """Write `output` whole or not at all: the source's metadata with `changes`, and `tensors`."""
    temporary = output.with_suffix(".tmp")
    writer = gguf.GGUFWriter(temporary, source.get("general.architecture"))
    source.copy_metadata(writer, changes)
    planned = list(tensors)
    for tensor in planned:
        shape = gguf.quant_shape_to_byte_shape(tensor.shape, tensor.quant)
        size = int(np.prod(shape, dtype=np.int64))
        writer.add_tensor_info(tensor.name, shape, np.dtype(np.uint8), size, tensor.quant)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor in planned:
        writer.write_tensor_data(tensor.make())
    writer.close()
    temporary.replace(output)
