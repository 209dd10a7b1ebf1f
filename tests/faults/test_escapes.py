"""What a model or a file says cannot drive the terminal, wherever it is shown."""

from pathlib import Path

import pytest

from edgespec import paths
from edgespec.messages import Role
from edgespec.store.store import Store
from tests.cli.process import Terminal, edgespec
from tests.faults.stages import PLAIN
from tests.ggufs import llama_gguf

pytestmark = pytest.mark.native

EVIL = "begin\x1b]0;owned\x07\x1b[2J\x1b[?1002h\x9b31mend"
PROMPT = "\x1b[?2004hUser: "
"""Where keys are waited for, and not what a conversation says."""
DRIVING = ("\x1b]0;owned", "\x1b[?1002h", "\x9b31m")


@pytest.fixture
def talk() -> None:
    """A conversation in which everybody tries, and in which a session crashed."""
    with Store(paths.data_dir() / "conversations.db") as store:
        id_ = store.create(EVIL, EVIL)
        question = store.add(id_, None, Role.USER, EVIL)
        store.add(id_, question.id, Role.ASSISTANT, f"{EVIL}\n\n# {EVIL}\n\n```\n{EVIL}\n```")
        store.execute("INSERT INTO session VALUES (1, 1.0, ?, ?)", (id_, EVIL))


@pytest.mark.usefixtures("talk")
def test_on_the_whole_screen() -> None:
    with Terminal("chat", *PLAIN, TERM="xterm-256color") as chat:
        shown = chat.until("end")
        chat.type("\x02")  # The list of conversations.
        shown += chat.until("Chats")
        chat.type("\x11")
        shown += chat.finish()[1]
    assert not [sequence for sequence in DRIVING if sequence in shown]


@pytest.mark.usefixtures("talk")
def test_line_by_line() -> None:
    with Terminal("chat", "--plain", *PLAIN, TERM="xterm-256color") as chat:
        shown = chat.until(PROMPT)
        chat.type("/chats\r")
        shown += chat.until(PROMPT)
        chat.type("/goto 1\r")
        shown += chat.until(PROMPT)
        assert shown.count("begin") > 3
        chat.type("\x04")
        shown += chat.finish()[1]
    assert not [sequence for sequence in DRIVING if sequence in shown]


def test_in_a_models_metadata(tmp_path: Path) -> None:
    file = llama_gguf(tmp_path / "evil.gguf", extra=lambda writer: writer.add_chat_template(EVIL))
    done = edgespec("run", "--model", str(file), *PLAIN, "-n", "1", "--json-schema", EVIL, "hi")
    assert done.returncode == 2
    assert "\x1b" not in done.stderr
