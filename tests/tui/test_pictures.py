"""What the chat looks like, character by character, at several sizes."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from textual.widgets import OptionList

from edgespec.events import Round, Source, Stats
from edgespec.live import Live
from edgespec.offers import Offer
from edgespec_tui.widgets.hardware import Hardware
from edgespec_tui.widgets.stats_line import StatsLine
from tests.tui.album import compare
from tests.tui.driving import drive, driving
from tests.tui.talks import branched, open_store, talk

# The model's numbers would be different every time.
pytestmark = pytest.mark.usefixtures("no_model")
SIZES = [(40, 20), (80, 24), (120, 40), (200, 60)]


@pytest.fixture(params=SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def size(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    return request.param  # type: ignore[no-any-return]


def test_a_conversation(size: tuple[int, int]) -> None:
    with open_store() as store:
        branched(store)

    async def story() -> None:
        async with driving(size=size) as chat:
            await chat.settle()
            compare(chat, "conversation")

    drive(story())


def test_the_welcome(size: tuple[int, int]) -> None:
    async def story() -> None:
        async with driving(size=size) as chat:
            chat.screen.welcome("nano", "llama 8M Q8_0")
            await chat.settle()
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
                await chat.settle()
                compare(chat, name)
                await chat.press("escape")
            await chat.press("/", "c")
            await chat.settle()
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
        answer.timeline.add(Round(n, drafted, accepted, drafted, verify, drafting))
        now = verify[1] + 0.005
        for source, count in ((Source.DRAFTER, accepted), (Source.TARGET, 1)):
            answer.sources[source] = answer.sources.get(source, 0) + count
            answer.tokens += count
    return answer


def test_the_hardware_at_work(size: tuple[int, int]) -> None:
    async def story() -> None:
        async with driving(size=size) as chat:
            await chat.press("ctrl+t")
            await chat.settle()
            compare(chat, "idle hardware")
            drafts = [(4, 4), (4, 2), (2, 2), (6, 5), (0, 0), (3, 0)] * 4
            chat.screen.query_one(Hardware).show(live(*drafts))
            await chat.settle()
            compare(chat, "hardware")

    drive(story())


def test_the_sources_of_tokens(size: tuple[int, int]) -> None:
    runs = [["target", 4], ["drafter", 9], ["suffix", 6]]
    with open_store() as store:
        talk(store, "Why?", "one two three four five", title="Why", runs=runs)

    async def story() -> None:
        async with driving(size=size) as chat:
            await chat.press("ctrl+o")
            await chat.settle()
            compare(chat, "origins")

    drive(story())


def test_the_panel_is_as_wide_as_the_terminal() -> None:
    async def story() -> None:
        async with driving(size=(120, 30)) as chat:
            await chat.press("ctrl+t")
            chat.screen.query_one(Hardware).show(live((4, 2), (2, 2)))
            for width in (60, 100):
                await chat.pilot.resize_terminal(width, 30)
                await chat.settle()
                [scale] = [line for line in chat.picture().splitlines() if "├" in line]
                assert width - 20 < len(scale) < width

    drive(story())


def test_numbers_for_which_there_is_no_room_are_left_out() -> None:
    stats = Stats(50, 0, 99, 60, 40, 30, 0, 0.1, 0.2, 2.0, 0.03)
    answer = Live(0.0, position=150, stats=stats)
    known = ["49.0 tok/s", "1.47× plain", "context 150/8192", "TTFT 0.20 s", "75% accepted"]

    async def story() -> None:
        async with driving() as chat:
            for width, count in ((40, 2), (60, 3), (80, 4), (100, 5)):
                await chat.pilot.resize_terminal(width, 24)
                await chat.settle()
                chat.screen.query_one(StatsLine).show("ready", answer, 8192)
                await chat.settle()
                assert chat.picture().splitlines()[-2].strip() == " · ".join(
                    ["● ready", *known[:count]]
                )

    drive(story())
