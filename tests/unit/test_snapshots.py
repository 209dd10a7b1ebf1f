import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgespec.snapshots import Snapshot, SnapshotStore

SNAPSHOT = Snapshot((1, 2, 3), b"target" * 50, (1, 2), b"drafter" * 20)
LOOSE = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def store(tmp_path: Path) -> SnapshotStore:
    return SnapshotStore(tmp_path / "kv", 1 << 20)


def only_file(tmp_path: Path) -> Path:
    [file] = (tmp_path / "kv").iterdir()
    return file


def test_what_was_saved_is_loaded(store: SnapshotStore) -> None:
    store.save("7", "nano", SNAPSHOT)
    assert store.load("7", "nano") == SNAPSHOT


def test_a_snapshot_without_a_drafter(store: SnapshotStore) -> None:
    store.save("7", "nano", Snapshot((1,), b"x"))
    assert store.load("7", "nano") == Snapshot((1,), b"x")


def test_a_snapshot_of_other_models_or_settings_is_not_used(store: SnapshotStore) -> None:
    store.save("7", "nano", SNAPSHOT)
    assert store.load("7", "other") is None
    assert store.load("8", "nano") is None


def test_the_last_one_of_a_name_counts(store: SnapshotStore, tmp_path: Path) -> None:
    store.save("7", "nano", Snapshot((9,), b"old"))
    store.save("7", "nano", SNAPSHOT)
    assert store.load("7", "nano") == SNAPSHOT
    only_file(tmp_path)


@given(st.data())
@LOOSE
def test_a_file_with_any_byte_changed_is_not_used(
    store: SnapshotStore, tmp_path: Path, data: st.DataObject
) -> None:
    store.save("7", "nano", SNAPSHOT)
    file = only_file(tmp_path)
    content = bytearray(file.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    file.write_bytes(content)
    assert store.load("7", "nano") in (None, SNAPSHOT)
    blank_header = content[at : at + 1].isspace() and at < 4096
    assert store.load("7", "nano") is None or blank_header


@given(st.integers(0, 5000))
@LOOSE
def test_a_file_that_was_cut_off_is_not_used(
    store: SnapshotStore, tmp_path: Path, length: int
) -> None:
    store.save("7", "nano", SNAPSHOT)
    file = only_file(tmp_path)
    content = file.read_bytes()
    file.write_bytes(content[: min(length, len(content) - 1)])
    assert store.load("7", "nano") is None


def test_a_file_with_more_behind_it_is_not_used(store: SnapshotStore, tmp_path: Path) -> None:
    store.save("7", "nano", SNAPSHOT)
    with only_file(tmp_path).open("ab") as file:
        file.write(b"x")
    assert store.load("7", "nano") is None


@given(st.binary(max_size=6000))
@LOOSE
def test_any_other_file_is_not_used(store: SnapshotStore, tmp_path: Path, content: bytes) -> None:
    store.save("7", "nano", SNAPSHOT)
    only_file(tmp_path).write_bytes(content)
    assert store.load("7", "nano") is None


def test_the_least_recently_used_make_room(tmp_path: Path) -> None:
    one = Snapshot((1,), bytes(1000))
    store = SnapshotStore(tmp_path / "kv", 3 * 5200)
    for number, name in enumerate("abc"):
        store.save(name, "nano", one)
        for file in (tmp_path / "kv").iterdir():
            if file.stat().st_mtime > 1e6:
                os.utime(file, (number + 1, number + 1))
    assert store.load("a", "nano") == one
    store.save("d", "nano", one)
    assert [bool(store.load(name, "nano")) for name in "abcd"] == [True, False, True, True]


def test_what_a_killed_process_left_half_written_goes(store: SnapshotStore, tmp_path: Path) -> None:
    part = tmp_path / "kv" / "killed.part"
    part.parent.mkdir()
    part.touch()
    store.save("a", "nano", SNAPSHOT)
    assert part.exists()
    os.utime(part, (1, 1))
    store.save("a", "nano", SNAPSHOT)
    assert not part.exists()


def test_what_is_larger_than_all_the_room_is_not_kept(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path / "kv", 5000)
    store.save("a", "nano", SNAPSHOT)
    store.save("b", "nano", Snapshot((1,), bytes(5000)))
    assert store.load("b", "nano") is None
    assert store.load("a", "nano") == SNAPSHOT


def test_a_disk_that_refuses_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "kv").write_text("no folder")
    store = SnapshotStore(tmp_path / "kv", 1 << 20)
    store.save("a", "nano", SNAPSHOT)
    assert store.load("a", "nano") is None


@pytest.mark.parametrize(
    ("prompt", "count"), [((1, 2, 3, 4), 3), ((1, 2), 2), ((1, 9, 3), 1), ((), 0), ((9,), 0)]
)
def test_what_a_prompt_shares_with_it(prompt: tuple[int, ...], count: int) -> None:
    assert SNAPSHOT.shared(prompt) == count
