import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.process import ENDLESS
from tests.cli.process import edgespec as execute
from tests.ggufs import llama_gguf
from tests.hubserver import HubServer, Repo, serving

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def endless(tmp_path: Path) -> str:
    """The path of a grammar in which an answer goes on until something else ends it."""
    path = tmp_path / "endless.gbnf"
    path.write_text(ENDLESS)
    return str(path)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A model of 2.1 MB, whose header is asked for in a block of 0.25 MiB."""
    return llama_gguf(tmp_path_factory.mktemp("remote") / "tiny.gguf", d=128, ff=512).read_bytes()


@pytest.fixture
def server(data: bytes) -> Iterator[HubServer]:
    """A Hub with that model in me/tiny-GGUF."""
    with serving({"me/tiny-GGUF": Repo({"tiny-Q8_0.gguf": data})}) as server:
        yield server


@pytest.fixture
def variables(server: HubServer, tmp_path: Path) -> dict[str, str]:
    """The environment of a process for which that is the Hub."""
    return {
        "HF_ENDPOINT": server.endpoint,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_TOKEN": "",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }


@pytest.fixture
def edgespec(variables: dict[str, str]) -> Run:
    """The command, with that server as the Hub."""
    return lambda *arguments, **more: execute(*arguments, stdin=None, **{**variables, **more})
