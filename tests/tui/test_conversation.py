"""Conversations on the whole screen, with the real nano pair."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from edgespec import paths
from edgespec.engine import Engine
from edgespec.snapshots import Snapshot
from edgespec.store.store import Store
from edgespec_tui.app import ChatApp
from edgespec_tui.widgets.composer import Composer
from edgespec_tui.widgets.sidebar import Conversations, Sidebar
from tests.ggufs import llama_gguf
from tests.tui.driving import PLAIN, drive, driving

pytestmark = pytest.mark.native
QUESTION = "What does os.path.join do?"


@pytest.fixture
def endless(tmp_path: Path) -> str:
    """A model that goes on and on, as slowly as a big one."""
    return str(llama_gguf(tmp_path / "endless.gguf", n_layer=8, d=256, ff=1024, context=8192))


def test_an_answer_is_shown_and_kept() -> None:
    async def story() -> None:
        async with driving() as chat:
            await chat.loaded()
            answer = await chat.ask(QUESTION)
            assert "os.path.join(a, *p)" in answer
            await chat.shows(QUESTION, "os.path.join(a, *p)", "48 tokens", "cut off at its length")
        with Store(paths.data_dir() / "conversations.db") as store:
            [summary] = store.summaries()
            assert summary.title == QUESTION
            path = store.load(summary.id).path()
            assert [message.text for message in path] == [QUESTION, answer]
            assert all(message.done for message in path)
            assert path[1].facts["model"] == "nano"

    drive(story())


def test_a_message_can_be_sent_before_the_model_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    load = ChatApp.load
    monkeypatch.setattr(ChatApp, "load", lambda app: None)

    async def story() -> None:
        async with driving() as chat:
            await chat.send(QUESTION)
            assert chat.said == [QUESTION]
            load(chat.app)
            await chat.until(lambda: len(chat.said) == 2 and chat.idle)
            assert "os.path.join" in chat.said[1]

    drive(story())


@pytest.mark.slow
def test_escape_stops_at_once_and_keeps_what_came(endless: str) -> None:
    async def story() -> None:
        async with driving(replace(PLAIN, model=endless, max_tokens=0, context=0)) as chat:
            await chat.loaded()
            await chat.send("go on")
            await chat.until(lambda: chat.tokens > 20)
            await chat.shows("esc Stop")
            await chat.press("escape")
            await chat.until(lambda: chat.idle)
            answer = chat.screen.talk.path()[-1]
            assert answer.done
            assert 20 < answer.facts["tokens"] < 8000
            assert answer.facts["reason"] == "stopped"
            await chat.shows("stopped")
            await chat.hides("esc Stop")
            await chat.send("/continue")
            await chat.until(lambda: len(chat.said[-1]) > len(answer.text))
            await chat.press("escape")
            await chat.until(lambda: chat.idle)
            assert chat.said[-1].startswith(answer.text)
            assert len(chat.said) == 2

    drive(story())


@pytest.mark.slow
def test_an_answer_goes_on_while_another_conversation_is_read(endless: str) -> None:
    async def story() -> None:
        async with driving(replace(PLAIN, model=endless, max_tokens=0, context=0)) as chat:
            await chat.loaded()
            await chat.send("first")
            writing = chat.screen.talk.id
            await chat.until(lambda: chat.tokens > 10)
            await chat.press("ctrl+n")
            assert chat.said == []
            count = chat.tokens
            await chat.until(lambda: chat.tokens > count + 10)
            await chat.screen.open(writing)
            shown = len(chat.said[-1])
            await chat.until(lambda: len(chat.said[-1]) > shown)
            await chat.press("escape")
            await chat.shows("stopped")

    drive(story())


def test_leaving_in_the_middle_of_an_answer_loses_nothing(endless: str) -> None:
    async def story() -> None:
        async with driving(replace(PLAIN, model=endless, max_tokens=0, context=0)) as chat:
            await chat.loaded()
            await chat.send("go on")
            await chat.until(lambda: chat.tokens > 20)
            await chat.press("ctrl+q")
            assert chat.app.clean
            tokens = chat.tokens
        with Store(paths.data_dir() / "conversations.db") as store:
            answer = store.load(1).path()[-1]
            assert answer.done
            assert answer.facts["tokens"] == tokens

    drive(story())


def test_branches() -> None:
    wild = replace(PLAIN, temperature=2.0, top_k=0, top_p=1.0, min_p=0.0, max_tokens=8)

    async def story() -> None:
        async with driving(wild) as chat:
            await chat.loaded()
            first = await chat.ask(QUESTION)
            await chat.press("ctrl+r")
            await chat.until(lambda: chat.idle)
            second = chat.said[-1]
            assert second != first
            await chat.shows("‹ 2/2 ›")
            await chat.press("alt+left")
            assert chat.said == [QUESTION, first]
            await chat.shows("‹ 1/2 ›")
            await chat.press("alt+left")
            assert chat.said == [QUESTION, first]
            await chat.press("shift+tab", "right")
            assert chat.said == [QUESTION, second]
            assert chat.screen.focused_message == chat.screen.talk.path()[-1]
            await chat.press("escape", "ctrl+up")
            composer = chat.screen.query_one(Composer)
            assert (composer.text, composer.has_focus) == (QUESTION, True)
            composer.set("What does len do?")
            await chat.press("enter")
            await chat.until(lambda: len(chat.said) == 2 and chat.idle)
            assert chat.said[0] == "What does len do?"
            await chat.press("alt+left")
            assert chat.said == [QUESTION, second]

    drive(story())


def test_the_list_of_conversations() -> None:
    async def story() -> None:
        async with driving(replace(PLAIN, max_tokens=4)) as chat:
            await chat.loaded()
            for question in ("Tell me about giraffes", "Tell me about zebras"):
                await chat.ask(question)
                await chat.press("ctrl+n")
            await chat.press("ctrl+b")
            listed = chat.screen.query_one(Conversations)
            assert listed.option_count == 2
            await chat.press(*"giraf")
            await chat.until(lambda: listed.option_count == 1)
            await chat.press("down", "enter")
            await chat.pilot.pause()
            assert chat.said[0] == "Tell me about giraffes"
            await chat.send("/rename Long [red]necks")
            await chat.shows("Long [red]necks")
            await chat.send("/delete")
            assert chat.said == []
            await chat.hides("Long [red]necks")
            await chat.send("/undo")
            assert chat.said[0] == "Tell me about giraffes"
            await chat.press("ctrl+b")
            assert not chat.screen.query_one(Sidebar).display

    drive(story())


def test_a_model_that_does_not_load_is_explained(tmp_path: Path) -> None:
    file = tmp_path / "[bold]broken.gguf"
    file.write_bytes(b"GGUF")

    async def story() -> None:
        async with driving(replace(PLAIN, model=str(file)), size=(200, 24)) as chat:
            await chat.until(lambda: chat.app.problem)
            await chat.shows("[bold]broken.gguf")
            await chat.send("hello")
            assert chat.said == ["hello"]

    drive(story())


def test_mistakes_are_explained() -> None:
    async def story() -> None:
        async with driving(replace(PLAIN, context=64)) as chat:
            await chat.loaded()
            for command, text in {
                "/regen": "nothing was said yet",
                "/rename ": "needs a title",
                "/undo": "nothing was deleted",
                "/code": "nothing was answered yet",
                "/nonsense": "there is no command /nonsense",
                "hello " * 400: "the context holds 256",
            }.items():
                chat.composer.set("")
                await chat.send(command)
                await chat.until(partial(chat.told, text))

    drive(story())


def test_another_model_goes_on_with_the_conversation(endless: str) -> None:
    async def story() -> None:
        async with driving(replace(PLAIN, max_tokens=4)) as chat:
            await chat.loaded()
            await chat.ask(QUESTION)
            await chat.send(f"/model {endless}")
            await chat.until(lambda: chat.app.loaded and chat.app.loaded.pair.name == "endless")
            await chat.ask("And what does len do?")
            models = [message.facts.get("model") for message in chat.screen.talk.path()]
            assert models == [None, "nano", None, "endless"]

    drive(story())


def test_a_long_conversation_need_not_be_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = replace(PLAIN, max_tokens=4)
    adopted: list[int] = []
    adopt = Engine.adopt

    def watched(engine: Engine, snapshot: Snapshot) -> bool:
        adopted.append(len(snapshot.tokens))
        return adopt(engine, snapshot)

    monkeypatch.setattr(Engine, "adopt", watched)

    async def first() -> None:
        async with driving(settings) as chat:
            await chat.loaded()
            await chat.ask("What does len do? " * 100)

    async def second() -> None:
        async with driving(settings) as chat:
            await chat.loaded()
            await chat.screen.open(1)
            await chat.ask("And what does os.path.join do?")
            assert adopted
            assert adopted[0] > 400

    drive(first())
    assert adopted == []
    drive(second())


def test_without_room_nothing_is_kept() -> None:
    async def story() -> None:
        async with driving(replace(PLAIN, max_tokens=4, snapshots=0)) as chat:
            await chat.loaded()
            await chat.ask("What does len do? " * 100)
        assert not list(paths.cache_dir().rglob("*.kv"))

    drive(story())
