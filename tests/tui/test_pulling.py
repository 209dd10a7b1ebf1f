"""A pull beside a conversation, from a server that speaks the Hub's protocol."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from textual.widgets import OptionList

from edgespec.background_pull import Pulling
from edgespec.hub.client import Hub
from edgespec.hub.patience import Patience
from edgespec_tui import app as app_module
from edgespec_tui.app import ChatApp
from tests.ggufs import llama_gguf
from tests.hubserver import HubServer, Repo, serving
from tests.tui.driving import drive, driving

TINY = "hf:me/tiny-GGUF:Q8_0"
QUICK = Patience(tries=2, first_wait=0.01, longest_wait=0.02, longest_asked=2, silence=0.3)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    data = llama_gguf(tmp_path / "tiny.gguf", d=128, ff=512).read_bytes()
    monkeypatch.setattr(ChatApp, "load", lambda app: None)
    with serving({"me/tiny-GGUF": Repo({"tiny-Q8_0.gguf": data})}, 2_000_000) as server:
        hub = Hub(server.endpoint, QUICK)
        monkeypatch.setattr(app_module, "Pulling", partial(Pulling, hub=hub))
        yield server


def test_a_model_is_pulled_while_one_chats(server: HubServer) -> None:
    async def story() -> None:
        async with driving(size=(100, 30)) as chat:
            await chat.send("/pull hf:me/tiny-GGUF")
            await chat.shows("↓ hf:me/tiny-GGUF")
            await chat.send("hello")
            assert chat.said == ["hello"]
            await chat.send("/pull hf:me/other")
            assert chat.told("is being pulled; /pull stops that")
            await chat.until(lambda: chat.told(f"{TINY} is here; /model {TINY} loads it"))
            await chat.hides("↓")
            await chat.press("f3")
            listed = chat.app.screen.query_one(OptionList)
            await chat.until(lambda: listed.option_count > 1)
            await chat.until(lambda: TINY in chat.picture())

    drive(story())


def test_a_pull_can_be_stopped_and_goes_on(server: HubServer) -> None:
    async def story() -> None:
        async with driving(size=(100, 30)) as chat:
            await chat.send("/pull")
            await chat.press("enter")
            await chat.until(lambda: chat.told("nothing is being pulled"))
            chat.app.pull(TINY)
            await chat.until(lambda: chat.app.pulling and chat.app.pulling.done > 1_000_000)
            chat.app.pull("")
            await chat.until(lambda: chat.told("the pull was stopped"))
            sent = server.total_sent
            await chat.press("f3")
            listed = chat.app.screen.query_one(OptionList)
            await chat.until(lambda: listed.option_count > 1)
            listed.highlighted = listed.option_count - 1
            await chat.pilot.pause(0.1)
            assert f"{TINY}" in chat.picture()
            await chat.shows("↓  not all here")
            await chat.press("enter")
            await chat.until(lambda: chat.told(f"{TINY} is here"))
            assert server.total_sent - sent < 1_800_000

    drive(story())


def test_what_cannot_be_pulled_is_explained(server: HubServer) -> None:
    async def story() -> None:
        async with driving(size=(100, 30)) as chat:
            for name, text in {
                "me/tiny-GGUF": "did you mean hf:me/tiny-GGUF",
                "hf:me/none": "has no repository me/none",
            }.items():
                chat.app.pull(name)
                await chat.until(partial(chat.told, text))
                await chat.until(lambda: chat.app.pulling is None)

    drive(story())
