"""A user's whole story, from the first start to a crash and back, in a real terminal."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgespec import paths
from edgespec.store.store import Store
from tests.ggufs import llama_gguf
from tests.hubserver import HubServer, Repo, serving
from tests.tui.tmux import Tmux

pytestmark = [
    pytest.mark.native,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux"),
]
CHAT = ("chat", "--threads", "1", "--no-speculate", "--temperature", "0")
TINY = "hf:me/tiny-GGUF:Q8_0"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[HubServer]:
    file = llama_gguf(tmp_path / "tiny.gguf", n_layer=8, d=256, ff=1024, context=4096)
    data = file.read_bytes()
    with serving({"me/tiny-GGUF": Repo({"tiny-Q8_0.gguf": data})}, 8_000_000) as server:
        yield server


@pytest.fixture
def terminal(tmp_path: Path, server: HubServer) -> Iterator[Tmux]:
    with start(tmp_path / "tmux", server) as terminal:
        yield terminal


def start(socket: Path, server: HubServer) -> Tmux:
    home = str(socket.parent / "hf")
    hub = {"HF_ENDPOINT": server.endpoint, "HF_HOME": home, "HF_TOKEN": ""}
    return Tmux(socket, (100, 30), *CHAT, **hub)


def test_from_the_first_start_to_a_crash_and_back(
    terminal: Tmux, server: HubServer, tmp_path: Path
) -> None:
    terminal.until("nano is a toy", "/pull hf:owner/repository gets any other", "ready")
    terminal.type("What does os.path.join do?")
    terminal.until("os.path.join(a, *p)", " tokens · ")
    terminal.press("C-Up")
    terminal.until("Enter sends it beside the old one")
    terminal.press("C-u")
    terminal.type("What does len do?")
    terminal.until("‹ 2/2 ›", "What does len do?", " tokens · ")
    terminal.press("M-Left")
    terminal.until("‹ 1/2 ›", "What does os.path.join do?")

    terminal.type(f"/pull {TINY}")
    terminal.until(f"↓ {TINY}")
    terminal.press("C-n")
    terminal.type("What does sorted do?")
    terminal.until("What does sorted do?", " tokens · ")
    terminal.until(f"{TINY} is here")
    terminal.type(f"/model {TINY}")
    terminal.until(TINY, "/4096", "ready")

    terminal.type("go on and on")
    terminal.until("writing")
    terminal.press("Escape")
    terminal.until("stopped", "ready")
    terminal.press("C-b")
    terminal.until("Search")
    terminal.press(*"pathname")
    terminal.until("pathname com")
    terminal.press("Enter")
    terminal.until("‹ 1/2 ›")
    terminal.press("C-b", "C-n")

    terminal.type("another tale")
    terminal.until("writing")
    with Store(paths.data_dir() / "conversations.db") as store:
        while len(saved := store.load(3).path()) < 2 or not saved[1].text:
            time.sleep(0.1)
    os.kill(terminal.process, signal.SIGKILL)
    assert terminal.ended()
    with start(tmp_path / "again", server) as again:
        screen = again.until("another tale", "ended unexpectedly", "ready")
        assert TINY in screen
        again.press("C-q")
        assert again.ended()
    with Store(paths.data_dir() / "conversations.db") as store:
        kept = store.load(3).path()
    assert kept[1].text.startswith(saved[1].text)
