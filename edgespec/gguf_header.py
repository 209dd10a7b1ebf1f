"""Reads the header of a GGUF model: its metadata, and where which tensor lies in which file.

A damaged file can end the process once it is inside llama.cpp, so every model goes through
`read_header` before it is loaded.
"""

import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import MappingProxyType

from edgespec import gguf_checks
from edgespec.errors import ModelFileError, ModelUnavailable
from edgespec.ggml_types import GGML_TYPES, TensorType
from edgespec.gguf_values import DOWNLOAD_AGAIN, Readable, Reader, StringArray, Value, ValueType

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MAX_KEYS = 1 << 16
MAX_TENSORS = 1 << 16
MAX_NAME = 63
MAX_DIMENSIONS = 4
DEFAULT_ALIGNMENT = 32

_SHARD_NAME = re.compile(r"(?P<stem>.+)-\d{5}-of-(?P<count>\d{5})\.gguf")
_STRANGERS = {
    b"version https://git-lfs": "it is a Git LFS pointer: fetch the file itself with git lfs pull",
    b"<": "it looks like a web page: check the address and download it again",
}


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor: its shape, innermost dimension first, and its byte range in its file."""

    name: str
    shape: tuple[int, ...]
    type: TensorType
    offset: int

    @property
    def values(self) -> int:
        """Numbers in it."""
        return prod(self.shape)

    @property
    def size(self) -> int:
        """Bytes."""
        return self.values // self.type.values * self.type.size


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What a model file says about itself; a split model's parts are one header.

    `tensors` are those of all `shards`; `size` is the bytes of all of them.
    """

    path: Path
    metadata: Mapping[str, Value]
    tensors: tuple[TensorInfo, ...]
    shards: tuple[Path, ...]
    size: int

    @property
    def architecture(self) -> str:
        """Such as "llama"; the prefix of the architecture's own keys."""
        return self.text("general.architecture")

    @property
    def context_length(self) -> int:
        """Tokens the model was trained to look back on."""
        return self.integer(".context_length")

    @property
    def parameters(self) -> int:
        """Weights of the model, all experts counted."""
        return sum(tensor.values for tensor in self.tensors)

    def get(self, key: str) -> Value | None:
        """The value of `key`, None if it has none. ".name" stands for "{architecture}.name"."""
        return self.metadata.get(self.architecture + key if key.startswith(".") else key)

    def text(self, key: str) -> str:
        """The string at `key`, empty if there is none."""
        value = self.get(key)
        if not isinstance(value, str | None):
            raise self.error(f"{key} is not a string")
        return value or ""

    def integer(self, key: str, default: int = 0) -> int:
        """The whole number at `key`."""
        value = self.get(key)
        if not isinstance(value, int | None):
            raise self.error(f"{key} is not a whole number")
        return default if value is None else value

    def per_layer(self, key: str, default: int = 0) -> tuple[int, ...]:
        """The number at `key` for every layer, be it stored once for all or as an array."""
        layers = self.integer(".block_count")
        value = self.get(key)
        if value is None or isinstance(value, int):
            return (default if value is None else value,) * layers
        if not isinstance(value, array) or len(value) != layers or value.typecode in "fd":
            raise self.error(f"{key} is not a whole number for each of {layers} layers")
        return tuple(value)

    def strings(self, key: str) -> StringArray:
        """The strings at `key`, none if there is no such key."""
        value = self.get(key)
        if not isinstance(value, StringArray | None):
            raise self.error(f"{key} is not an array of strings")
        return value or StringArray(b"", 0)

    def tensor(self, name: str) -> TensorInfo | None:
        """The tensor called `name`."""
        return next((tensor for tensor in self.tensors if tensor.name == name), None)

    def error(self, what: str, hint: str = DOWNLOAD_AGAIN) -> ModelFileError:
        """The error that says what makes the file unusable."""
        return ModelFileError(f"{self.path} is not a usable model: {what}", hint)


@dataclass(frozen=True, slots=True)
class _File:
    """One file as it is, before its parts are put together and anything is checked."""

    metadata: dict[str, Value]
    types: dict[str, ValueType]
    tensors: tuple[TensorInfo, ...]
    size: int


def read_header(path: Path, *, generates: bool = True) -> GgufHeader:
    """The checked header of the model at `path`, the first part of it if it is split.

    Raises ModelUnavailable if a file is missing or unreadable, ModelFileError if it is there but
    would not load, or cannot go on with a text and should because it `generates`.
    """
    first = _read_file(path)
    shards = _shards(path, first)
    header = _joined(shards, [first, *(_read_file(shard) for shard in shards[1:])])
    if generates:
        gguf_checks.check_generates(header)
    return header


def read_parts(parts: Sequence[tuple[Path, Readable, int]]) -> GgufHeader:
    """The checked header of a model that lies elsewhere, such as on a server.

    Each of its `parts`, one unless it is split, is a path for messages, what it is read from, and
    its bytes. Raises ModelFileError if the model would not load.
    """
    files = [_parse(Reader(stream, size, path), path) for path, stream, size in parts]
    count = files[0].metadata.get("split.count") or 1
    if count != len(parts):
        raise ModelFileError(f"{parts[0][0]} is one of {count} parts, and {len(parts)} are there")
    return _joined([path for path, _, _ in parts], files)


def _joined(paths: Sequence[Path], files: Sequence[_File]) -> GgufHeader:
    first = files[0]
    header = GgufHeader(
        paths[0],
        MappingProxyType(first.metadata),
        tuple(tensor for file in files for tensor in file.tensors),
        tuple(paths),
        sum(file.size for file in files),
    )
    _check_shards(header, files)
    gguf_checks.check(header)
    return header


def _read_file(path: Path) -> _File:
    try:
        if not path.is_file():
            missing = "is a folder" if path.is_dir() else "does not exist"
            raise ModelUnavailable(f"{path} {missing}", "give the path of a .gguf file")
        size = path.stat().st_size
        with path.open("rb", buffering=0) as file:
            return _parse(Reader(file, size, path), path)
    except OSError as error:
        raise ModelUnavailable(f"{path} cannot be read: {error.strerror or error}") from error


def _parse(reader: Reader, path: Path) -> _File:
    _check_magic(reader, path)
    n_tensors = reader.count("tensors", MAX_TENSORS, 24)
    n_keys = reader.count("keys", MAX_KEYS, 13)
    metadata: dict[str, Value] = {}
    types: dict[str, ValueType] = {}
    for _ in range(n_keys):
        key = reader.text("a key")
        if key in metadata:
            raise reader.damaged(f"the key {key[:64]!r} is there twice")
        types[key] = reader.kind()
        metadata[key] = reader.value(types[key])
    alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
        raise reader.damaged("general.alignment is not a power of two")
    tensors = tuple(_tensors(reader, n_tensors, alignment))
    return _File(metadata, types, tensors, reader.size)


def _check_magic(reader: Reader, path: Path) -> None:
    if reader.size == 0:
        raise ModelFileError(f"{path} is empty", DOWNLOAD_AGAIN)
    start = reader.take(min(reader.size, 24))
    if not start.startswith(MAGIC):
        hints = (hint for prefix, hint in _STRANGERS.items() if start.startswith(prefix))
        raise ModelFileError(
            f"{path} is not a GGUF file: it starts with {start[:8]!r}",
            next(hints, "give the path of a .gguf file"),
        )
    reader.at = len(MAGIC)
    version = reader.integer(ValueType.UINT32)
    if version and not version & 0xFFFF:
        raise ModelFileError(
            f"{path} is a big-endian GGUF", "get the little-endian file of the model"
        )
    if version not in VERSIONS:
        raise ModelFileError(
            f"{path} has GGUF version {version}; edgespec reads versions 2 and 3",
            "get a current conversion of the model, or update edgespec",
        )


def _tensors(reader: Reader, count: int, alignment: int) -> Iterator[TensorInfo]:
    """The tensors, offsets counted from the file's start. The list is read before the first."""
    found = [_tensor(reader) for _ in range(count)]
    names = {tensor.name for tensor in found}
    if len(names) != count:
        raise reader.damaged("two tensors have the same name")
    data = -(-reader.at // alignment) * alignment
    expected = 0
    for tensor in found:
        if tensor.offset != expected:
            # ggml too wants them one after the other in the order of the list.
            where = f"{tensor.offset}, not {expected}"
            raise reader.damaged(f"tensor {tensor.name!r} starts at {where}")
        end = data + expected + tensor.size
        if end > reader.size:
            raise reader.cut_short(f"tensor {tensor.name!r} goes on to byte {end:,}")
        yield TensorInfo(tensor.name, tensor.shape, tensor.type, data + expected)
        expected += -(-tensor.size // alignment) * alignment


def _tensor(reader: Reader) -> TensorInfo:
    name = reader.text("a tensor's name")
    label = f"tensor {name[:MAX_NAME]!r}"
    n_dimensions = reader.integer(ValueType.UINT32)
    if len(name.encode()) > MAX_NAME or n_dimensions > MAX_DIMENSIONS:
        raise reader.damaged(f"{label} has too long a name or {n_dimensions} dimensions")
    shape = tuple(reader.integer() for _ in range(n_dimensions))
    code = reader.integer(ValueType.UINT32)
    kind = GGML_TYPES.get(code)
    if kind is None:
        raise reader.damaged(f"{label} has type {code}, which ggml does not know")
    if 0 in shape or (*shape, 1)[0] % kind.values:
        raise reader.damaged(f"{label} has the shape {shape}, impossible for {kind.name}")
    return TensorInfo(name, shape, kind, reader.integer())


def _shards(path: Path, first: _File) -> tuple[Path, ...]:
    """The files of a split model, in order; the file itself if it is not split."""
    count = first.metadata.get("split.count", 1)
    if not isinstance(count, int) or count <= 1:
        return (path,)
    match = _SHARD_NAME.fullmatch(path.name)
    if match is None or int(match["count"]) != count:
        raise ModelFileError(
            f"{path} is one of {count} parts, but is not named like one",
            f"give it back its name, ...-00001-of-{count:05}.gguf",
        )
    shards = tuple(
        path.with_name(f"{match['stem']}-{part:05}-of-{count:05}.gguf")
        for part in range(1, count + 1)
    )
    if path != shards[0]:
        raise ModelUnavailable(f"{path} is not the first part of its model", f"give {shards[0]}")
    missing = [shard.name for shard in shards if not shard.is_file()]
    if missing:
        raise ModelUnavailable(
            f"{path} needs {len(missing)} more of {count} parts, such as {missing[0]}",
            "put all parts into one folder",
        )
    return shards


def _check_shards(header: GgufHeader, files: Sequence[_File]) -> None:
    """Whether the parts found belong together."""
    if len(files) == 1:
        return
    for part, file in enumerate(files):
        # libllama ends the process over any other type.
        typed = file.types.get("split.no") is ValueType.UINT16
        if not typed or file.metadata["split.no"] != part:
            raise header.error(f"{header.shards[part].name} is not its part {part + 1}")
    names = {tensor.name for tensor in header.tensors}
    if not len(names) == len(header.tensors) == header.integer("split.tensors.count"):
        raise header.error("its parts do not hold the tensors it announces")
