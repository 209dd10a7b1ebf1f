"""Two instances at once: one waits, or both do their work, and what they keep is whole."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edgespec.library import Library, is_damaged
from edgespec.measurements import MeasurementStore
from edgespec.messages import Role
from edgespec.snapshots import Snapshot, SnapshotStore
from edgespec.store.store import Store
from tests.cli.process import PATIENCE, environment
from tests.faults.matrix import Cell, cell
from tests.faults.stages import PLAIN, ROWS, Stage
from tests.faults.surroundings import Done

pytestmark = pytest.mark.native

Record = Callable[[Cell], None]
WRITER = """
import sys
from pathlib import Path
from edgespec.messages import Role
from edgespec.store.store import Store

with Store(Path(sys.argv[1])) as store:
    talk = store.create(sys.argv[2])
    parent = None
    for number in range(25):
        parent = store.add(talk, parent, [Role.USER, Role.ASSISTANT][number % 2], str(number)).id
"""
KEEPER = """
import sys
from pathlib import Path
from edgespec.snapshots import Snapshot, SnapshotStore

store = SnapshotStore(Path(sys.argv[1]), 1 << 20)
for number in range(50):
    store.save("talk", "models", Snapshot((1, 2, 3), sys.argv[2].encode() * 10_000))
    assert store.load("talk", "models") is not None
"""


def together(*processes: "subprocess.Popen[bytes]") -> list[Done]:
    """How they ended."""
    found = []
    for process in processes:
        stdout, stderr = process.communicate(timeout=PATIENCE)
        found.append(Done((), process.returncode, stdout.decode(), stderr.decode()))
    return found


def two(script: str, *arguments: str) -> list[Done]:
    """Run a script twice at the same time; its last argument tells the instances apart."""
    command = [sys.executable, "-c", script, *arguments]
    return together(
        *(
            subprocess.Popen(
                [*command, name],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment(),
            )
            for name in ("a", "b")
        )
    )


def test_answers(edgespec_home: Path, record: Record) -> None:
    stage = Stage(("run", *PLAIN, "-n", "4", "-t", "0", "hi"), lambda _: True, lambda _: "")
    first, second = together(stage.start(), stage.start())
    assert first.returncode == second.returncode == 0
    assert first.stdout == second.stdout
    [file] = (edgespec_home / "cache" / "measurements").glob("*.json")
    assert MeasurementStore(file.parent).load(file.stem) is not None
    record(cell("two instances", "run", second, "both answer; the measurements are whole"))


def test_batches(at: dict[str, Stage], record: Record, tmp_path: Path) -> None:
    first = at["batch"].start()
    at["batch"].wait(first)
    os.kill(first.pid, signal.SIGSTOP)  # Or it might be done before the second one begins.
    [second] = together(at["batch"].start())
    os.kill(first.pid, signal.SIGCONT)
    assert second.returncode == 2
    assert "is in use by another edgespec batch" in second.stderr
    [done] = together(first)
    assert done.returncode == 0
    assert len((tmp_path / "answers.jsonl").read_text().splitlines()) == ROWS
    record(cell("two instances", "batch", second, "the first one completes", tmp_path))


def test_downloads(at: dict[str, Stage], record: Record, tmp_path: Path) -> None:
    first = at["download"].start()
    at["download"].wait(first)
    done = together(first, at["download"].start())
    assert [one.returncode for one in done] == [0, 0]
    [installed] = Library().installed()
    assert not is_damaged(installed.files[0])
    assert "another edgespec is fetching it" in done[1].stderr
    last = Done((), 0, "", done[1].stderr.splitlines()[0])
    record(
        cell("two instances", "download", last, "the second waits, the model is whole", tmp_path)
    )


def test_conversations(tmp_path: Path, record: Record) -> None:
    file = tmp_path / "conversations.db"
    done = two(WRITER, str(file))
    assert [(one.returncode, one.stderr) for one in done] == [(0, ""), (0, "")]
    with Store(file) as store:
        found = store.summaries()
        assert sorted(one.title for one in found) == ["a", "b"]
        for one in found:
            assert [message.text for message in store.load(one.id)] == list(map(str, range(25)))
        assert store.load(1).path()[0].role is Role.USER
    record(cell("two instances", "conversations.db", done[0], "all messages of both are there"))


def test_snapshots(tmp_path: Path, record: Record) -> None:
    done = two(KEEPER, str(tmp_path))
    assert [(one.returncode, one.stderr) for one in done] == [(0, ""), (0, "")]
    last = SnapshotStore(tmp_path, 1 << 20).load("talk", "models")
    assert last in [Snapshot((1, 2, 3), name * 10_000) for name in (b"a", b"b")]
    record(cell("two instances", "snapshots", done[0], "whole at any moment; the last one stays"))


def test_json_of_measurements_is_whole_at_any_moment(tmp_path: Path) -> None:
    script = """
import json, sys
from pathlib import Path
from edgespec import own_files

file = Path(sys.argv[1]) / "known.json"
for number in range(300):
    own_files.replace(file, json.dumps({sys.argv[2]: [number] * 500}))
    json.loads(file.read_text())
"""
    done = two(script, str(tmp_path))
    assert [(one.returncode, one.stderr) for one in done] == [(0, ""), (0, "")]
    assert json.loads((tmp_path / "known.json").read_text())
    assert [file.name for file in tmp_path.iterdir()] == ["known.json"]
