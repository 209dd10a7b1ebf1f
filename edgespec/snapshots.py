"""Snapshots of caches on disk, so that a long conversation need not be decoded again.

A snapshot can only save time: whatever is not exactly as it was written is as if it were not there.
"""

import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np

from edgespec import own_files

_FORMAT = 1
_HEADER = 4096
_UNUSABLE = (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError)
_SUFFIX, _PART = ".kv", ".part"
_ABANDONED = 3600.0
"""Seconds after which nobody writes a part any more."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a target's and a drafter's cache held: the tokens and, as bytes, what became of them.

    Without a drafter, or if its share was too large, `drafter` is empty.
    """

    tokens: tuple[int, ...]
    target: bytes
    drafter_tokens: tuple[int, ...] = ()
    drafter: bytes = b""

    @property
    def size(self) -> int:
        """Bytes of what became of the tokens."""
        return len(self.target) + len(self.drafter)

    def shared(self, prompt: Sequence[int]) -> int:
        """How many tokens of `prompt` it begins with."""
        pairs = zip(self.tokens, prompt, strict=False)
        limit = min(len(self.tokens), len(prompt))
        return next((n for n, (held, wanted) in enumerate(pairs) if held != wanted), limit)


class SnapshotStore:
    """Files in `folder`, of at most `limit` bytes together; the least recently used make room."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self.limit = limit

    def save(self, name: str, fingerprint: str, snapshot: Snapshot) -> None:
        """Keep a snapshot under `name`, in one step; a disk that refuses is no failure.

        `fingerprint` stands for the models and settings that it belongs to.
        """
        parts = _parts(snapshot)
        header = _header(fingerprint, parts)
        if sum(map(len, parts)) + len(header) > self.limit:
            return
        temporary = ""
        try:
            own_files.make_folder(self._folder)
            with NamedTemporaryFile(dir=self._folder, suffix=_PART, delete=False) as file:
                temporary = file.name
                file.write(header)
                file.writelines(parts)
            os.replace(temporary, self._file(name))
            self._make_room()
        except OSError:
            with suppress(OSError):
                os.unlink(temporary)

    def load(self, name: str, fingerprint: str) -> Snapshot | None:
        """What was kept under `name` for these models and settings; None on any doubt."""
        file = self._file(name)
        try:
            with file.open("rb") as opened:
                sizes, digest = _read_header(opened.read(_HEADER), fingerprint)
                parts = [_exactly(opened.read(size), size) for size in sizes]
                if opened.read(1) or _digest(fingerprint, parts) != digest:
                    return None
            os.utime(file)
        except _UNUSABLE:
            return None
        tokens, target, drafter_tokens, drafter = parts
        return Snapshot(_ids(tokens), target, _ids(drafter_tokens), drafter)

    def _file(self, name: str) -> Path:
        return self._folder / f"{blake2b(name.encode(), digest_size=16).hexdigest()}{_SUFFIX}"

    def _make_room(self) -> None:
        for part in self._folder.glob(f"*{_PART}"):
            if time.time() - part.stat().st_mtime > _ABANDONED:
                part.unlink()
        found = [(file, file.stat()) for file in self._folder.glob(f"*{_SUFFIX}")]
        total = 0
        for file, status in sorted(found, key=lambda item: item[1].st_mtime_ns, reverse=True):
            total += status.st_size
            if total > self.limit:
                file.unlink()


def _parts(snapshot: Snapshot) -> list[bytes]:
    return [
        np.array(snapshot.tokens, "<i4").tobytes(),
        snapshot.target,
        np.array(snapshot.drafter_tokens, "<i4").tobytes(),
        snapshot.drafter,
    ]


def _header(fingerprint: str, parts: Sequence[bytes]) -> bytes:
    data = {
        "format": _FORMAT,
        "fingerprint": fingerprint,
        "sizes": [len(part) for part in parts],
        "digest": _digest(fingerprint, parts),
    }
    return json.dumps(data).encode().ljust(_HEADER)


def _read_header(data: bytes, fingerprint: str) -> tuple[list[int], str]:
    """The sizes of the parts and their digest; ValueError for a file of other models."""
    header = json.loads(data)
    if header["format"] != _FORMAT or header["fingerprint"] != fingerprint:
        raise ValueError("it belongs to something else")
    sizes = [int(size) for size in header["sizes"]]
    if len(sizes) != len(Snapshot.__slots__) or min(sizes) < 0:
        raise ValueError("it has other parts")
    return sizes, str(header["digest"])


def _exactly(data: bytes, size: int) -> bytes:
    if len(data) != size:
        raise ValueError("it was cut off")
    return data


def _digest(fingerprint: str, parts: Sequence[bytes]) -> str:
    digest = blake2b(fingerprint.encode(), digest_size=32)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


def _ids(data: bytes) -> tuple[int, ...]:
    return tuple(np.frombuffer(data, "<i4").tolist())
