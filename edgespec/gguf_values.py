"""Reads the typed values of a GGUF header, checking every length against the file beforehand."""

import struct
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Protocol, TypeAlias

from edgespec.errors import ModelFileError

MAX_HEADER = 128 << 20
"""Bytes; the largest known headers (vocabularies of 260k tokens) take about 20 MiB."""
MAX_STRING = 16 << 20
MAX_ELEMENTS = 1 << 22

DOWNLOAD_AGAIN = "download it again"

_CHUNK = 1 << 20
_U64 = struct.Struct("<Q")


class ValueType(IntEnum):
    """The type codes of GGUF metadata."""

    UINT8 = 0
    INT8 = 1
    UINT16 = 2
    INT16 = 3
    UINT32 = 4
    INT32 = 5
    FLOAT32 = 6
    BOOL = 7
    STRING = 8
    ARRAY = 9
    UINT64 = 10
    INT64 = 11
    FLOAT64 = 12


# The codes of the modules struct and array. BOOL is a byte that must be 0 or 1.
_CODES = {
    ValueType.UINT8: "B",
    ValueType.INT8: "b",
    ValueType.UINT16: "H",
    ValueType.INT16: "h",
    ValueType.UINT32: "I",
    ValueType.INT32: "i",
    ValueType.FLOAT32: "f",
    ValueType.BOOL: "B",
    ValueType.UINT64: "Q",
    ValueType.INT64: "q",
    ValueType.FLOAT64: "d",
}


@dataclass(frozen=True, slots=True)
class StringArray:
    """An array of strings, left as it lies in the file until somebody iterates over it."""

    data: bytes
    count: int

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[str]:
        return (raw.decode("utf-8", "replace") for raw in self.raw())

    def raw(self) -> Iterator[bytes]:
        """The strings as stored; nothing promises that they are UTF-8."""
        at = 0
        for _ in range(self.count):
            start = at + 8
            at = start + _U64.unpack_from(self.data, at)[0]
            yield self.data[start:at]


Value: TypeAlias = bool | int | float | str | StringArray | Sequence[float]
"""What a key can hold; the last is an `array`, of whole numbers unless the file has floats."""


class Readable(Protocol):
    """What a header is read from: an open file, or one that is still on a server."""

    def read(self, size: int, /) -> bytes:
        """The next `size` bytes or fewer, none at the end."""


class Reader:
    """Goes forward through the header of one file, `size` bytes long.

    Every failure is a ModelFileError that names the byte.
    """

    def __init__(self, file: Readable, size: int, path: Path) -> None:
        self.at = 0
        self.size = size
        self._file = file
        self._path = path
        self._data = bytearray()

    def damaged(self, what: str) -> ModelFileError:
        """The error that says what is wrong at the current byte."""
        return ModelFileError(f"{self._path} is damaged at byte {self.at}: {what}", DOWNLOAD_AGAIN)

    def cut_short(self, what: str = "its header goes on past the end") -> ModelFileError:
        """The error for a file that is shorter than it says."""
        return ModelFileError(
            f"{self._path} is cut short or damaged: {what} ({self.size:,} bytes)", DOWNLOAD_AGAIN
        )

    def take(self, length: int) -> bytes:
        """The next `length` bytes."""
        start = self.at
        self._require(start + length)
        self.at = start + length
        return bytes(self._data[start : self.at])

    def number(self, kind: ValueType) -> int | float:
        """The next number or bool, the latter as 0 or 1."""
        value: int | float
        (value,) = struct.unpack("<" + _CODES[kind], self.take(struct.calcsize(_CODES[kind])))
        if kind is ValueType.BOOL and value not in (0, 1):
            raise self.damaged("a bool is neither 0 nor 1")
        return value

    def integer(self, kind: ValueType = ValueType.UINT64) -> int:
        """The next whole number."""
        return int(self.number(kind))

    def count(self, what: str, limit: int, element_size: int) -> int:
        """The next u64 as the number of things that follow, `element_size` bytes each or more."""
        count = self.integer()
        if count > limit:
            raise self.damaged(f"it claims {count:,} {what}, the limit is {limit:,}")
        if count * element_size > self.size - self.at:
            raise self.damaged(f"it claims {count:,} {what}, more than the rest of the file holds")
        return count

    def text(self, what: str) -> str:
        """The next string, which must be UTF-8 and not empty, such as a key."""
        raw = self.take(self.count(f"bytes of {what}", MAX_STRING, 1))
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            text = ""
        if not text:
            raise self.damaged(f"{what} is empty or not UTF-8")
        return text

    def kind(self) -> ValueType:
        """The next type code."""
        code = self.integer(ValueType.UINT32)
        try:
            return ValueType(code)
        except ValueError:
            raise self.damaged(f"no value type has the number {code}") from None

    def value(self, kind: ValueType) -> Value:
        """The next value of type `kind`."""
        if kind is ValueType.ARRAY:
            return self._array()
        if kind is ValueType.STRING:
            raw = self.take(self.count("bytes of text", MAX_STRING, 1))
            return raw.decode("utf-8", "replace")
        number = self.number(kind)
        return bool(number) if kind is ValueType.BOOL else number

    def _array(self) -> Value:
        kind = self.kind()
        if kind is ValueType.ARRAY:
            # GGUF allows them, ggml refuses them, no model has them.
            raise self.damaged("it holds an array of arrays")
        if kind is ValueType.STRING:
            return self._strings(self.count("strings", MAX_ELEMENTS, 8))
        size = struct.calcsize(_CODES[kind])
        numbers: array[float] = array(_CODES[kind])
        numbers.frombytes(self.take(size * self.count("numbers", MAX_ELEMENTS, size)))
        if kind is ValueType.BOOL and any(number > 1 for number in numbers):
            raise self.damaged("a bool is neither 0 nor 1")
        return numbers

    def _strings(self, count: int) -> StringArray:
        # The loop runs for every token of the vocabulary before every load: no calls in it.
        start = at = self.at
        data, have, unpack = self._data, len(self._data), _U64.unpack_from
        for _ in range(count):
            if at + 8 > have:
                have = self._require(at + 8)
            at += 8 + unpack(data, at)[0]
            if at > have:
                have = self._require(at)
        self.at = at
        return StringArray(bytes(data[start:at]), count)

    def _require(self, stop: int) -> int:
        """Have the file read up to byte `stop` at least; returns how far it is read."""
        if stop > min(self.size, MAX_HEADER):
            raise self.cut_short() if stop > self.size else self.damaged("the header never ends")
        while (have := len(self._data)) < stop:
            chunk = self._file.read(max(stop - have, min(_CHUNK, self.size - have)))
            if not chunk:
                raise self.cut_short()
            self._data += chunk
        return have
