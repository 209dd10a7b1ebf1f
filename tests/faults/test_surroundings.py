"""Surroundings that are not as they should be: the answer is the same, or one line says why not."""

import json
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from edgespec.store.store import Store
from tests.cli.process import Terminal, environment
from tests.faults import surroundings as around
from tests.faults.matrix import Cell, cell
from tests.faults.stages import PLAIN, REPOSITORY, Stage
from tests.hubserver import HubServer

pytestmark = pytest.mark.native

ANSWER = ("run", *PLAIN, "--temperature", "0", "-n", "8", "def main():")
CHAT = ("chat", "--plain", *PLAIN, "--temperature", "0", "-n", "8")
SAME = "the answer is the same"
Record = Callable[[Cell], None]

needs_mounts = pytest.mark.skipif(not around.can_mount(), reason="no namespaces here")


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> str:
    done = around.run(*ANSWER, variables={"EDGESPEC_HOME": str(tmp_path_factory.mktemp("home"))})
    assert done.returncode == 0
    return done.stdout


@pytest.fixture
def see(record: Record, tmp_path: Path) -> Callable[..., None]:
    """Keeps a cell of the matrix, which must not be a traceback or several lines."""

    def keep(fault: str, stage: str, done: around.Done, then: str) -> None:
        assert done.stderr.count("\n") <= 1, done.stderr
        assert "unexpected" not in done.stderr
        record(cell(fault, stage, done, then, tmp_path))

    return keep


def answers_as_ever(done: around.Done, expected: str) -> None:
    assert (done.returncode, done.stdout, done.stderr) == (0, expected, "")


def refuses(done: around.Done, code: int, *words: str) -> None:
    assert done.returncode == code
    assert done.stderr.startswith("edgespec: error: ")
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize("size", [0, 1000])
def test_a_full_disk_costs_no_answer(size: int, expected: str, see: Callable[..., None]) -> None:
    done = around.run(*ANSWER, before=around.largest_file(size))
    answers_as_ever(done, expected)
    stage = f"run, files of at most {size} bytes"
    see("full disk", stage, done, f"{SAME}; measurements are not kept")


def test_a_full_disk_while_downloading(
    hub: HubServer, edgespec_home: Path, see: Callable[..., None]
) -> None:
    hub.bytes_per_second = 0
    variables = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(edgespec_home / "hf")}
    done = around.run("pull", REPOSITORY, before=around.largest_file(700_000), variables=variables)
    refuses(done_without_progress := last_line(done), 1, "no room")
    see("full disk", "download", done_without_progress, "what came stays; it goes on from there")
    [part] = (edgespec_home / "models" / ".partial").glob("*.part")
    assert part.stat().st_size == 700_000
    assert around.run("pull", REPOSITORY, variables=variables).returncode == 0


def test_a_full_disk_under_a_batch(at: dict[str, Stage], see: Callable[..., None]) -> None:
    done = around.run(*at["batch"].arguments, before=around.largest_file(2000))
    refuses(done, 1, "File too large")
    see("full disk", "batch", done, at["batch"].check(b""))


def last_line(done: around.Done) -> around.Done:
    """Without the lines of progress before it."""
    last = done.stderr.splitlines(keepends=True)[-1]
    return around.Done(done.args, done.returncode, done.stdout, last)


def test_a_full_disk_in_a_chat(see: Callable[..., None], edgespec_home: Path) -> None:
    with Terminal(*CHAT, TERM="dumb") as chat:
        chat.until("User: ")
        chat.type("def main():\r")
        chat.until("User: ")
        chat.type("/exit\r")
        assert chat.finish()[0] == 0
    file = edgespec_home / "data" / "conversations.db"
    kept = file.read_bytes()
    done = around.run("chat", *PLAIN, before=around.largest_file(0))
    assert (done.returncode, done.stderr) == (0, "")
    assert file.read_bytes() == kept
    with Store(file) as store:
        assert len(store.load(1)) == 2
    see("full disk", "chat (piped)", done, "it keeps nothing; earlier conversations are whole")


def test_a_full_disk_under_the_whole_screen(record: Record, edgespec_home: Path) -> None:
    arguments = [one for one in CHAT if one != "--plain"]
    file = edgespec_home / "data" / "conversations.db"
    with Terminal(*arguments, TERM="xterm-256color") as chat:
        chat.until("lists the commands")
        chat.type("def main():\r")
        chat.until("tok/s")
        psutil.Process(chat.process.pid).rlimit(psutil.RLIMIT_FSIZE, (0, 0))
        chat.type("why?\r")
        code, shown = chat.finish()
    [said] = [line for line in shown.splitlines() if "edgespec: error: " in line]
    said = said[said.index("edgespec: error: ") :]
    assert f"{file} cannot be used" in said
    assert code == 1
    with Store(file) as store:
        assert len(store.load(1)) == 2
    then = "the terminal is as before, all that was answered is kept"
    record(Cell("full disk", "chat", code, said.replace(str(file), "…"), then))


@needs_mounts
def test_a_home_that_cannot_be_written(
    edgespec_home: Path, expected: str, hub: HubServer, see: Callable[..., None]
) -> None:
    edgespec_home.mkdir()
    behind = around.read_only(edgespec_home)
    done = around.run(*ANSWER, around=behind)
    answers_as_ever(done, expected)
    see("read-only home", "run", done, f"{SAME}; measurements are not kept")
    hub.bytes_per_second = 0
    variables = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": "/nonexistent"}
    done = last_line(around.run("pull", REPOSITORY, around=behind, variables=variables))
    refuses(done, 1, "Read-only file system")
    see("read-only home", "download", done, "nothing was fetched")


@needs_mounts
def test_a_home_that_is_full(
    edgespec_home: Path, expected: str, hub: HubServer, see: Callable[..., None]
) -> None:
    edgespec_home.mkdir()
    hub.bytes_per_second = 0
    behind = around.small_disk(edgespec_home)
    done = around.run(*ANSWER, around=behind)
    answers_as_ever(done, expected)
    see("full disk", "run, home on a disk of 128 KiB", done, SAME)
    variables = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": "/nonexistent"}
    done = last_line(around.run("pull", REPOSITORY, around=behind, variables=variables))
    refuses(done, 1, "MB are missing", "free some")
    see("full disk", "download that cannot fit", done, "nothing was fetched")


def test_no_home(expected: str, see: Callable[..., None], tmp_path: Path) -> None:
    done = around.run(*ANSWER, without=("HOME",))
    answers_as_ever(done, expected)
    see("no HOME", "run with EDGESPEC_HOME", done, SAME)


@needs_mounts
def test_no_home_and_no_user(
    see: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = around.run(*ANSWER, without=("HOME", "EDGESPEC_HOME"), around=around.no_user())
    refuses(done, 2, "no home folder", "EDGESPEC_HOME")
    assert list(tmp_path.iterdir()) == []
    see("no HOME", "run as a user that has no entry", done, "nothing was written")


def test_a_clock_that_jumps_by_years(
    tmp_path: Path, expected: str, see: Callable[..., None]
) -> None:
    (tmp_path / "sitecustomize.py").write_text(around.CLOCK)
    path = environment()["PYTHONPATH"]
    variables = {"PYTHONPATH": f"{tmp_path}:{path}"}
    for _ in range(2):
        done = around.run(*ANSWER, variables=variables)
        answers_as_ever(done, expected)
    see("clock jumps", "run", done, SAME)
    done = around.run(*CHAT, stdin=b"def main():\nwhy?\n", variables=variables)
    assert len(done.stdout.splitlines()) >= 2
    assert (done.returncode, done.stderr) == (0, "")
    see("clock jumps", "chat (piped)", done, "both messages are answered")


@pytest.mark.parametrize("locale", ["C", "POSIX", "de_DE.ISO-8859-1"])
def test_another_locale(locale: str, expected: str, see: Callable[..., None]) -> None:
    plain = {"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = around.run(*ANSWER, variables=plain)
    answers_as_ever(done, expected)
    see("locale", f"run, {locale}", done, SAME)
    question = "grüße 你好".encode()
    usual = around.run(*ANSWER[:-1], stdin=question)
    done = around.run(*ANSWER[:-1], stdin=question, variables=plain)
    answers_as_ever(done, usual.stdout)


@needs_mounts
def test_no_proc(expected: str, see: Callable[..., None]) -> None:
    behind = around.mounted("mount -t tmpfs none /proc")
    done = around.run(*ANSWER, around=behind)
    answers_as_ever(done, expected)
    see("no /proc", "run", done, SAME)
    done = around.run("doctor", "--json", around=behind)
    assert done.returncode == 0
    assert json.loads(done.stdout)["memory"]["total"] > 0
    quiet = around.Done(done.args, done.returncode, "", "")  # ONNX Runtime complains as well.
    see("no /proc", "doctor", quiet, "it says what it knows")


def test_one_processor(expected: str, see: Callable[..., None]) -> None:
    arguments = [one for one in ANSWER if one not in ("--threads", "1")]
    done = around.run(*arguments, before=around.one_processor)
    answers_as_ever(done, expected)
    see("container limits", "run on one processor", done, SAME)


def test_memory_that_is_not_there(see: Callable[..., None]) -> None:
    done = around.run(*ANSWER, before=around.address_space(64 << 20))
    refuses(done, 3, "not enough memory")
    see("container limits", "run with 64 MiB of address space", done, "nothing was answered")


@pytest.mark.parametrize("count", [5, 6, 8, 16])
def test_few_open_files(count: int, expected: str, see: Callable[..., None]) -> None:
    done = around.run(*ANSWER, before=around.open_files(count))
    if done.returncode:
        assert done.returncode in (1, 3)
        refuses(done, done.returncode, "Too many open files")
        assert "reinstall" not in done.stderr
    else:
        answers_as_ever(done, expected)
    then = "nothing was answered" if done.returncode else SAME
    see("few open files", f"run with {count}", done, then)


@pytest.mark.parametrize("count", [8, 32])
def test_few_open_files_for_a_download(
    count: int, hub: HubServer, see: Callable[..., None], edgespec_home: Path
) -> None:
    hub.bytes_per_second = 0
    variables = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(edgespec_home / "hf")}
    done = last_line(
        around.run("pull", REPOSITORY, before=around.open_files(count), variables=variables)
    )
    assert done.returncode in (0, 1)
    then = "it goes on once there are more" if done.returncode else "the model is here"
    see("few open files", f"download with {count}", done, then)
    assert around.run("pull", REPOSITORY, variables=variables).returncode == 0
