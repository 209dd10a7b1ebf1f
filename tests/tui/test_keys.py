"""Keys that the user changes, and keys that people press out of habit."""

from dataclasses import replace
from functools import partial

import pytest

from edgespec import config
from tests.tui.driving import PLAIN, drive, driving
from tests.tui.talks import open_store, talk

pytestmark = pytest.mark.usefixtures("no_model", "sorting")


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


def test_escape_goes_back_to_where_one_types() -> None:
    async def story() -> None:
        async with driving() as chat:
            for _ in range(2):
                await chat.press("shift+tab")
                assert chat.screen.focused_message
                await chat.press("escape")
                assert chat.composer.has_focus
                await chat.send("/key stop f12")

    drive(story())


def test_who_presses_ctrl_c_is_told_what_to_press() -> None:
    async def story() -> None:
        async with driving(replace(PLAIN, keys={"quit": "ctrl+q,f10"})) as chat:
            await chat.press("ctrl+c")
            assert chat.told("Esc stops an answer, Ctrl+Q, F10 leaves")
            assert chat.said

    drive(story())


def test_page_up_and_down_scroll_the_conversation() -> None:
    with open_store() as store:
        talk(store, *(f"message {n}" for n in range(100)), title="Long")

    async def story() -> None:
        async with driving() as chat:
            await chat.shows("message 99")
            await chat.press("x", "pageup", "pageup")
            await chat.hides("message 99")
            await chat.press("pagedown", "pagedown", "pagedown")
            await chat.shows("message 99")
            assert chat.composer.text == "x"

    drive(story())
