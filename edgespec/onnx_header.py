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
_OPERATOR, _ATTRIBUTE = 4, 5
_NAME, _INTEGER = 1, 3
_RAW, _EXTERNAL = 9, 13
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_CACHE = "past_key_values."
_SIZES = {1: 4, 10: 2, 16: 2}
"""Bytes of the types that a cache can have: float, float16, bfloat16."""
_DEFAULT_CONTEXT = 2048
_ROUNDING = {"MatMulInteger", "MatMulIntegerToFloat", "QuantizeLinear", "QAttention", "QGemm"}
_ROUNDING_PREFIX = "DynamicQuantize"
_EIGHT_BITS = 4
"""The accuracy_level at which MatMulNBits rounds activations to 8 bits."""


@dataclass(frozen=True, slots=True)
class OnnxHeader:
    """A graph file and what it needs.

    `weights` are bytes, inside the file and beside it; `position` the bytes of cache that one
    token takes; `context_length` is the configuration's. If the graph `rounds` activations to
    integers, logits of a batch differ from those of single steps by tenths (up to 0.3 were
    measured, in other graphs 0.02), because that makes much of little. `parameters` follow from
    the configuration of a decoder of the usual kind, 0 if that does not tell. `tokenizer` is the
    text of the file that lies beside a graph which is not here, as far as it was asked for.
    """

    path: Path
    weights: int
    position: int
    context_length: int
    operators: frozenset[str]
    rounds: bool = False
    parameters: int = 0
    tokenizer: bytes = b""

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
    shape = _Shape.of(config)
    position = 2 * shape.layers * shape.cached * _SIZES[1]
    parameters = shape.parameters
    return OnnxHeader(path, weights, position, shape.context, frozenset(), parameters=parameters)


def beside(graph: Path, name: str) -> Path | None:
    """The file `name` that belongs to `graph`: in its folder, or in the one above."""
    places = (folder / name for folder in (graph.parent, graph.parent.parent))
    return next((file for file in places if file.is_file()), None)


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a configuration tells; `queried` and `cached` are the widths of all heads together."""

    layers: int
    width: int
    inner: int
    queried: int
    cached: int
    tokens: int
    context: int

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "_Shape":
        """Read `config`, whose text part may be an object of its own. What is missing is 0."""
        part = config.get("text_config")
        known = {**config, **(part if isinstance(part, Mapping) else {})}

        def number(key: str, default: int = 0) -> int:
            value = known.get(key)
            return value if isinstance(value, int) and value > 0 else default

        heads = number("num_attention_heads", 1)
        size = number("head_dim", number("hidden_size") // heads)
        return cls(
            number("num_hidden_layers"),
            number("hidden_size"),
            number("intermediate_size"),
            heads * size,
            number("num_key_value_heads", heads) * size,
            number("vocab_size"),
            number("max_position_embeddings", _DEFAULT_CONTEXT),
        )

    @property
    def parameters(self) -> int:
        """Those of attention, of a gated feed-forward and of the embeddings."""
        layer = self.width * (2 * self.queried + 2 * self.cached + 3 * self.inner)
        return self.layers * layer + self.tokens * self.width


_AGAIN = "download it again"


def _header(path: Path, view: memoryview) -> OnnxHeader:
    graph = next((value for number, value in _fields(view) if number == _GRAPH), None)
    if graph is None:
        raise ValueError("no graph")
    weights, position, rounds = 0, 0, False
    operators: set[str] = set()
    for number, value in _fields(graph):
        if number == _NODE:
            name, accuracy = _operator(value)
            operators.add(name)
            rounds |= name in _ROUNDING or name.startswith(_ROUNDING_PREFIX)
            rounds |= accuracy == _EIGHT_BITS
        elif number == _INITIALIZER:
            weights += _tensor(path, value)
        elif number == _INPUT:
            position += _position(value)
    shape = _Shape.of(_config(path))
    return OnnxHeader(
        path, weights, position, shape.context, frozenset(operators), rounds, shape.parameters
    )


def _operator(node: memoryview) -> tuple[str, int]:
    """What a node computes, and the accuracy_level that it may do it at, 0 if it says none."""
    name, accuracy = "", 0
    for number, value in _fields(node):
        if number == _OPERATOR:
            name = _text(value)
        elif number == _ATTRIBUTE:
            parts: dict[int, Any] = dict(_fields(value))
            if _text(parts.get(_NAME, b"")) == "accuracy_level":
                accuracy = int(parts.get(_INTEGER, 0))
    return name, accuracy


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


def _config(graph: Path) -> Mapping[str, Any]:
    """The configuration that lies with the graph, empty if there is none that can be read."""
    file = beside(graph, "config.json")
    try:
        config = json.loads(file.read_text(encoding="utf-8")) if file else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return config if isinstance(config, Mapping) else {}


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
