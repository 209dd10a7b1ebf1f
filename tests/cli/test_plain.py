"""What `edgespec chat --plain` has of the screen's features, in terminals of its own."""

from pathlib import Path

import pytest

from edgespec import config, paths
from edgespec.clipboard import osc52
from edgespec.messages import Role
from edgespec.store.store import Store
from edgespec_tui.actions import BY_WORD
from tests.cli.process import Terminal, edgespec
from tests.ggufs import llama_gguf
from tests.hubserver import HubServer

pytestmark = pytest.mark.native

CHAT = ("chat", "--plain", "--threads", "1", "--seed", "5", "--max-tokens", "12", "-t", "0")
PROMPT = "\nUser: "
READLINE = "\x1b[?2004hUser: "
"""The prompt of a terminal whose keys readline gets, as opposed to what it echoes before."""
TINY = "hf:me/tiny-GGUF:Q8_0"
REPLY = """<think>
It adds.
</think>

Two ways:

```python
a + b
```

```sh
bc < @/proc/self/status
```
"""


class Plain(Terminal):
    """Types a line, and has what comes until the next prompt."""

    def __init__(self, *arguments: str, **variables: str) -> None:
        super().__init__(*CHAT, *arguments, **variables)
        self.prompt = PROMPT if variables.get("TERM", "dumb") == "dumb" else READLINE
        self.until(self.prompt)

    def say(self, line: str) -> str:
        self.type(f"{line}\n")
        return self.until(self.prompt)


def keep(question: str, answer: str) -> None:
    """A conversation of two messages."""
    with Store(paths.data_dir() / "conversations.db") as store:
        asked = store.add(store.create(question), None, Role.USER, question)
        store.add(1, asked.id, Role.ASSISTANT, answer)


def test_every_command_of_the_screen_is_there_but_for_colours_and_keys() -> None:
    with Plain() as chat:
        help_ = chat.say("/help")
    words = {line.split()[0].removeprefix("/") for line in help_.splitlines() if line[:1] == "/"}
    assert BY_WORD.keys() - words == {"theme", "key"}


def test_answers_are_copied_and_quoted() -> None:
    keep("How do I add?", REPLY)
    with Plain(TERM="xterm") as chat:
        assert "(thinking)" not in chat.say("/goto 1")
        assert osc52("a + b\n") in chat.say("/code 1")
        assert osc52("bc < @/proc/self/status\n") + "copied block 2 of 2\n" in chat.say("/code")
        assert "copied block 1 of 2\n" in chat.say("/code")
        assert "there is no block '3'; there are 2" in chat.say("/code 3")
        assert osc52(REPLY.partition("</think>\n\n")[2]) in chat.say("/copy")
        assert "copied all of it" in chat.say("/copyall")
        assert "It adds." in chat.say("/thought")
        assert "> Two ways:\n>\n> ```python\n" in chat.say("/quote")
        assert "Assistant: " in chat.say("Which is faster?")
    with Store(paths.data_dir() / "conversations.db") as store:
        asked = [message.text for message in store.load(1)][2]
    assert asked.startswith("> Two ways:\n>\n> ```python\n> a + b\n")
    assert asked.endswith("> bc < @/proc/self/status\n> ```\n\nWhich is faster?")


def test_a_dumb_terminal_is_shown_what_it_cannot_copy() -> None:
    keep("How do I add?", REPLY)
    with Plain() as chat:
        chat.say("/goto 1")
        shown = chat.say("/code 1")
    assert "\na + b\n" in shown
    assert "\x1b" not in shown


def test_commands_are_about_the_message_that_was_chosen() -> None:
    editor = 'sh -c \'cp "$0" $EDGESPEC_HOME/seen; echo What does abs do? > "$0"\''
    with Plain(EDITOR=editor, VISUAL="") as chat:
        chat.say("What does len do?")
        chat.say("What does max do?")
        assert "  3  You: What does max do?\n  4  Assistant: " in chat.say("/messages")
        assert "there is no message '5'; /messages lists them" in chat.say("/messages 5")
        assert "You: What does len do?\n" in chat.say("/messages 1")
        assert "What does abs do?\nAssistant: " in chat.say("/edit")
        assert "  1  You 2/2: What does abs do?\n" in chat.say("/messages")
        assert "You 1/2: What does len do?\n\nAssistant: " in chat.say("/prev")
        chat.say("/messages 2")
        chat.say("/regen")
        assert "You 1/2: What does len do?\n  2  Assistant 2/2: " in chat.say("/messages")
    seen = paths.config_dir().parent / "seen"
    assert seen.read_text() == "What does len do?"


def test_settings_take_effect_and_are_kept() -> None:
    with Plain() as chat:
        chat.say("What does len do?")
        assert "12 tokens, " in chat.say("/stats")
        assert "brief: max tokens 2" in chat.say("/preset brief: max_tokens = 2")
        assert "the usual settings" in chat.say("/preset brief:")
        assert "max_tokens=5" in chat.say("/settings max_tokens = 5")
        chat.say("/regen")
        assert "5 tokens, " in chat.say("/stats")
        assert "context=512" in chat.say("/settings context 512")
        chat.say("/regen")
        assert " of 512 tokens" in chat.say("/stats")
        for typed, wrong in {
            "temperature=hot": "temperature = 'hot'; it must be a number",
            "top_p 7": "top_p = 7.0; it must be between 1e-06 and 1",
            "colour=red": "there is no setting 'colour'; /settings lists them",
            "kv_type=f64": "there is no cache of type 'f64'; take f16, q8_0, q4_0",
            "model=nowhere": "there is no model 'nowhere'",
        }.items():
            assert wrong in chat.say(f"/settings {typed}"), typed
        assert "Assistant: " in chat.say("/regen")
        assert "\ntemperature=0.0 " in chat.say("/settings")
    kept = config.load(config.file())
    assert (kept.max_tokens, kept.context, kept.kv_type, kept.seed) == (5, 512, "f16", -1)


def test_a_preset_is_used_until_another_one_is() -> None:
    config.file().parent.mkdir(parents=True)
    config.file().write_text('[presets.short]\nmax_tokens = 3\nsystem = "Be brief."\n')
    with Plain() as chat:
        assert "there is no preset 'long'; there are short" in chat.say("/preset long")
        assert "short: max tokens 3, system 'Be brief.'" in chat.say("/preset short")
        chat.say("What does len do?")
        assert "3 tokens, " in chat.say("/stats")
        assert "the usual settings" in chat.say("/preset")
        chat.say("/regen")
        assert "12 tokens, " in chat.say("/stats")


def test_what_is_piped_in_changes_no_settings() -> None:
    lines = b"/settings max_tokens=4\nWhat does len do?\n/stats\n"
    done = edgespec(*CHAT, stdin=lines)
    assert done.returncode == 0
    assert "\n4 tokens, " in done.stderr
    assert not config.file().exists()


def test_what_the_hardware_did_and_where_tokens_came_from() -> None:
    with Plain("-k", "4", "--max-tokens", "40") as chat:
        assert "nothing was answered yet" in chat.say("/hardware")
        chat.say("What does len do?")
        told = chat.say("/hardware")
        assert all(word in told for word in ("target: ", "drafts K: 4", "accepted by place: 1: "))
        assert "tokens: 20, target " in told
        marked = chat.say("/origins")
    assert marked.count("«") == marked.count("»") > 1


def test_a_model_is_pulled_and_used(variables: dict[str, str]) -> None:
    with Plain(**variables) as chat:
        assert "nothing is being pulled; /pull hf:owner/repository" in chat.say("/pull")
        assert "the Hub has no repository me/none" in chat.say("/pull hf:me/none")
        told = chat.say("/model hf:me/tiny-GGUF")
        assert f"{TINY}: 2.1 MB, about 0.0 GiB of memory to run" in told
        assert f"{TINY} is here; /model {TINY} loads it" in told
        assert f"{TINY}: 2 MiB, fits, " in chat.say("/model")
        assert "nano is loaded; the conversation goes on with it" in chat.say("/model nano")
        told = chat.say("/model hf:me/tiny-GGUF")
        assert f"{TINY} is loaded; the conversation goes on with it" in told
        assert "Assistant: " in chat.say("hello")
        assert f"{TINY}: 2 MiB, fits, " in (listed := chat.say("/model"))
        assert ", in use; " in listed.partition(TINY)[2].partition("\n")[0]
    assert config.load(config.file()).model == "hf:me/tiny-GGUF"


def test_a_pull_goes_on_beside_the_chat(variables: dict[str, str], server: HubServer) -> None:
    server.bytes_per_second = 400_000
    with Plain(**variables) as chat:
        chat.type("/pull hf:me/tiny-GGUF\n")
        chat.until("hf:me/tiny-GGUF: 10 % of 2.1 MB")
        chat.type("\x03")
        assert "goes on beside the chat" in chat.until(PROMPT)
        assert "Assistant: " in chat.say("What does len do?")
        assert "hf:me/tiny-GGUF is being pulled; /pull stops that" in chat.say("/pull hf:me/other")
        assert "the pull was stopped; /pull goes on from there" in chat.say("/pull")
        server.bytes_per_second = 0
        assert f"{TINY} is here" in chat.say("/pull hf:me/tiny-GGUF")


def test_a_model_that_does_not_load_leaves_the_one_before(tmp_path: Path) -> None:
    broken = llama_gguf(tmp_path / "broken.gguf")
    broken.write_bytes(broken.read_bytes()[:-100])
    with Plain() as chat:
        assert "edgespec: error: " in chat.say(f"/model {broken}")
        assert "Assistant: " in chat.say("What does len do?")
    assert not config.file().exists()


def test_a_chat_begins_without_its_model_too() -> None:
    config.save(config.file(), config.Settings(), model="nowhere")
    with Plain() as chat:
        assert "there is no model 'nowhere'" in chat.say("What does len do?")
        assert "nano is loaded; the conversation goes on with it" in chat.say("/model nano")
        assert "Assistant: " in chat.say("What does len do?")
    done = edgespec(*CHAT, "--model", "nowhere", stdin=b"")
    assert done.returncode == 3


def test_tab_completes_commands_their_arguments_and_files(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("Remember.")
    with Plain(TERM="xterm") as chat:
        assert "temperature=0.0" in chat.say("/setti\ttempera\t")
        assert "notes.md: 9 bytes, about 3 tokens" in chat.say(f"See @{tmp_path}/no\t")


def test_the_caches_of_a_long_conversation_are_kept(tmp_path: Path) -> None:
    code = "def double(x): return 2 * x\n" * 60
    (tmp_path / "long.py").write_text(code)
    assert edgespec(*CHAT, stdin=f'"""{code}"""'.encode()).returncode == 0
    assert not list(paths.cache_dir().glob("snapshots/*"))
    with Plain() as chat:
        told = chat.say(f"See @{tmp_path}/long.py")
        assert "long.py: 1.7 kB, about 421 tokens\nAssistant: " in told
    assert list(paths.cache_dir().glob("snapshots/*.kv"))


def test_a_killed_chat_comes_back_to_its_conversation() -> None:
    with Plain() as chat:
        chat.say("What does len do?")
        chat.process.kill()
        chat.process.wait()
    with Plain() as chat:
        assert "  1  You: What does len do?\n  2  Assistant: " in chat.say("/messages")
        chat.type("\x04")
        assert chat.finish()[0] == 0
    with Plain() as chat:
        assert "nothing was said yet" in chat.say("/messages")
