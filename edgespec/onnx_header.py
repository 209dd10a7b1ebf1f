"""What an ONNX graph says of itself, read without its engine: ports, operators, weights.

The file is protobuf (https://protobuf.dev/programming-guides/encoding/, fields as numbered in
onnx.proto). Only the few fields needed are looked at; weights inside the file are stepped over.
"""

import json
import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from edgespec.errors import ModelFileError

_GRAPH = 7
_NODE, _INITIALIZER, _INPUT = 1, 5, 11
_OPERATOR = 4
_RAW, _EXTERNAL = 9, 13
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_CACHE = "past_key_values."
_SIZES = {1: 4, 10: 2, 16: 2}
"""Bytes of the types that a cache can have: float, float16, bfloat16."""
_DEFAULT_CONTEXT = 2048


@dataclass(frozen=True, slots=True)
class OnnxHeader:
    """A graph file and what it needs.

    `weights` are bytes, inside the file and beside it; `position` the bytes of cache that one
    token takes; `context_length` is the configuration's.
    """

    path: Path
    weights: int
    position: int
    context_length: int
    operators: frozenset[str]

    @property
    def grouped(self) -> bool:
        """Whether attention is the operator whose cache can live in one buffer."""
        return "GroupQueryAttention" in self.operators

    def memory(self, n_ctx: int) -> int:
        """About the bytes that the model takes with a cache of `n_ctx` tokens.

        The engine lays weights out anew while the file's copy is still there.
        """
        return 2 * self.weights + n_ctx * self.position


def read_onnx_header(path: Path) -> OnnxHeader:
    """Read the graph at `path` and check that the files it refers to are whole.

    Raises ModelFileError, naming the file, if one is missing, cut short or no ONNX graph.
    """
    try:
        with path.open("rb") as file:
            # Not closed by hand: views of it outlive an error, in its traceback.
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            return _header(path, memoryview(data))
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, LookupError, OverflowError, TypeError) as error:
        raise ModelFileError(f"{path} is not an ONNX model, or cut short", _AGAIN) from error


def header_of_config(path: Path, weights: int, config: Mapping[str, Any]) -> OnnxHeader:
    """What a configuration tells of a graph that is not here, with a cache in floats.

    `weights` are the bytes of its files. What the configuration does not tell counts as nothing.
    """
    part = config.get("text_config")
    known = {**config, **(part if isinstance(part, Mapping) else {})}

    def number(key: str, default: int = 0) -> int:
        value = known.get(key)
        return value if isinstance(value, int) and value > 0 else default

    heads = number("num_attention_heads", 1)
    size = number("head_dim", number("hidden_size") // heads)
    position = 2 * number("num_hidden_layers") * number("num_key_value_heads", heads) * size
    context = number("max_position_embeddings", _DEFAULT_CONTEXT)
    return OnnxHeader(path, weights, position * _SIZES[1], context, frozenset())


_AGAIN = "download it again"


def _header(path: Path, view: memoryview) -> OnnxHeader:
    graph = next((value for number, value in _fields(view) if number == _GRAPH), None)
    if graph is None:
        raise ValueError("no graph")
    weights, position = 0, 0
    operators: set[str] = set()
    for number, value in _fields(graph):
        if number == _NODE:
            operators.update(_text(text) for key, text in _fields(value) if key == _OPERATOR)
        elif number == _INITIALIZER:
            weights += _tensor(path, value)
        elif number == _INPUT:
            position += _position(value)
    return OnnxHeader(path, weights, position, _context_length(path), frozenset(operators))


def _tensor(graph: Path, tensor: memoryview) -> int:
    """Bytes of one initializer; those that lie in another file are there."""
    place: dict[str, str] = {}
    size = 0
    for number, value in _fields(tensor):
        if number == _RAW:
            size = len(value)
        elif number == _EXTERNAL:
            pair = {key: _text(text) for key, text in _fields(value)}
            place[pair.get(1, "")] = pair.get(2, "")
    if not place:
        return size
    size, offset = int(place.get("length", 0)), int(place.get("offset", 0))
    file = graph.parent / place["location"] if "location" in place else graph
    if not file.is_relative_to(graph.parent) or ".." in file.parts[len(graph.parent.parts) :]:
        raise ModelFileError(f"{graph} keeps its weights elsewhere: {str(file)!r}")
    if not file.is_file():
        raise ModelFileError(f"{file} is missing: {graph.name} keeps its weights there", _AGAIN)
    there = file.stat().st_size
    if there < offset + size:
        raise ModelFileError(f"{file} is cut short: {there} of {offset + size} bytes", _AGAIN)
    return size


def _position(port: memoryview) -> int:
    """Bytes of one token in the cache that this input is; 0 for any other input."""
    parts: dict[int, Any] = dict(_fields(port))
    if not _text(parts.get(1, b"")).startswith(_CACHE):
        return 0
    tensor: dict[int, Any] = dict(_fields(dict(_fields(parts[2]))[1]))
    sizes = [dict(_fields(size)).get(1, 1) for number, size in _fields(tensor[2]) if number == 1]
    return _SIZES.get(tensor.get(1, 1), 4) * prod(int(size) for size in sizes)


def _context_length(graph: Path) -> int:
    for folder in (graph.parent, graph.parent.parent):
        try:
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(config, Mapping):
            key, part = "max_position_embeddings", config.get("text_config")
            length = config.get(key, part.get(key) if isinstance(part, Mapping) else None)
            return length if isinstance(length, int) and length > 0 else _DEFAULT_CONTEXT
    return _DEFAULT_CONTEXT


def _fields(message: memoryview) -> Iterator[tuple[int, Any]]:
    """The fields of a message: (number, int or memoryview). Raises ValueError for no message."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            size, at = _varint(message, at)
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
        else:
            raise ValueError(f"wire type {kind}")
        if at + size > len(message):
            raise ValueError("a field beyond the end")
        yield key >> 3, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise ValueError("a number without an end")


def _text(data: Any) -> str:
    return bytes(data).decode("utf-8", "replace")
