"""What the chat costs: how much of a core while text streams, and how soon things are there.

python bench/chat.py [--messages N] [--rate TOKENS_PER_SECOND] [--seconds N]

Without a terminal and without a model: tokens come at a steady rate, so that what is measured is
the chat alone.
"""

import argparse
import asyncio
import os
import pty
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace

from edgespec import paths
from edgespec.config import Settings
from edgespec.events import Source, Token
from edgespec.messages import Role
from edgespec.store.store import Store
from edgespec_tui import writer
from edgespec_tui.answering import AnswerEvent, Ended
from edgespec_tui.app import ChatApp
from edgespec_tui.screens.chat import ChatScreen
from edgespec_tui.widgets.entry import Entry
from edgespec_tui.widgets.sidebar import Sidebar
from edgespec_tui.widgets.transcript import Transcript

TEXT = (
    "Here is how `sorted` works, in **three** steps:\n\n1. It takes any iterable.\n"
    "2. It makes a *new* list.\n\n```python\ndef by_length(words: list[str]) -> list[str]:\n"
    "    return sorted(words, key=len)\n```\n\nThat is all there is to it, and it is stable.\n\n"
)

LOAD = ChatApp.load


class Steady:
    """Stands in for an engine's answer: four characters of text at a steady rate."""

    def __init__(self, rate: float, seconds: float) -> None:
        self._rate, self._count = rate, int(rate * seconds)
        self._begin, self._sent = time.monotonic(), 0

    def drain(self) -> list[AnswerEvent]:
        due = min(int((time.monotonic() - self._begin) * self._rate), self._count)
        sent, self._sent = self._sent, due
        events: list[AnswerEvent] = [
            Token(n, (TEXT * 2)[n * 4 % len(TEXT) :][:4], Source.TARGET, n, n, False)
            for n in range(sent, due)
        ]
        return [*events, Ended()] if due == self._count else events

    def stop(self) -> None:
        self._count = self._sent

    def leave(self, _timeout: float) -> bool:
        return True


def open_store() -> Store:
    return Store(paths.data_dir() / "conversations.db")


def fill(store: Store, messages: int, title: str) -> int:
    conversation, parent = store.create(title), None
    for n in range(messages):
        role = Role.ASSISTANT if n % 2 else Role.USER
        parent = store.add(conversation, parent, role, TEXT if n % 2 else f"Question {n}?").id
    return conversation


async def streaming(messages: int, rate: float, seconds: float) -> tuple[float, float]:
    """The share of a core that the screen's thread takes, and its updates per second."""
    store = open_store()
    conversation = fill(store, messages, "Long")
    app = ChatApp(Settings(), store)
    async with app.run_test(size=(100, 40)) as pilot:
        await pilot.pause(0.5)
        screen = app.screen_stack[-1]
        assert isinstance(screen, ChatScreen)
        await screen.open(conversation)
        question = screen.talk.say("Go on.", screen.talk.tree.leaf)
        screen.talk.begin(question.id, {"model": "steady"})
        await screen.show_path()
        view = screen.query_one(Transcript).views[-1]
        live = writer.Live(time.monotonic())
        screen.writer.live = live
        job = writer._Job(Steady(rate, seconds), screen.talk, view, live)  # type: ignore[arg-type]
        screen.writer._job = job
        begin, used, updates = time.monotonic(), time.thread_time(), 0
        while screen.writer.busy:
            updates += screen.writer.fresh
            await asyncio.sleep(0.02)
        share = (time.thread_time() - used) / (time.monotonic() - begin)
        app.close()
    return share, updates / seconds


async def opening() -> tuple[float, float]:
    """Seconds to list 1,000 conversations, and to show one of 5,000 messages."""
    store = open_store()
    for n in range(1000):
        fill(store, 2, f"Conversation {n}")
    conversation = fill(store, 5000, "Very long")
    app = ChatApp(Settings(), store)
    async with app.run_test(size=(100, 40)) as pilot:
        await pilot.pause(0.5)
        screen = app.screen_stack[-1]
        assert isinstance(screen, ChatScreen)
        begin = time.monotonic()
        screen.query_one(Sidebar).show(screen.talk.id)
        await pilot.pause()
        listed = time.monotonic() - begin
        begin = time.monotonic()
        await screen.open(conversation)
        await pilot.pause()
        opened = time.monotonic() - begin
        app.close()
    return listed, opened


async def decoding(model: str, tokens: int, times: int) -> tuple[float, float]:
    """Tokens per second of a model without the chat and in it, medians of alternating answers."""
    settings = Settings(
        model=model, threads=1, speculate=False, temperature=0, max_tokens=tokens, snapshots=0
    )
    app = ChatApp(settings, open_store())
    alone: list[float] = []
    shown: list[float] = []
    async with app.run_test(size=(100, 40)) as pilot:
        LOAD(app)
        while app.loaded is None:
            await pilot.pause(0.1)
        screen, engine = app.screen_stack[-1], app.loaded.engine
        assert isinstance(screen, ChatScreen)
        for n in range(times):
            await screen.open(None)
            screen.entry.post_message(Entry.Said(f"What does os.path.join do? {n}"))
            while not (screen.talk.tree and screen.talk.path()[-1].done and not screen.writer.busy):
                await asyncio.sleep(0.1)
            shown.append(screen.talk.path()[-1].facts["rate"])
            prompt = tuple(app.loaded.form.tokens(screen.talk.prompt(screen.talk.path()[0].id)))
            request = replace(app.request(0), prompt=prompt)
            events = await asyncio.to_thread(lambda asked=request: list(engine.generate(asked)))
            alone.append(events[-1].stats.tokens_per_second)
        app.close()
    return statistics.median(alone), statistics.median(shown)


def first_picture() -> float:
    """Seconds from the start of the process to the first picture, the median of five."""
    code = (
        "from edgespec_tui.app import ChatApp; from edgespec_tui import launch\n"
        "ChatApp.load = lambda app: app.exit(); run = ChatApp.run\n"
        "ChatApp.run = lambda app: run(app, headless=True)\n"
        "from edgespec.config import Settings; launch.run(Settings())"
    )
    times = []
    ours, theirs = pty.openpty()
    for _ in range(5):
        begin = time.monotonic()
        subprocess.run([sys.executable, "-c", code], stdin=theirs, stdout=theirs, check=True)
        times.append(time.monotonic() - begin)
    os.close(ours)
    os.close(theirs)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--messages", type=int, default=200)
    parser.add_argument("--rate", type=float, default=100)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--model", help="Compare its speed without the chat and in it.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["EDGESPEC_HOME"] = home
        ChatApp.load = lambda app: None  # type: ignore[method-assign]
        print(f"first picture, start to end of the process: {first_picture() * 1000:.0f} ms")
        share, updates = asyncio.run(streaming(options.messages, options.rate, options.seconds))
        print(
            f"{options.rate:g} tok/s into {options.messages} messages: {share:.0%} of a core, "
            f"{updates:.1f} updates a second"
        )
        listed, opened = asyncio.run(opening())
        print(f"1,000 conversations listed: {listed * 1000:.0f} ms")
        print(f"5,000 messages opened: {opened * 1000:.0f} ms")
        if options.model:
            alone, shown = asyncio.run(decoding(options.model, 64, 5))
            print(f"{alone:.1f} tok/s without the chat, {shown:.1f} in it: {shown / alone:.3f}")


if __name__ == "__main__":
    main()
