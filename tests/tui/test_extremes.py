"""Texts that are hostile, or go on and on."""

from functools import partial

import pytest
from textual.widgets import Markdown, Static

from edgespec.errors import EdgespecError
from edgespec_tui.widgets.answer import AnswerView
from edgespec_tui.widgets.message import MessageView
from tests.tui.driving import Driver, drive, driving
from tests.tui.talks import HOSTILE, open_store, talk

pytestmark = pytest.mark.usefixtures("no_model")


def test_nothing_that_is_said_drives_the_terminal() -> None:
    with open_store() as store:
        talk(store, HOSTILE, f"{HOSTILE}\n\n`{HOSTILE}`", title=HOSTILE, model=HOSTILE)

    async def story() -> None:
        async with driving() as chat:
            await chat.settle()
            await chat.shows("[bold]markup[/bold]")
            chat.screen.say(HOSTILE)
            chat.screen.entry.put(f"{HOSTILE} @{HOSTILE}")
            chat.app.problem = EdgespecError(HOSTILE, HOSTILE)
            for keys in ([], ["ctrl+b"], ["escape", "shift+tab"], ["ctrl+p", "r", "e", "d"]):
                await chat.press(*keys)
                await chat.pilot.pause(0.1)
                text = "".join(strip.text for strip in chat.strips)
                assert not [c for c in text if ord(c) < 32 or 127 <= ord(c) < 160]
                assert "owned" in text

    drive(story())


def test_a_very_long_answer_shows_its_beginning() -> None:
    lines = [f"line {n}\n" for n in range(10_000)]
    with open_store() as store:
        talk(store, "Count.", "```\n" + "".join(lines) + "```\n", title="Count")

    async def story() -> None:
        async with driving() as chat:
            await chat.settle()
            [*_, answer] = chat.screen.query(MessageView)
            assert answer.size.height < 3000
            assert "more lines" in "\n".join(strip.text for strip in chat.strips)

    drive(story())


def more_than(count: int, chat: Driver) -> bool:
    return len(chat.screen.query(MessageView)) > count


def test_only_the_end_of_a_long_conversation_is_mounted_until_one_scrolls_up() -> None:
    texts = [f"message {n}" for n in range(500)]
    with open_store() as store:
        talk(store, *texts, title="Long")

    async def story() -> None:
        async with driving() as chat:
            await chat.settle()
            await chat.shows("message 499")
            assert len(chat.screen.query(MessageView)) < 40
            for _ in range(3):
                count = len(chat.screen.query(MessageView))
                chat.screen.query_one("Transcript").scroll_home(animate=False)
                await chat.until(partial(more_than, count, chat))

    drive(story())


def test_an_answer_that_goes_on_and_on_stays_cheap_to_show() -> None:
    async def story() -> None:
        async with driving() as chat:
            question = chat.screen.talk.say("Count.", None)
            chat.screen.talk.begin(question.id, {"model": "nano"})
            await chat.screen.show_path()
            view = chat.screen.query_one(AnswerView)
            for start in range(0, 2000, 100):
                await view.feed("".join(f"line {n}\n" for n in range(start, start + 100)))
            assert len(view.query(Markdown)) <= 4
            await view.feed("the end")
            await chat.settle()
            await chat.shows("line 1999")
            await chat.shows("the end")
            shown = sum(part.source.count("\n") for part in view.query(Markdown))
            note = str(view.query_one(".hidden", Static).render())
            assert note.startswith(f"… {2000 - shown} lines before")

    drive(story())


def test_a_line_that_goes_on_and_on_is_shown_in_parts() -> None:
    async def story() -> None:
        async with driving() as chat:
            question = chat.screen.talk.say("Go on.", None)
            chat.screen.talk.begin(question.id, {"model": "nano"})
            await chat.screen.show_path()
            view = chat.screen.query_one(AnswerView)
            for _ in range(30):
                await view.feed("word " * 20)
            shown = " ".join(part.source for part in view.query(Markdown))
            assert len(shown.split()) > 400
            assert set(shown.split()) == {"word"}
            await chat.settle()
            await chat.shows("word word")

    drive(story())
