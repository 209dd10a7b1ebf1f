"""What can be done with a message that is there."""

import pytest

from edgespec_tui.widgets.message import Place
from tests.tui.driving import drive, driving
from tests.tui.talks import SORTING, open_store, talk

pytestmark = pytest.mark.usefixtures("no_model", "sorting")


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
            assert chat.composer.text == "> How do I sort a list?\n\n"

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


def test_a_click_shows_the_alternatives() -> None:
    async def story() -> None:
        async with driving(size=(100, 50)) as chat:
            await chat.shows("‹ 2/2 ›")
            place = chat.screen.query(Place).last()
            await chat.pilot.click(place)
            await chat.shows("‹ 1/2 ›", "Like this.")
            place = chat.screen.query(Place).last()
            await chat.pilot.click(place, offset=(6, 0))
            await chat.shows("‹ 2/2 ›")

    drive(story())
