"""Conversations as a whole: listed, renamed, deleted, exported, imported."""

import json
from pathlib import Path
from typing import Any

import pytest

from edgespec_tui.widgets.entry import Entry
from edgespec_tui.widgets.sidebar import Conversations
from tests.tui.driving import drive, driving
from tests.tui.talks import open_store, talk

pytestmark = pytest.mark.usefixtures("no_model", "sorting")


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


def test_the_list_renames_deletes_and_brings_back() -> None:
    with open_store() as store:
        for name in ("Giraffes", "Zebras"):
            talk(store, f"What of {name}?", "They eat.", title=name)

    async def story() -> None:
        async with driving(size=(100, 30)) as chat:
            await chat.press("ctrl+b", *"eat")
            await chat.shows("● Zebras", "  Giraffes")
            await chat.hides("Sorting in Python")
            await chat.press("down", "down", "r")
            await chat.until(lambda: chat.composer.text == "/rename Giraffes")
            await chat.press("space", *"today", "enter")
            await chat.shows("● Giraffes today", "  Zebras")
            chat.screen.query_one(Conversations).focus()
            await chat.press("home", "d")
            await chat.hides("Zebras")
            await chat.press("u")
            await chat.shows("● Zebras")

    drive(story())


def test_a_defect_is_one_line_and_a_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("a defect")

    async def story() -> None:
        async with driving() as chat:
            monkeypatch.setattr(Entry, "leave_edit", broken)
            await chat.press("ctrl+n")
            await chat.pilot.pause()

    with pytest.raises(ZeroDivisionError):
        drive(story())
    assert "Traceback" not in "".join(capsys.readouterr())
