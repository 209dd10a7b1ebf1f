"""Signals at every stage: a documented exit code, at most one line, and nothing lost."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edgespec import paths
from edgespec.store.store import Store
from tests.cli.process import PATIENCE, Terminal
from tests.faults.matrix import Cell, cell
from tests.faults.stages import NAMES, PLAIN, Stage

pytestmark = pytest.mark.native

CODES = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129, "SIGKILL": -9}
Record = Callable[[Cell], None]


@pytest.mark.parametrize("name", CODES)
@pytest.mark.parametrize("stage", NAMES)
def test_at_work(
    at: dict[str, Stage], stage: str, name: str, record: Record, tmp_path: Path
) -> None:
    process = at[stage].start()
    at[stage].wait(process)
    os.killpg(process.pid, getattr(signal, name))
    stdout, stderr = process.communicate(timeout=PATIENCE)
    done = subprocess.CompletedProcess((), process.returncode, "", stderr.decode())
    then = at[stage].check(stdout)
    record(cell(name, stage, done, then, tmp_path))
    assert process.returncode == CODES[name]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("stage", ["loading", "decode", "batch"])
def test_whoever_read_the_answer_leaves(
    at: dict[str, Stage], stage: str, record: Record, tmp_path: Path
) -> None:
    process = at[stage].start()
    at[stage].wait(process)
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    stderr = process.stderr.read().decode()
    process.stderr.close()
    done = subprocess.CompletedProcess((), process.wait(PATIENCE), "", stderr)
    then = "it ends in peace; a batch with -o is completed"
    record(cell("SIGPIPE", stage, done, then, tmp_path))
    assert done.returncode == 0
    assert stderr == ""


def answered() -> str:
    """What the store has of the answer."""
    with Store(paths.data_dir() / "conversations.db") as store:
        path = store.load(1).path() if store.summaries() else []
    return path[1].text if len(path) > 1 else ""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGKILL"])
@pytest.mark.parametrize("look", ["chat", "chat --plain"])
def test_in_a_chat(look: str, name: str, model: Path, record: Record, tmp_path: Path) -> None:
    arguments = (*look.split(), *PLAIN, "--temperature", "0", "--model", str(model))
    with Terminal(*arguments, TERM="xterm-256color") as chat:
        chat.until("lists the commands")
        chat.type("go on\r")
        chat.until("writing" if look == "chat" else "Assistant: ")
        end = time.monotonic() + PATIENCE
        while not (saved := answered()):
            assert time.monotonic() < end
            time.sleep(0.05)
        os.kill(chat.process.pid, getattr(signal, name))
        code, shown = chat.finish()
    assert code == CODES[name]
    assert "Traceback" not in shown
    assert answered().startswith(saved)
    if look == "chat" and name != "SIGKILL":
        assert "\x1b[?1049l" in shown
    then = "the terminal is as before, the answer so far is kept"
    record(Cell(name, look, code, "", then if name != "SIGKILL" else "the answer so far is kept"))
