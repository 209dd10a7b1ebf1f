"""What opens above or beside the conversation: settings, models, palette, help, panel."""

from dataclasses import replace
from typing import Any

import pytest
from textual.widgets import Input, Static

from edgespec import config
from edgespec_tui.widgets.hardware import Hardware
from edgespec_tui.widgets.setting_row import SettingRow
from tests.tui.driving import PLAIN, Driver, drive, driving
from tests.tui.talks import open_store, talk

pytestmark = pytest.mark.usefixtures("no_model", "sorting")


def test_settings_take_effect_and_are_kept(no_model: list[str]) -> None:
    async def story() -> None:
        async with driving(size=(100, 60)) as chat:
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


def test_the_panel_says_what_it_is_for() -> None:
    async def story() -> None:
        async with driving() as chat:
            await chat.press("ctrl+t")
            await chat.pilot.pause(0.1)
            await chat.shows("send a message to see what target and drafter do")
            await chat.press("ctrl+t")
            assert not chat.screen.query_one(Hardware).display

    drive(story())


def test_every_dialog_explains_itself() -> None:
    async def story() -> None:
        async with driving(replace(PLAIN, keys={"help": "f4"}), size=(100, 40)) as chat:
            for key, text in {
                "f2": "Presets are settings of answers",
                "f3": "pulled first",
            }.items():
                await chat.press(key, "f4")
                await chat.shows(text)
                await chat.press("f4", "escape")
                await chat.hides(text)
                assert chat.screen

    drive(story())


def test_presets_and_keys_are_edited_like_other_settings() -> None:
    presets: dict[str, dict[str, Any]] = {"exact": {"top_k": 1}, "old": {"top_p": 0.5}}
    config.save(config.file(), config.Settings(), presets=presets)

    async def story() -> None:
        async with driving(replace(PLAIN, presets=presets), size=(100, 40)) as chat:
            await chat.send("/preset exact")
            await chat.press("f2")
            await typed(
                chat,
                {
                    "exact": "top_k = 2, temperature = 0",
                    "old": "",
                    "new preset": 'brief: system = "Be brief."',
                    "new": "f9",
                },
            )
            await chat.press("escape")
            await chat.pilot.pause()
            assert chat.app.request(0).sampling.top_k == 2  # At once: it is in use.
            await chat.send("/preset brief")
            assert chat.screen.talk.system == "Be brief."
            await chat.press("f9")
            assert chat.said == []

    drive(story())
    stored = config.load(config.file())
    exact = {"top_k": 2, "temperature": 0.0}
    assert stored.presets == {"exact": exact, "brief": {"system": "Be brief."}}
    assert stored.keys == {"new": "f9"}


def test_what_is_wrong_with_presets_and_keys_is_explained() -> None:
    async def story() -> None:
        async with driving(size=(100, 60)) as chat:
            await chat.press("f2")
            for name, text, problem in (
                ("new preset", "exact: top_q = 1", "did you mean top_p?"),
                ("new preset", "exact: top_k = 'many'", "it must be a whole number"),
                ("new preset", "top_k = 1", "it needs a name"),
                ("new", "ctrl+", "is not a key"),
                ("new", "ctrl+b", "ctrl+b is a key of chats"),
            ):
                await typed(chat, {name: text})
                assert problem in note(chat, name)
            await typed(chat, {"chats": "f7"})  # Now ctrl+b is free.
            assert "is a key of" not in note(chat, "new")
            await chat.press("escape")

    drive(story())
    stored = config.load(config.file())
    assert (stored.presets, stored.keys) == ({}, {"new": "ctrl+b", "chats": "f7"})


async def typed(chat: Driver, texts: dict[str, str]) -> None:
    """Type into the lines with these names."""
    for row in chat.app.screen.query(SettingRow):
        if row.label in texts:
            row.query_one(Input).focus().value = texts[row.label]
    await chat.pilot.pause()


def note(chat: Driver, name: str) -> str:
    """What is said beside the line with this name."""
    rows = (row for row in chat.app.screen.query(SettingRow) if row.label == name)
    return str(next(rows).query_one(".note", Static).render())
