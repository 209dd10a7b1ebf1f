"""Everything that edgespec keeps is for its user alone, whatever the umask is."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgespec import config, own_files, paths
from edgespec.snapshots import Snapshot, SnapshotStore
from edgespec.store.store import Store
from tests.cli.process import Terminal, edgespec
from tests.faults.stages import PLAIN

pytestmark = pytest.mark.native


@pytest.fixture(autouse=True)
def generous() -> Iterator[None]:
    """A umask that takes nothing away."""
    before = os.umask(0)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> list[str]:
    """Files that others may read or write; folders count where they are not closed above."""
    closed = [place for place in folder.rglob("*") if place.is_dir() and not mode(place) & 0o077]
    return [
        str(file.relative_to(folder))
        for file in folder.rglob("*")
        if file.is_file() and (mode(file) & 0o077 or not set(closed) & set(file.parents))
    ]


def mode(place: Path) -> int:
    return stat.S_IMODE(place.stat().st_mode)


def test_what_a_chat_leaves(edgespec_home: Path) -> None:
    with Terminal("chat", "--plain", *PLAIN, "-n", "4", TERM="xterm") as chat:
        chat.until("User: ")
        chat.type("def main():\r")
        chat.until("User: ")
        chat.type("\x04")
        assert chat.finish()[0] == 0
    names = {file.name for file in edgespec_home.rglob("*") if file.is_file()}
    assert {"conversations.db", "chat_history"} <= names
    assert open_to_others(edgespec_home) == []


def test_what_else_is_kept(edgespec_home: Path) -> None:
    assert edgespec("run", "--threads", "1", "-n", "2", "hi").returncode == 0
    config.save(config.file(), config.Settings(), system="secret")
    SnapshotStore(paths.cache_dir() / "snapshots", 1 << 20).save("talk", "m", Snapshot((1,), b"x"))
    with Store(paths.data_dir() / "conversations.db") as store:
        store.create("a talk")
        names = {file.name for file in edgespec_home.rglob("*") if file.is_file()}
        assert {"settings.toml", "conversations.db", "conversations.db-wal"} <= names
        assert open_to_others(edgespec_home) == []


def test_a_database_that_was_open_to_all_is_closed(edgespec_home: Path) -> None:
    file = edgespec_home / "data" / "conversations.db"
    file.parent.mkdir(parents=True)
    file.touch(0o666)
    with Store(file):
        assert mode(file) == 0o600


def test_a_file_that_cannot_be_replaced_stays_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "known.json"
    own_files.replace(file, "old")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OSError, match="full"):
        own_files.replace(file, "new")
    assert file.read_text() == "old"
    assert [place.name for place in tmp_path.iterdir()] == ["known.json"]
