"""What the chat looks like, character by character, at several sizes.

After a change that is wanted, `UPDATE_PICTURES=1 pytest tests/tui/test_pictures.py` draws the
pictures anew; look at what changed before you keep them.
"""

import os
import string
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from rich.color import ColorType
from textual.strip import Strip
from textual.widgets import Markdown, OptionList, Static

from edgespec.errors import EdgespecError
from edgespec.events import Round, Source
from edgespec.live import Live
from edgespec.offers import Offer
from edgespec_tui.app import ChatApp
from edgespec_tui.widgets.answer import AnswerView
from edgespec_tui.widgets.hardware import Hardware
from edgespec_tui.widgets.message import MessageView
from tests.tui.driving import PLAIN, Driver, drive, driving
from tests.tui.talks import HOSTILE, branched, open_store, talk

PICTURES = Path(__file__).parent / "pictures"
LETTERS = string.ascii_letters
SIZES = [(40, 20), (80, 24), (120, 40), (200, 60)]


@pytest.fixture(autouse=True)
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its numbers would be different every time."""
    monkeypatch.setattr(ChatApp, "load", lambda app: None)


@pytest.fixture(params=SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def size(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    return request.param  # type: ignore[no-any-return]


def compare(chat: Driver, name: str) -> None:
    width, height = chat.app.size
    keep(chat.picture() + "\n", PICTURES / f"{name}-{width}x{height}.txt")


def keep(picture: str, file: Path) -> None:
    """Compare with what was drawn before, or draw it anew."""
    if "UPDATE_PICTURES" in os.environ:
        file.parent.mkdir(exist_ok=True)
        file.write_text(picture, encoding="utf-8")
    assert picture == file.read_text(encoding="utf-8")


async def settle(chat: Driver) -> None:
    """Let what moves come to rest, and notifications go."""
    chat.app.clear_notifications()
    before, still = "", 0
    while still < 3:
        await chat.pilot.pause(0.05)
        now = chat.picture()
        before, still = now, still + 1 if now == before else 0


def strips(chat: Driver) -> list[Strip]:
    return chat.app.screen._compositor.render_strips()


def test_a_conversation(size: tuple[int, int]) -> None:
    with open_store() as store:
        branched(store)

    async def story() -> None:
        async with driving(size=size) as chat:
            await settle(chat)
            compare(chat, "conversation")

    drive(story())


def test_the_welcome(size: tuple[int, int]) -> None:
    async def story() -> None:
        async with driving(size=size) as chat:
            chat.screen.welcome("nano", "llama 8M Q8_0")
            await settle(chat)
            compare(chat, "welcome")

    drive(story())


OFFERS = [
    Offer("nano", "a toy that comes with edgespec", 10 << 20, True, True, 687.0),
    Offer("big-70b", "a large dense model", 41 << 30, False, False, 0.7),
    Offer("qwen3-8b", "a reasoning model for laptops", 5 << 30, False, True, 8.3),
    Offer("hf:me/half-GGUF:Q4_0", "INCOMPLETE: edgespec pull goes on", 1 << 30, False),
]


def test_what_a_key_opens(size: tuple[int, int]) -> None:
    with open_store() as store:
        branched(store)
        talk(store, "What is a giraffe?", "A tall animal.", title="What is a giraffe?")
    keys = {"help": "f1", "settings": "f2", "models": "f3", "palette": "ctrl+p", "chats": "ctrl+b"}

    async def story() -> None:
        async with driving(size=size) as chat:
            for name, key in keys.items():
                await chat.press(key)
                if name == "models":
                    listed = chat.app.screen.query_one(OptionList)
                    await chat.until(partial(holds, listed, len(OFFERS)))
                await settle(chat)
                compare(chat, name)
                await chat.press("escape")
            await chat.press("/", "c")
            await settle(chat)
            compare(chat, "commands")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgespec.config.file", lambda: Path("settings.toml"))
        patch.setattr("time.time", lambda: 3 * 3600.0)
        patch.setattr("edgespec_tui.screens.models.offers", lambda: OFFERS)
        drive(story())


def holds(options: OptionList, count: int) -> bool:
    return options.option_count == count


def live(*drafts: tuple[int, int]) -> Live:
    """An answer whose rounds drafted and accepted so many tokens; the drafter ran ahead."""
    answer, now = Live(0.0), 0.0
    for n, (drafted, accepted) in enumerate(drafts, 1):
        verify = now, now + 0.05 + 0.01 * drafted
        drafting = tuple((now + 0.01 * k, now + 0.01 * k + 0.006) for k in range(drafted))
        answer.timeline.add(Round(n, drafted, accepted, verify, drafting))
        now = verify[1] + 0.005
        for source, count in ((Source.DRAFTER, accepted), (Source.TARGET, 1)):
            answer.sources[source] = answer.sources.get(source, 0) + count
            answer.tokens += count
    return answer


def test_the_hardware_at_work(size: tuple[int, int]) -> None:
    async def story() -> None:
        async with driving(size=size) as chat:
            await chat.press("ctrl+t")
            await settle(chat)
            compare(chat, "idle hardware")
            drafts = [(4, 4), (4, 2), (2, 2), (6, 5), (0, 0), (3, 0)] * 4
            chat.screen.query_one(Hardware).show(live(*drafts))
            await settle(chat)
            compare(chat, "hardware")

    drive(story())


def test_the_sources_of_tokens(size: tuple[int, int]) -> None:
    runs = [["target", 4], ["drafter", 9], ["suffix", 6]]
    with open_store() as store:
        talk(store, "Why?", "one two three four five", title="Why", runs=runs)

    async def story() -> None:
        async with driving(size=size) as chat:
            await chat.press("ctrl+o")
            await settle(chat)
            compare(chat, "origins")

    drive(story())


def colours(chat: Driver) -> set[ColorType]:
    found = set()
    for strip in strips(chat):
        for segment in strip:
            if segment.style:
                text = segment.style.color if segment.text.strip() else None
                used = (text, segment.style.bgcolor)
                found |= {colour.type for colour in used if colour}
    return found


def seen(theme: str, check: Callable[[Driver], None]) -> None:
    with open_store() as store:
        branched(store)

    async def story() -> None:
        async with driving(replace(PLAIN, theme=theme)) as chat:
            await settle(chat)
            check(chat)

    drive(story())


def paint(chat: Driver) -> str:
    """Which style every character has, by a letter, and below what the letters mean."""
    letters: dict[str, str] = {}
    lines = []
    for strip in strips(chat):
        line = ""
        for segment in strip:
            style = str(segment.style or "none")
            line += letters.setdefault(style, LETTERS[len(letters)]) * segment.cell_length
        lines.append(line)
    legend = [f"{letter} {style}" for style, letter in letters.items()]
    return "\n".join([*lines, "", *legend]) + "\n"


@pytest.mark.parametrize("theme", ["edgespec", "edgespec-light", "ansi-dark", "ansi-light", ""])
def test_colours(theme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not theme:
        monkeypatch.setenv("NO_COLOR", "1")

    def check(chat: Driver) -> None:
        keep(paint(chat), PICTURES / f"colours-{theme or 'none'}.txt")

    seen(theme, check)


@pytest.mark.parametrize("theme", ["ansi-dark", "ansi-light"])
def test_ansi_themes_use_the_colours_of_the_terminal_only(theme: str) -> None:
    def check(chat: Driver) -> None:
        assert colours(chat) <= {ColorType.DEFAULT, ColorType.STANDARD}

    seen(theme, check)


@pytest.mark.parametrize("theme", ["edgespec", "edgespec-light"])
def test_texts_stand_out_from_their_background(theme: str) -> None:
    def check(chat: Driver) -> None:
        faint = []
        for strip in strips(chat):
            for segment in strip:
                style = segment.style
                letters = any(map(str.isalnum, segment.text))
                if style and style.color and style.bgcolor and letters:
                    text, ground = style.color.get_truecolor(), style.bgcolor.get_truecolor()
                    light, dark = sorted((luminance(text), luminance(ground)), reverse=True)
                    if (light + 0.05) / (dark + 0.05) < 3:
                        faint.append(segment.text)
        assert faint == []

    seen(theme, check)


def luminance(colour: tuple[int, int, int]) -> float:
    """Relative luminance of an sRGB colour, as in WCAG 2."""
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (part / 255 for part in colour)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_without_colours_the_terminals_own_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    def check(chat: Driver) -> None:
        assert chat.app.theme == "ansi-dark"

    seen("", check)


def test_nothing_that_is_said_drives_the_terminal() -> None:
    with open_store() as store:
        talk(store, HOSTILE, f"{HOSTILE}\n\n`{HOSTILE}`", title=HOSTILE, model=HOSTILE)

    async def story() -> None:
        async with driving() as chat:
            await settle(chat)
            await chat.shows("[bold]markup[/bold]")
            chat.screen.say(HOSTILE)
            chat.screen.entry.put(f"{HOSTILE} @{HOSTILE}")
            chat.app.problem = EdgespecError(HOSTILE, HOSTILE)
            for keys in ([], ["ctrl+b"], ["escape", "shift+tab"], ["ctrl+p", "r", "e", "d"]):
                await chat.press(*keys)
                await chat.pilot.pause(0.1)
                text = "".join(strip.text for strip in strips(chat))
                assert not [c for c in text if ord(c) < 32 or 127 <= ord(c) < 160]
                assert "owned" in text

    drive(story())


def test_a_very_long_answer_shows_its_beginning() -> None:
    lines = [f"line {n}\n" for n in range(10_000)]
    with open_store() as store:
        talk(store, "Count.", "```\n" + "".join(lines) + "```\n", title="Count")

    async def story() -> None:
        async with driving() as chat:
            await settle(chat)
            [*_, answer] = chat.screen.query(MessageView)
            assert answer.size.height < 3000
            assert "more lines" in "\n".join(strip.text for strip in strips(chat))

    drive(story())


def more_than(count: int, chat: Driver) -> bool:
    return len(chat.screen.query(MessageView)) > count


def test_only_the_end_of_a_long_conversation_is_mounted_until_one_scrolls_up() -> None:
    texts = [f"message {n}" for n in range(500)]
    with open_store() as store:
        talk(store, *texts, title="Long")

    async def story() -> None:
        async with driving() as chat:
            await settle(chat)
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
            await settle(chat)
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
            await settle(chat)
            await chat.shows("word word")

    drive(story())
