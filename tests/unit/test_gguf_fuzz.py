"""No file, however broken, makes the header's reader do anything but refuse it."""

import random
import tracemalloc
from contextlib import suppress
from pathlib import Path
from time import process_time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgespec.errors import ModelFileError, ModelUnavailable
from edgespec.gguf_header import read_header
from tests.ggufs import llama_gguf

CASES = 2000
MEMORY = 16 << 20
"""Bytes; the file has 0.1 MiB, and it is read by the MiB."""


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("fuzz") / "valid.gguf"
    return llama_gguf(path, n_layer=1, d=32, heads=2, kv_heads=1, ff=32, vocab=260).read_bytes()


def read(path: Path, data: bytes) -> bool:
    """Whether it was accepted; any error but the two fails the test."""
    path.write_bytes(data)
    with suppress(ModelUnavailable, ModelFileError):
        read_header(path)
        return True
    return False


def mutated(data: bytes, dice: random.Random) -> bytes:
    changed = bytearray(data)
    header = data.index(b"ffn_down") + 64
    for _ in range(dice.choice((1, 1, 2, 8))):
        at = dice.randrange(header)
        match dice.randrange(4):
            case 0:
                changed[at] ^= 1 << dice.randrange(8)
            case 1:
                value = dice.choice((0, 1, 255, 1 << 31, (1 << 63) - 1, (1 << 64) - 1))
                changed[at : at + 8] = value.to_bytes(8, "little")
            case 2:
                del changed[at : at + dice.randrange(64)]
            case 3:
                changed[at:at] = dice.randbytes(dice.randrange(64))
    return bytes(changed[: dice.randrange(len(changed))] if dice.random() < 0.1 else changed)


def test_mutated_headers(tmp_path: Path, valid: bytes) -> None:
    dice, path = random.Random(0), tmp_path / "file.gguf"
    assert read(path, valid)
    start = process_time()
    accepted = sum(read(path, mutated(valid, dice)) for _ in range(CASES))
    assert process_time() - start < CASES * 0.01
    assert accepted < CASES / 2


def test_mutated_headers_take_little_memory(tmp_path: Path, valid: bytes) -> None:
    dice, path = random.Random(1), tmp_path / "file.gguf"
    tracemalloc.start()
    for _ in range(CASES // 20):
        read(path, mutated(valid, dice))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MEMORY


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    start=st.sampled_from((b"", b"GGUF", b"GGUF\3\0\0\0", b"GGUF\3\0\0\0" + bytes(7))),
    rest=st.binary(max_size=400),
)
def test_random_bytes(tmp_path: Path, start: bytes, rest: bytes) -> None:
    assert not read(tmp_path / "file.gguf", start + rest)
