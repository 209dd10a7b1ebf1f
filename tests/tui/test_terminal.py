"""The chat as a process, in a terminal of its own."""

import os
import re
import signal
import time
from pathlib import Path

import pytest

from edgespec import paths
from edgespec.store.store import Store
from tests.cli.process import Terminal
from tests.ggufs import llama_gguf

pytestmark = pytest.mark.native
CHAT = ("chat", "--threads", "1", "--no-speculate", "--temperature", "0")
SLACK = 3.0
"""How much longer than a second a busy machine may take to end a process."""


def terminal(*arguments: str, **variables: str) -> Terminal:
    return Terminal(*CHAT, *arguments, TERM="xterm-256color", **variables)


@pytest.fixture
def endless(tmp_path: Path) -> str:
    return str(llama_gguf(tmp_path / "endless.gguf", n_layer=8, d=256, ff=1024, context=8192))


def leave(chat: Terminal) -> str:
    """Press Ctrl+Q; what is shown until the end, which must come soon."""
    begin = time.monotonic()
    chat.type("\x11")
    code, rest = chat.finish()
    assert code == 0
    assert time.monotonic() - begin < 1 + SLACK
    return rest


def test_a_whole_session() -> None:
    with terminal() as chat:
        chat.until("lists the commands")
        chat.type("What does len do?\r")
        chat.until("tok/s")
        assert "Traceback" not in leave(chat)
    with Store(paths.data_dir() / "conversations.db") as store:
        assert len(store.load(1)) == 2


def test_leaving_while_the_model_loads() -> None:
    with terminal() as chat:
        chat.until("Message")
        leave(chat)


def session(file: Path) -> str:
    """The message that was not sent yet, as a crash would leave it."""
    with Store(file) as store:
        [(draft,)] = store.execute("SELECT draft FROM session").fetchall()
    return str(draft)


def test_leaving_while_the_machine_is_measured() -> None:
    with Terminal("chat", "--threads", "1", TERM="xterm-256color") as chat:
        chat.until("measuring this machine")
        leave(chat)


def test_what_was_said_survives_a_killed_process(endless: str) -> None:
    with terminal("--model", endless) as chat:
        chat.until("lists the commands")
        chat.type("go on\r")
        chat.until("writing")
        file = paths.data_dir() / "conversations.db"
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with Store(file) as store:
                saved = store.load(1).path()
            if len(saved) == 2 and saved[1].text:
                break
            time.sleep(0.1)
        chat.type("half a thought")
        while "half a thought" not in session(file):
            assert time.monotonic() < end
            time.sleep(0.1)
        os.kill(chat.process.pid, signal.SIGKILL)
    with terminal() as chat:
        chat.until("go on")
        chat.until("half a thought")
        chat.until("ended unexpectedly")
        leave(chat)
    with Store(file) as store:
        kept = store.load(1).path()
    assert kept[1].text.startswith(saved[1].text)
    assert kept[1].done


def test_without_colours_there_are_none() -> None:
    with terminal(NO_COLOR="1") as chat:
        shown = chat.until("lists the commands")
        shown += leave(chat)
    colours = re.findall(r"\x1b\[[0-9;]*\b(?:3[0-7]|4[0-7]|9[0-7]|10[0-7]|38|48)\b[0-9;]*m", shown)
    assert colours == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "[answer]\ntemperature = 'hot'\n",
            ", line 2: answer.temperature is 'hot'; it must be a number",
        ),
        (
            "[keys]\nnew = 'ctrl+b'\n",
            ": [keys] ctrl+b is a key of chats; /key chats gives it another",
        ),
    ],
)
def test_a_settings_file_that_is_wrong_is_one_line(
    edgespec_home: Path, text: str, told: str
) -> None:
    file = edgespec_home / "config" / "settings.toml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    with terminal() as chat:
        code, shown = chat.finish()
    assert (code, shown) == (2, f"edgespec: error: {file}{told}\n")


def test_a_store_that_cannot_be_used_is_one_line(edgespec_home: Path) -> None:
    file = edgespec_home / "data" / "conversations.db"
    file.parent.mkdir(parents=True)
    file.write_text("My diary. " * 100)
    with terminal() as chat:
        code, text = chat.finish()
    assert code == 1
    assert f"edgespec: error: {file} cannot be used: file is not a database" in text
    assert "Traceback" not in text
