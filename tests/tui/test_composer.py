"""Writing a message: keys, pastes, completion, attachments, the user's editor."""

import os
import stat
from contextlib import nullcontext
from pathlib import Path

import pytest
from textual import events

from edgespec_tui.app import ChatApp
from tests.tui.driving import drive, driving

pytestmark = pytest.mark.usefixtures("no_model", "sorting")


def test_keys_of_the_composer() -> None:
    async def story() -> None:
        async with driving() as chat:
            await chat.press("a", "ctrl+j", "b", "shift+enter", "c")
            assert chat.composer.text == "a\nb\nc"
            await chat.press("enter")
            assert chat.said[-1] == "a\nb\nc"
            await chat.press("x", "up")
            assert chat.composer.text == "a\nb\nc"
            await chat.press("down", "down", "down")
            assert chat.composer.text == "x"

    drive(story())


def test_pasting_never_sends_and_a_large_text_becomes_a_mark() -> None:
    large = "line of text\r\n" * 160_000

    async def story() -> None:
        async with driving() as chat:
            count = len(chat.said)
            chat.composer.post_message(events.Paste("two\r\nlines\n"))
            await chat.pilot.pause()
            assert chat.composer.text == "two\nlines\n"
            chat.composer.post_message(events.Paste(large))
            await chat.pilot.pause()
            await chat.shows("[pasted text 1: 2,080,000 characters]")
            assert len(chat.said) == count
            await chat.press("enter")
            assert chat.said[-1] == "two\nlines\n" + large.replace("\r\n", "\n").strip()
            await chat.pilot.pause(0.1)
            await chat.shows("more characters; o opens it whole")

    drive(story())


def test_commands_are_completed() -> None:
    async def story() -> None:
        async with driving() as chat:
            await chat.press("/", "r", "e", "n")
            await chat.shows("/rename TITLE")
            await chat.press("enter", *"Lists", "enter")
            assert "Lists" in chat.picture().splitlines()[0]
            await chat.press("/", "h", "escape")
            assert chat.composer.text == "/h"
            await chat.press("backspace", "backspace", *"/ha", "tab")
            assert chat.composer.text == "/hardware "

    drive(story())


def test_what_is_typed_reaches_the_composer_wherever_the_focus_went() -> None:
    async def story() -> None:
        async with driving(size=(90, 24)) as chat:
            await chat.press("ctrl+b", "escape")
            await chat.pilot.resize_terminal(40, 20)
            await chat.pilot.pause(0.1)
            await chat.press(*"typed")
            assert chat.composer.text == "typed"
            await chat.shows("typed")

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
            assert chat.composer.text == "a\nedited"
            monkeypatch.setenv("EDITOR", os.fspath(tmp_path / "missing"))
            await chat.press("ctrl+g")
            assert chat.told("set $EDITOR")
            assert chat.composer.text == "a\nedited"

    drive(story())


def test_a_file_is_attached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "notes.md").write_text("Remember.")
    monkeypatch.chdir(tmp_path)

    async def story() -> None:
        async with driving() as chat:
            await chat.press(*"see @no")
            await chat.shows("@notes.md")
            await chat.press("tab")
            assert chat.composer.text == "see @notes.md"
            await chat.pilot.pause()
            await chat.shows("notes.md: 9 bytes, about 3 tokens")
            await chat.press("enter")
            await chat.pilot.pause()
            assert chat.said[-1] == "see @notes.md\n\nnotes.md:\n\n```md\nRemember.\n```"

    drive(story())


def test_what_was_being_typed_waits_while_a_message_is_edited() -> None:
    async def story() -> None:
        async with driving() as chat:
            await chat.press(*"half", "ctrl+up")
            assert chat.composer.text == "How do I sort a list?"
            await chat.press("escape")
            assert chat.composer.text == "half"
            await chat.press("ctrl+up", "ctrl+up", "end", *"!", "enter")
            assert chat.said == ["How do I sort a list?!"]
            assert chat.composer.text == "half"

    drive(story())


def test_what_a_command_takes_is_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my talks").mkdir()
    (tmp_path / "my talks" / "one.json").touch()
    (tmp_path / "my talks" / "tiny.gguf").touch()
    monkeypatch.chdir(tmp_path)

    async def story() -> None:
        async with driving() as chat:
            for typed, whole in {
                "/theme edgespec-": "/theme edgespec-light",
                "/key hardw": "/key hardware",
                "/import my talks/o": "/import my talks/one.json",
                "/model nan": "/model nano",
                "/model my talks/t": "/model my talks/tiny.gguf",
                "/pull qwen3-8": "/pull qwen3-8b",
                '@"my talks/o': '@"my talks/one.json"',
            }.items():
                chat.composer.set(typed)
                await chat.pilot.pause()
                await chat.press("tab")
                assert chat.composer.text == whole
            chat.composer.set("/theme edgespec")  # Complete, though others begin with it.
            await chat.press("enter")
            assert chat.told("theme edgespec")

    drive(story())


def test_who_types_faster_than_completions_come_is_understood() -> None:
    async def story() -> None:
        async with driving() as chat:
            chat.composer.add("hello")
            await chat.pilot.pause()
            chat.composer.completing = True  # As it was when Enter was pressed.
            await chat.press("tab", "enter")
            await chat.pilot.pause()
            assert chat.said[-1] == "hello"

    drive(story())


def test_a_command_that_there_is_not_can_be_mended() -> None:
    async def story() -> None:
        async with driving() as chat:
            await chat.send("/renmae Lists")
            assert chat.told("there is no command /renmae")
            assert chat.composer.text == "/renmae Lists"

    drive(story())
