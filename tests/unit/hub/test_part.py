"""A file on its way: what is gathered, by which writes, and what becomes of it."""

import os
from hashlib import sha256
from pathlib import Path

import pytest

from edgespec.errors import DownloadFailed
from edgespec.hub.client import RemoteFile
from edgespec.hub.part import Part, part_path

DATA = bytes(range(256)) * 20
FILE = RemoteFile("deep/model.gguf", len(DATA), sha256(DATA).hexdigest())


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder of models that is not there yet, nor is what leads to it."""
    return tmp_path / "not" / "there" / "models"


def test_it_becomes_the_file_in_a_folder_that_is_made(models: Path) -> None:
    target = models / "a" / "b" / "model.gguf"
    with Part(models, FILE) as part:
        part.append(DATA)
        part.finish(target)
        assert part._handle == -1
    assert target.read_bytes() == DATA
    assert not part_path(models, FILE.sha256).exists()


def test_a_folder_that_is_there_will_do(models: Path) -> None:
    models.mkdir(parents=True)
    with Part(models, FILE) as part:
        part.append(DATA)
        part.finish(models / "model.gguf")
    assert (models / "model.gguf").read_bytes() == DATA


def test_writes_that_take_a_part_only(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[:1000]))
    with Part(models, FILE) as part:
        part.append(DATA)
        assert part.size == len(DATA)
        part.finish(models / "model.gguf")
    assert (models / "model.gguf").read_bytes() == DATA


def test_what_is_here_is_taken_up(models: Path) -> None:
    told: list[int] = []
    with Part(models, FILE) as part:
        part.append(DATA[:3000])
    with Part(models, FILE) as part:
        part.recover(told.append)
        assert (part.size, told) == (3000, [3000])
        part.append(DATA[3000:])
        part.finish(models / "model.gguf")


def test_what_is_longer_than_the_file_is_begun_anew(models: Path) -> None:
    with Part(models, FILE) as part:
        part.append(DATA + b"more")
    with Part(models, FILE) as part:
        part.recover(lambda done: None)
        assert part.size == 0
        part.append(DATA)
        part.finish(models / "model.gguf")


def test_another_file_is_removed_and_named(models: Path) -> None:
    wrong = sha256(b"wrong").hexdigest()
    with Part(models, FILE) as part:
        part.append(b"wrong")
        with pytest.raises(DownloadFailed) as caught:
            part.finish(models / "model.gguf")
    expected = f"deep/model.gguf arrived damaged (SHA-256 {wrong[:12]}…, not {FILE.sha256[:12]}…)"
    assert caught.value.what == f"{expected} and was removed"
    assert caught.value.hint == "fetch it again"
    assert not part_path(models, FILE.sha256).exists()
    assert not (models / "model.gguf").exists()
