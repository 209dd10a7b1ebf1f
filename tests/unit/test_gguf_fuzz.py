"""No file, however broken, makes the header's reader do anything but refuse it.

`python -m tests.mutations` tries many more than these.
"""

import random
import tracemalloc
from pathlib import Path
from time import process_time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import mutations
from tests.mutations import MEMORY, mutated, read

CASES = 2000


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return mutations.valid(tmp_path_factory.mktemp("fuzz"))


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
