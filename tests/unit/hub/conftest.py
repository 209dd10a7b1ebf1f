from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from edgespec.devices import Device
from edgespec.hub.choice import Room
from edgespec.hub.client import Hub
from edgespec.hub.patience import Patience
from edgespec.library import Library
from edgespec.machines import Basis, Machine
from edgespec.topology.records import Core, Topology
from tests.ggufs import llama_gguf
from tests.hubserver import HubServer, Repo, serving

QUICK = Patience(tries=4, first_wait=0.01, longest_wait=0.02, longest_asked=2, silence=0.3)
TINY = "me/tiny-GGUF"


def room(size: int, *devices: Device) -> Room:
    """A machine with `size` bytes of memory and one core."""
    topology = Topology((Core((0,)),), (), (), frozenset({0}))
    return Room(Machine("one", topology, size, size, 1e10, 1e10, Basis.DESCRIBED, devices))


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test uses the token, or asks for the telemetry, of whoever runs it."""
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)


@pytest.fixture(scope="session")
def models_of_two_sizes(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """Two models as files, of 4.1 and 0.4 MB."""
    folder = tmp_path_factory.mktemp("remote")
    large = llama_gguf(folder / "large.gguf", n_layer=4, d=128, ff=512)
    small = llama_gguf(folder / "small.gguf")
    return large.read_bytes(), small.read_bytes()


@pytest.fixture
def server(models_of_two_sizes: tuple[bytes, bytes]) -> Iterator[HubServer]:
    large, small = models_of_two_sizes
    files = {"tiny-Q8_0.gguf": large, "tiny-Q4_0.gguf": small, "README.md": b"a model"}
    with serving({TINY: Repo(files)}) as server:
        yield server


@pytest.fixture
def hub(server: HubServer) -> Hub:
    return Hub(server.endpoint, QUICK)


@pytest.fixture
def library(edgespec_home: Path) -> Library:
    return Library(edgespec_home / "models")
