"""`edgespec chat`: at a terminal, and with piped input."""

from pathlib import Path

import pytest

from edgespec import paths
from edgespec.store.store import Store
from tests.cli.process import Terminal, edgespec
from tests.ggufs import llama_gguf

pytestmark = pytest.mark.native

CHAT = ("chat", "--plain", "--threads", "1", "--seed", "5")
SHORT = (*CHAT, "--max-tokens", "12")
PROMPT = "\nUser: "


def answers(*lines: str) -> list[str]:
    """What a chat says to piped lines."""
    done = edgespec(*SHORT, stdin="\n".join(lines).encode())
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_piped_lines_are_answered_without_labels() -> None:
    run = edgespec("run", *SHORT[2:], "What does len do?").stdout
    assert answers("What does len do?") == run.splitlines()


def test_commands_work_in_piped_input() -> None:
    once = answers("What does len do?")
    assert answers("/system", "What does len do?", "", "/exit", "What does len do?") == once


def test_a_failure_ends_piped_input() -> None:
    done = edgespec(*SHORT, stdin=b"/nonsense\nWhat does len do?\n")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "edgespec: error: there is no command /nonsense; /help lists them\n"


def test_a_conversation_at_a_terminal() -> None:
    with Terminal(*SHORT) as chat:
        chat.until("Ctrl+D leaves\nUser: ")
        chat.type("What does len do?\n")
        assert len(chat.until(PROMPT).partition("Assistant: ")[2]) > len(PROMPT)
        chat.type("/stats\n")
        assert "12 tokens, " in chat.until(PROMPT)
        chat.type("/regen\n")
        assert "Assistant: " in chat.until(PROMPT)
        chat.type("/stats\n")
        assert "seed 6\n" in chat.until(PROMPT)
        chat.type("\x04")
        assert chat.finish() == (0, "\n")


def test_edgespec_alone_at_a_terminal_is_a_chat() -> None:
    with Terminal() as chat:
        chat.until("User: ")
        chat.type("/exit\n")
        assert chat.finish()[0] == 0


def test_ctrl_c_stops_the_answer_and_not_the_chat(tmp_path: Path) -> None:
    # A model that goes on and on, token by token, up to the end of a large context.
    path = llama_gguf(tmp_path / "tiny.gguf", n_layer=8, d=256, ff=1024, context=8192)
    slowly = ("--model", str(path), "--temperature", "0", "--no-speculate")
    with Terminal(*CHAT, *slowly) as chat:
        chat.until("User: ")
        assert "/exit or Ctrl+D leaves" in chat.interrupt(PROMPT)
        chat.type("half a mess")
        chat.interrupt(PROMPT)
        chat.type("hello\n")
        chat.until("Assistant: ")
        chat.interrupt("stopped; /regen answers once more" + PROMPT)
        chat.type("/exit\n")
        assert chat.finish()[0] == 0


def test_files_an_editor_and_another_model(tmp_path: Path) -> None:
    notes = tmp_path / "notes.md"
    notes.write_text("What does len do?")
    other = llama_gguf(tmp_path / "other.gguf")
    editor = "sh -c 'echo edited > \"$0\"'"
    with Terminal(*SHORT, EDITOR=editor, VISUAL="") as chat:
        chat.until("User: ")
        chat.type(f"See @{notes}\n")
        chat.until(PROMPT)
        chat.type("/editor\n")
        assert "edited\nAssistant: " in chat.until(PROMPT)
        chat.type("/model nowhere\n")
        assert "there is no model 'nowhere'" in chat.until(PROMPT)
        chat.type(f"/model {other}\n")
        assert "other is loaded; the conversation goes on with it" in chat.until("User: ")
        chat.type("go on\n")
        assert "Assistant: " in chat.until(PROMPT)
        chat.type("\x04")
        assert chat.finish()[0] == 0
    with Store(paths.data_dir() / "conversations.db") as store:
        said = [message.text for message in store.load(1)]
    assert said[0] == f"See @{notes}\n\n{notes}:\n\n```md\nWhat does len do?\n```"
    assert "edited" in said


def test_messages_of_several_lines() -> None:
    with Terminal(*SHORT) as chat:
        chat.until("User: ")
        chat.type("What does\\\n")
        chat.until("... ")
        chat.type("len do?\n")
        assert "Assistant: " in chat.until(PROMPT)
        chat.type('"""\n')
        chat.until("... ")
        chat.type("/exit\n")
        chat.until("... ")
        chat.type('"""\n')
        assert "Assistant: " in chat.until(PROMPT)


def test_the_conversation_is_saved_once(tmp_path: Path) -> None:
    path = tmp_path / "chat.txt"
    with Terminal(*SHORT, "--system", "Be brief.") as chat:
        chat.until("User: ")
        chat.type("What does len do?\n")
        said = chat.until(PROMPT).partition("Assistant: ")[2].removesuffix(PROMPT)
        chat.type(f"/save {path}\n")
        chat.until(PROMPT)
        chat.type(f"/save {path}\n")
        assert "File exists" in chat.until(PROMPT)
    text = path.read_text()
    assert text.startswith("System: Be brief.\n\nUser: What does len do?\n\nAssistant: ")
    assert said.strip() in text


def test_mistakes_do_not_end_the_chat() -> None:
    with Terminal(*SHORT, "--context", "64") as chat:
        chat.until("User: ")
        chat.type("/nonsense\n")
        assert "there is no command /nonsense" in chat.until(PROMPT)
        chat.type("/save\n")
        assert "/save needs the name of a file" in chat.until(PROMPT)
        chat.type("/regen\n")
        assert "there is no message to answer again" in chat.until(PROMPT)
        chat.type("hello " * 200 + "\n")
        assert "--context" in chat.until(PROMPT)
        chat.type("/etc/passwd is a file\n")
        assert "Assistant: " in chat.until(PROMPT)


def test_help_lists_commands_and_keys() -> None:
    with Terminal(*SHORT) as chat:
        chat.until("User: ")
        chat.type("/help\n")
        text = chat.until(PROMPT)
    assert all(word in text for word in ("/reset", "/system", "/regen", "/save", "Ctrl+C", '"""'))


def test_lines_are_remembered_in_the_next_chat() -> None:
    arrow_up = "\x1b[A"
    for keys in ("/stats\n", f"{arrow_up}\n"):
        with Terminal(*SHORT, TERM="xterm") as chat:
            chat.until("User: ")
            chat.type(keys)
            assert "nothing was answered yet" in chat.until("User: ")
            chat.type("\x04")
            assert chat.finish()[0] == 0


def test_a_model_without_a_chat_template_gets_a_transcript(tmp_path: Path) -> None:
    path = llama_gguf(tmp_path / "tiny.gguf")
    done = edgespec(*SHORT, "--model", str(path), stdin=b"hello\n")
    assert (done.returncode, done.stderr) == (0, "")


def test_conversations_are_kept_and_can_be_changed(tmp_path: Path) -> None:
    path = tmp_path / "talk.json"
    with Terminal(*SHORT, "--temperature", "0") as chat:
        chat.until("User: ")
        for typed, shown in {
            "What does len do?": "Assistant: ",
            "/continue": "Assistant: ",
            "/regen": "Assistant: ",
            "/prev": "Assistant 1/2: ",
            "/next": "Assistant 2/2: ",
            "/edit What does max do?": "Assistant: ",
            "/rename On builtins": "",
            f"/export {path}": "",
            "/new": "",
            "/chats max": "    1  On builtins",
            "/goto 1": "You 2/2: What does max do?\n\nAssistant: ",
            "/delete": "deleted; /undo brings it back",
            "/chats": "there is none",
            "/undo": "You 2/2: What does max do?\n\nAssistant: ",
            f"/import {path}": "You 2/2: What does max do?\n\nAssistant: ",
            "/chats builtins": "    2  On builtins, open\n    1  On builtins",
            "/open 9": "/open takes nothing",
            "/goto 9": "there is no conversation '9'; /chats lists them",
            "/prev ": "Assistant 2/2: ",
            "/import nothing": "'nothing' cannot be read: No such file",
            "/rename": "/rename needs a title",
        }.items():
            chat.type(f"{typed}\n")
            assert shown in chat.until(PROMPT), typed
    with Terminal(*SHORT) as chat:
        chat.until("User: ")
        chat.type("/chats\n")
        assert "    2  On builtins" in chat.until(PROMPT)


def test_what_is_piped_in_is_not_kept() -> None:
    answers("What does len do?")
    assert not list(paths.data_dir().rglob("*"))
