"""Colours: the themes, those of the terminal, and none."""

import string
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.color import ColorType

from tests.tui.album import keep
from tests.tui.driving import PLAIN, Driver, drive, driving
from tests.tui.talks import branched, open_store

pytestmark = pytest.mark.usefixtures("no_model")
LETTERS = string.ascii_letters


def colours(chat: Driver) -> set[ColorType]:
    found = set()
    for strip in chat.strips:
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
            await chat.settle()
            check(chat)

    drive(story())


def paint(chat: Driver) -> str:
    """Which style every character has, by a letter, and below what the letters mean."""
    letters: dict[str, str] = {}
    lines = []
    for strip in chat.strips:
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
        keep(paint(chat), f"colours-{theme or 'none'}")

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
        for strip in chat.strips:
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


def test_without_colours_what_is_highlighted_has_a_style(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    def styled(chat: Driver, text: str) -> bool:
        [row] = [strip for strip in chat.strips if text in strip.text]
        return all(one.style and one.style.underline for one in row if one.text.strip())

    async def story() -> None:
        async with driving(replace(PLAIN, theme="")) as chat:
            await chat.press("/")
            await chat.shows("/help", "/new")
            assert styled(chat, "/help")
            assert not styled(chat, "/new")
            await chat.press("down")
            await chat.until(lambda: styled(chat, "/new"))

    drive(story())
