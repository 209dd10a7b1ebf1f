"""What the chat can do without a model."""

import json
import os
import stat
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.widgets import Input

from edgespec import config
from edgespec_tui.app import ChatApp
from edgespec_tui.widgets.composer import Composer
from edgespec_tui.widgets.hardware import Hardware
from tests.tui.driving import PLAIN, Driver, drive, driving
from tests.tui.talks import SORTING, branched, open_store, talk


@pytest.fixture(autouse=True)
def no_model(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which models were asked for; none is loaded."""
    asked: list[str] = []
    monkeypatch.setattr(ChatApp, "load", lambda app: asked.append(app.settings.model))
    return asked


@pytest.fixture(autouse=True)
def sorting() -> None:
    with open_store() as store:
        branched(store)


def composer(chat: Driver) -> Composer:
    return chat.screen.query_one(Composer)


def test_keys_of_the_composer() -> None:
    async def story() -> None:
        async with driving() as chat:
            await chat.press("a", "ctrl+j", "b", "shift+enter", "c")
            assert composer(chat).text == "a\nb\nc"
            await chat.press("enter")
            assert chat.said[-1] == "a\nb\nc"
            await chat.press("x", "up")
            assert composer(chat).text == "a\nb\nc"
            await chat.press("down", "down", "down")
            assert composer(chat).text == "x"

    drive(story())


def test_pasting_never_sends_and_a_large_text_becomes_a_mark() -> None:
    large = "line of text\r\n" * 160_000

    async def story() -> None:
        async with driving() as chat:
            count = len(chat.said)
            composer(chat).post_message(events.Paste("two\r\nlines\n"))
            await chat.pilot.pause()
            assert composer(chat).text == "two\nlines\n"
            composer(chat).post_message(events.Paste(large))
            await chat.pilot.pause()
            await chat.shows("[pasted text 1: 2,080,000 characters]")
            assert len(chat.said) == count
            await chat.press("enter")
            assert chat.said[-1] == "two\nlines\n" + large.replace("\r\n", "\n").strip()
            await chat.pilot.pause(0.1)
            await chat.shows("more characters; o opens it whole")

    drive(story())


def test_other_keys_can_send() -> None:
    keys = {"send": "ctrl+j", "newline": "enter", "help": "f4"}

    async def story() -> None:
        async with driving(replace(PLAIN, keys=keys)) as chat:
            await chat.press("a", "enter", "b", "ctrl+j")
            assert chat.said[-1] == "a\nb"
            await chat.press("f4")
            await chat.shows("Help")

    drive(story())


def test_keys_can_be_changed_while_one_chats() -> None:
    async def story() -> None:
        async with driving(replace(PLAIN, keys={"help": "f4"})) as chat:
            for command, text in {
                "/key new": "new: Ctrl+N",
                "/key nwe f9": "'nwe' has no key",
                "/key new ctrl+": "'ctrl+' is not a key",
                "/key new ctrl+b": "ctrl+b is a key of chats",
                "/key new f9, f10": "new: F9, F10",
                "/key send ctrl+s": "send: Ctrl+S",
            }.items():
                await chat.send(command)
                await chat.until(partial(chat.told, text))
            assert chat.said
            await chat.press("ctrl+n")
            assert chat.said
            await chat.press("f10")
            assert chat.said == []
            await chat.press("a", "ctrl+s")
            assert chat.said == ["a"]
            await chat.press("f4")
            await chat.shows("F9, F10  /new")
            await chat.press("escape", *"/key send", "ctrl+s")
            await chat.until(partial(chat.told, "send: Enter"))
            await chat.send("/key new")
            await chat.until(partial(chat.told, "new: Ctrl+N"))
            await chat.press("ctrl+n")
            assert chat.said == []

    drive(story())
    assert config.load(config.file()).keys == {}


def test_copying() -> None:
    async def story() -> None:
        async with driving() as chat:
            await chat.send("/copy")
            assert chat.app.clipboard == SORTING
            await chat.send("/code")
            assert chat.app.clipboard.startswith("def by_length")
            await chat.send("/copyall")
            assert chat.app.clipboard.startswith("# Sorting in Python\n\n## You\n\nHow do I")
            await chat.press("shift+tab", "up", "c")
            assert chat.app.clipboard == "How do I sort a list?"
            await chat.press("q")
            assert composer(chat).text == "> How do I sort a list?\n\n"

    drive(story())


def test_what_was_exported_can_be_imported(tmp_path: Path) -> None:
    async def story() -> None:
        async with driving() as chat:
            said = chat.said
            await chat.send(f"/export {tmp_path / 'talk.json'}")
            await chat.send(f"/export {tmp_path / 'talk.md'}")
            await chat.send(f"/export {tmp_path / 'talk.md'}")
            assert chat.told("File exists")
            await chat.send("/delete")
            assert chat.said == []
            await chat.send(f"/import {tmp_path / 'talk.json'}")
            assert chat.said == said
            assert "‹ 2/2 ›" in "".join(str(w.render()) for w in chat.screen.query(".place"))
            await chat.send(f"/import {tmp_path / 'talk.md'}")
            assert chat.told("it is no edgespec conversation")
            await chat.send(f"/import {tmp_path / 'missing'}")
            assert chat.told("No such file")

    drive(story())
    assert (tmp_path / "talk.md").read_text().startswith("# Sorting in Python\n")
    assert len(json.loads((tmp_path / "talk.json").read_text())["messages"]) == 3


def test_settings_take_effect_and_are_kept(no_model: list[str]) -> None:
    async def story() -> None:
        async with driving(size=(100, 40)) as chat:
            await chat.press("f2")
            dialog = chat.app.screen
            dialog.query_one("#temperature", Input).value = "hot"
            dialog.query_one("#top_k", Input).value = "7"
            dialog.query_one("#theme", Input).value = "edgespec-light"
            await chat.pilot.pause()
            await chat.shows("it must be a number")
            await chat.press("escape")
            await chat.pilot.pause()
            assert chat.app.theme == "edgespec-light"
            assert chat.app.request(0).sampling.top_k == 7
            assert chat.app.settings.temperature == PLAIN.temperature
            assert no_model == [""]
            await chat.send("/model big.gguf")
            assert no_model == ["", "big.gguf"]

    drive(story())
    stored = config.load(config.file())
    assert (stored.top_k, stored.theme, stored.model) == (7, "edgespec-light", "big.gguf")
    assert stored.threads == 0


def test_a_preset_is_used_until_it_is_not() -> None:
    settings = replace(PLAIN, presets={"exact": {"top_k": 1, "system": "Be exact."}})

    async def story() -> None:
        async with driving(settings) as chat:
            await chat.send("/preset exact ")
            assert chat.told("exact: top k 1, system 'Be exact.'")
            assert chat.app.request(0).sampling.top_k == 1
            assert chat.screen.talk.system == "Be exact."
            await chat.send("/preset")
            assert chat.app.request(0).sampling.top_k == PLAIN.top_k
            await chat.send("/preset wild")
            assert chat.told("there is no preset 'wild'; there are exact")

    drive(story())


def test_a_model_can_be_chosen_from_the_list(no_model: list[str]) -> None:
    async def story() -> None:
        async with driving(size=(100, 40)) as chat:
            await chat.press("f3")
            await chat.shows("fits")
            await chat.shows("fits · 41 tok/s")
            await chat.shows("predicted")
            await chat.press("enter")
            await chat.until(lambda: no_model == ["", "nano"])

    drive(story())


def test_the_palette_finds_actions_and_conversations() -> None:
    with open_store() as store:
        talk(store, "What is a giraffe?", "A tall animal.", title="Giraffes")

    async def story() -> None:
        async with driving() as chat:
            for query, picked in (("new ch", []), ("tall animal", ["What is a giraffe?"])):
                await chat.press("ctrl+p")
                await chat.press(*["space" if c == " " else c for c in query])
                await chat.until(lambda: len(chat.app.screen.query("CommandList")) > 0)
                await chat.pilot.pause(0.3)
                await chat.press("enter")
                await chat.pilot.pause(0.1)
                assert chat.said[:1] == picked

    drive(story())


def test_commands_are_completed() -> None:
    async def story() -> None:
        async with driving() as chat:
            await chat.press("/", "r", "e", "n")
            await chat.shows("/rename TITLE")
            await chat.press("enter", *"Lists", "enter")
            assert "Lists" in chat.picture().splitlines()[0]
            await chat.press("/", "h", "escape")
            assert composer(chat).text == "/h"
            await chat.press("backspace", "backspace", *"/ha", "tab")
            assert composer(chat).text == "/hardware "

    drive(story())


def test_what_is_typed_reaches_the_composer_wherever_the_focus_went() -> None:
    async def story() -> None:
        async with driving(size=(90, 24)) as chat:
            await chat.press("ctrl+b", "escape")
            await chat.pilot.resize_terminal(40, 20)
            await chat.pilot.pause(0.1)
            await chat.press(*"typed")
            assert composer(chat).text == "typed"
            await chat.shows("typed")

    drive(story())


def test_the_panel_says_what_it_is_for() -> None:
    async def story() -> None:
        async with driving() as chat:
            await chat.press("ctrl+t")
            await chat.pilot.pause(0.1)
            await chat.shows("send a message to see what target and drafter do")
            await chat.press("ctrl+t")
            assert not chat.screen.query_one(Hardware).display

    drive(story())


def test_thoughts_are_folded() -> None:
    with open_store() as store:
        talk(store, "Why?", "<think>\nHidden reasons.\n</think>\n\nBecause.", title="Why")

    async def story() -> None:
        async with driving() as chat:
            await chat.pilot.pause(0.1)
            await chat.shows("▸ Thought 2 words")
            await chat.hides("Hidden reasons.")
            await chat.press("shift+tab", "t")
            await chat.shows("Hidden reasons.")
            await chat.press("c")
            assert chat.app.clipboard == "Because."

    drive(story())


def test_token_sources_can_be_seen() -> None:
    runs = [["target", 4], ["drafter", 5]]
    with open_store() as store:
        talk(store, "Why?", "one **two**", title="Why", runs=runs)

    async def story() -> None:
        async with driving() as chat:
            await chat.press("ctrl+o")
            await chat.pilot.pause(0.1)
            await chat.shows("one **two**")
            await chat.shows("suffix match")
            await chat.press("ctrl+o")
            await chat.pilot.pause(0.1)
            await chat.shows("one two")

    drive(story())


def test_the_users_editor_writes_the_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "editor"
    script.write_text('#!/bin/sh\necho "edited" >> "$1"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    # A pilot's application has no terminal that it could give to somebody else.
    monkeypatch.setattr(ChatApp, "suspend", lambda app: nullcontext())

    async def story() -> None:
        async with driving() as chat:
            monkeypatch.setenv("EDITOR", str(script))
            monkeypatch.delenv("VISUAL", raising=False)
            await chat.press("a", "ctrl+j", "ctrl+g")
            assert composer(chat).text == "a\nedited"
            monkeypatch.setenv("EDITOR", os.fspath(tmp_path / "missing"))
            await chat.press("ctrl+g")
            assert chat.told("set $EDITOR")
            assert composer(chat).text == "a\nedited"

    drive(story())


def test_a_file_is_attached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "notes.md").write_text("Remember.")
    monkeypatch.chdir(tmp_path)

    async def story() -> None:
        async with driving() as chat:
            await chat.press(*"see @no")
            await chat.shows("@notes.md")
            await chat.press("tab")
            assert composer(chat).text == "see @notes.md"
            await chat.pilot.pause()
            await chat.shows("notes.md: 0.0 kB, about 3 tokens")
            await chat.press("enter")
            await chat.pilot.pause()
            assert chat.said[-1] == "see @notes.md\n\nnotes.md:\n\n```md\nRemember.\n```"

    drive(story())


def test_a_defect_is_one_line_and_a_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("a defect")

    async def story() -> None:
        async with driving() as chat:
            monkeypatch.setattr(Composer, "remember", broken)
            await chat.press("ctrl+n")
            await chat.pilot.pause()

    with pytest.raises(ZeroDivisionError):
        drive(story())
    assert "Traceback" not in "".join(capsys.readouterr())
