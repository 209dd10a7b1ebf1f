"""Files that change under a running edgespec, and files of other versions of it."""

import json
import os
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from edgespec import trial
from edgespec.batch.journal import SUFFIX
from edgespec.errors import InvalidInput, ModelFileError
from edgespec.store import schema
from edgespec.store.store import Store
from tests.backends.nano import TARGET
from tests.cli.process import ENDLESS, PATIENCE, Terminal, edgespec
from tests.faults import surroundings as around
from tests.faults.matrix import Cell, cell
from tests.faults.stages import PLAIN, Stage, has_begun
from tests.ggufs import Vocabulary, llama_gguf

pytestmark = pytest.mark.native

Record = Callable[[Cell], None]


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A model that something happens to."""
    return llama_gguf(tmp_path / "victim.gguf", n_layer=8, d=256, ff=1024, context=8192)


@pytest.fixture
def answering(tmp_path: Path, victim: Path) -> "subprocess.Popen[bytes]":
    """A process that answers with the victim and does not stop by itself."""
    endless = tmp_path / "endless.gbnf"
    endless.write_text(ENDLESS)
    arguments = ("run", *PLAIN, "--raw", "a", "--grammar", str(endless), "-m", str(victim))
    stage = Stage(arguments, has_begun, lambda _: "")
    process = stage.start()
    stage.wait(process)
    return process


def ended(process: "subprocess.Popen[bytes]") -> around.Done:
    stdout, stderr = process.communicate(timeout=PATIENCE)
    return around.Done((), process.returncode, stdout.decode(errors="replace"), stderr.decode())


def test_a_model_cut_short_while_it_works(
    answering: "subprocess.Popen[bytes]", victim: Path, record: Record, tmp_path: Path
) -> None:
    os.truncate(victim, 4096)
    done = ended(answering)
    assert done.returncode == 3
    assert done.stderr.startswith("edgespec: error: a model's file was changed")
    assert done.stderr.count("\n") == 1
    assert done.stdout
    record(cell("model file changes", "decode, cut short (SIGBUS)", done, "what was printed stays"))


def test_a_model_replaced_while_it_works(
    answering: "subprocess.Popen[bytes]", victim: Path, record: Record, tmp_path: Path
) -> None:
    new = llama_gguf(tmp_path / "new.gguf")
    os.replace(new, victim)
    os.killpg(answering.pid, signal.SIGINT)
    done = ended(answering)
    assert (done.returncode, done.stderr) == (130, "")
    then = "it goes on with the old file until it is told to stop"
    record(cell("model file changes", "decode, replaced", done, then))


def test_a_model_cut_short_in_a_chat(victim: Path, record: Record, edgespec_home: Path) -> None:
    chat = ("chat", *PLAIN, "--temperature", "0", "--model", str(victim))
    with Terminal(*chat, TERM="xterm-256color") as screen:
        screen.until("lists the commands")
        screen.type("go on\r")
        screen.until("writing")
        os.truncate(victim, 4096)
        code, shown = screen.finish()
    assert code == 3
    assert "\x1b[?1049l" in shown
    assert "edgespec: error: a model's file was changed" in shown
    with Store(edgespec_home / "data" / "conversations.db") as store:
        assert store.load(1).path()[0].text == "go on"
    said = shown[shown.rindex("edgespec: error") :].strip()
    then = "the terminal is as before, the conversation is kept"
    record(Cell("model file changes", "chat, cut short (SIGBUS)", code, said, then))


def test_a_model_that_makes_the_engine_crash_does_so_elsewhere(
    tmp_path: Path, record: Record
) -> None:
    # The header's check would refuse it, too: a vocabulary without bytes.
    words = Vocabulary(tuple(f"w{number}" for number in range(300)), model="llama")
    file = llama_gguf(tmp_path / "crashing.gguf", vocabulary=words)
    with pytest.raises(ModelFileError, match=r"makes the engine crash \(SIGABRT\)") as caught:
        trial.require_harmless([file], lambda: True)
    said = f"edgespec: error: {caught.value}".replace(str(tmp_path), "…")
    then = "the crash was that of a child; the file is tried again next time"
    record(Cell("malicious model", "loading", caught.value.exit_code, said, then))


def test_a_model_is_tried_once(victim: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trial.require_harmless([victim], lambda: True)
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("tried again"))
    trial.require_harmless([victim, TARGET], lambda: True)


def test_whoever_does_not_wait_learns_nothing(victim: Path, edgespec_home: Path) -> None:
    trial.require_harmless([victim], lambda: False)
    assert not (edgespec_home / "cache" / "tried").exists()


def test_a_database_of_each_older_version_is_brought_up_to_date(
    tmp_path: Path, record: Record
) -> None:
    for version in range(len(schema._MIGRATIONS) + 1):
        file = tmp_path / f"{version}.db"
        connection = sqlite3.connect(file)
        for script in schema._MIGRATIONS[:version]:
            connection.executescript(script)
        connection.execute(f"PRAGMA user_version = {version}")
        if version:
            connection.execute(
                "INSERT INTO conversation (title, created, updated) VALUES ('kept', 1, 2)"
            )
        connection.commit()
        connection.close()
        with Store(file) as store:
            assert [found.title for found in store.summaries()] == ["kept"] * bool(version)
    record(Cell("other versions", "database of an older one", 0, "", "it is brought up to date"))


def later_database(home: Path) -> Path:
    file = home / "data" / "conversations.db"
    file.parent.mkdir(parents=True)
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    return file


def test_a_database_of_a_later_version_is_refused(edgespec_home: Path, record: Record) -> None:
    file = later_database(edgespec_home)
    before = file.read_bytes()
    with Terminal("chat", *PLAIN, TERM="xterm-256color") as chat:
        code, shown = chat.finish()
    assert code == 2
    assert "was written by a later version of edgespec; update edgespec" in " ".join(shown.split())
    assert file.read_bytes() == before
    said = shown.strip().splitlines()[-1].replace(str(file), "…")
    record(Cell("other versions", "database of a later one", code, said, "it is not touched"))


def test_settings_of_a_later_version_are_refused(edgespec_home: Path, record: Record) -> None:
    file = edgespec_home / "config" / "settings.toml"
    file.parent.mkdir(parents=True)
    file.write_text("[answer]\ntemperature = 1.0\nmood = 'good'\n")
    done = edgespec("chat", "--plain", *PLAIN)
    assert done.returncode == 2
    assert "line 3: answer.mood is not a setting" in done.stderr
    assert done.stderr.count("\n") == 1
    record(cell("other versions", "settings of a later one", done, "they are not touched", file))


def test_a_journal_of_a_later_version_is_refused(
    tmp_path: Path, at: dict[str, Stage], record: Record
) -> None:
    assert edgespec(*at["batch"].arguments, "-n", "1").returncode == 0
    journal = tmp_path / f"answers.jsonl{SUFFIX}"
    journal.write_bytes(journal.read_bytes().replace(b'"format": 1', b'"format": 9'))
    done = edgespec(*at["batch"].arguments, "-n", "1")
    assert done.returncode == 2
    assert "is no journal of this edgespec" in done.stderr
    then = "neither journal nor answers are touched"
    record(cell("other versions", "journal of a later one", done, then, tmp_path))


def test_measurements_of_another_version_are_made_again(
    edgespec_home: Path, record: Record
) -> None:
    command = ("run", *PLAIN, "-n", "2", "--temperature", "0", "hi")
    first = edgespec(*command)
    [file] = (edgespec_home / "cache" / "measurements").glob("*.json")
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": 9}))
    done = edgespec(*command)
    assert (done.returncode, done.stdout, done.stderr) == (0, first.stdout, "")
    assert json.loads(file.read_text())["format"] == 1
    record(cell("other versions", "measurements of a later one", done, "they are made again"))


def test_a_store_refuses_to_go_back(tmp_path: Path) -> None:
    file = later_database(tmp_path)
    with pytest.raises(InvalidInput, match="later version"):
        Store(file)
