import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.matrix import Cell, write
from tests.faults.stages import Stage, stages
from tests.ggufs import llama_gguf
from tests.hubserver import HubServer, Repo, serving

CELLS = pytest.StashKey[list[Cell]]()
SLOW = 400_000
"""Bytes per second at which a download can be met in its middle."""

collect_ignore_glob = ["test_*"] if sys.platform == "win32" else []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--matrix", type=Path, help="write the matrix of faults into this file")


def pytest_sessionfinish(session: pytest.Session) -> None:
    file = session.config.getoption("--matrix", default=None)
    if file is not None:
        write(file, session.config.stash.get(CELLS, []))


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Callable[[Cell], None]:
    """Adds a cell to the matrix."""
    return request.config.stash.setdefault(CELLS, []).append


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that works for seconds on a long prompt."""
    path = tmp_path_factory.mktemp("faults") / "model.gguf"
    return llama_gguf(path, n_layer=8, d=256, ff=1024, context=8192)


@pytest.fixture(scope="session")
def remote(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A model of 2.1 MB."""
    return llama_gguf(tmp_path_factory.mktemp("remote") / "tiny.gguf", d=128, ff=512).read_bytes()


@pytest.fixture
def hub(remote: bytes) -> Iterator[HubServer]:
    with serving({"me/tiny-GGUF": Repo({"tiny-Q8_0.gguf": remote})}, SLOW) as server:
        yield server


@pytest.fixture
def at(tmp_path: Path, model: Path, hub: HubServer) -> dict[str, Stage]:
    """The stages by name."""
    return stages(tmp_path, model, hub)
