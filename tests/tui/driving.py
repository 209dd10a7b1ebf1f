"""The chat as a user drives it: the real application, store and nano pair, without a terminal."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.strip import Strip

from edgespec import paths
from edgespec.config import Settings
from edgespec.store.store import Store
from edgespec_tui.app import ChatApp
from edgespec_tui.screens.chat import ChatScreen
from edgespec_tui.widgets.composer import Composer

PLAIN = Settings(threads=1, speculate=False, seed=5, temperature=0.0, max_tokens=48, context=1024)
"""Nothing is drafted, so nothing has to be measured first."""
PATIENCE = 60.0
"""Seconds after which what has not come will not."""


class Driver:
    """One running chat. `size` is the terminal's, in columns and lines."""

    def __init__(self, app: ChatApp, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def screen(self) -> ChatScreen:
        screen = self.app.screen_stack[-1]
        assert isinstance(screen, ChatScreen)
        return screen

    @property
    def said(self) -> list[str]:
        """The texts of the messages shown."""
        return [message.text for message in self.screen.talk.path()]

    @property
    def idle(self) -> bool:
        """Whether all that is shown is complete."""
        return not self.screen.writer.busy and all(m.done for m in self.screen.talk.path())

    @property
    def tokens(self) -> int:
        """How many tokens of the answer have come."""
        live = self.screen.writer.live
        return live.tokens if live else 0

    def told(self, text: str) -> bool:
        """Whether the user was told `text` a moment ago."""
        return any(text in notification.message for notification in self.app._notifications)

    @property
    def composer(self) -> Composer:
        return self.screen.query_one(Composer)

    @property
    def strips(self) -> list[Strip]:
        """What the terminal shows, line by line, in colours."""
        return self.app.screen._compositor.render_strips()

    def picture(self) -> str:
        """What the terminal shows, without colours."""
        return "\n".join(strip.text.rstrip() for strip in self.strips)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def until(self, condition: Callable[[], Any]) -> None:
        """Let the application go on until `condition` holds."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                await self.pilot.pause(0.02)
        await self.pilot.pause()

    async def shows(self, *texts: str) -> None:
        """Let the application go on until all `texts` are on the screen."""
        try:
            await self.until(lambda: all(text in self.picture() for text in texts))
        except TimeoutError:
            pytest.fail(f"not all of {texts} came:\n{self.picture()}")

    async def hides(self, text: str) -> None:
        """Let the application go on until `text` is not on the screen."""
        await self.until(lambda: text not in self.picture())

    async def settle(self) -> None:
        """Let what moves come to rest, and notifications go."""
        self.app.clear_notifications()
        before, still = "", 0
        while still < 3:
            await self.pilot.pause(0.05)
            now = self.picture()
            before, still = now, still + 1 if now == before else 0

    async def loaded(self) -> None:
        """Wait for the model."""
        await self.until(lambda: self.app.loaded)

    async def send(self, text: str) -> None:
        """Type and send a message, without waiting for the answer."""
        self.composer.focus()
        self.composer.add(text)
        await self.press("enter")
        await self.pilot.pause()

    async def ask(self, text: str) -> str:
        """Send a message; the answer."""
        count = len(self.said)
        await self.send(text)
        await self.until(lambda: len(self.said) >= count + 2 and self.idle)
        return self.said[-1]


@asynccontextmanager
async def driving(
    settings: Settings = PLAIN, size: tuple[int, int] = (80, 24), stop: tuple[str, ...] = ()
) -> AsyncIterator[Driver]:
    with Store(paths.data_dir() / "conversations.db") as store:
        app = ChatApp(settings, store, stop)
        async with app.run_test(size=size) as pilot:
            driver = Driver(app, pilot)
            await driver.until(lambda: isinstance(app.screen_stack[-1], ChatScreen))
            driver.composer.cursor_blink = False
            yield driver
            app.close()
    if app.loaded:
        app.loaded.engine.close()


def drive(story: Coroutine[Any, Any, None]) -> None:
    """Run an asynchronous test."""
    asyncio.run(story)
