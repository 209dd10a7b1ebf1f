from collections.abc import Iterator
from pathlib import Path

import pytest

from edgespec.protocols import Model, ModelOptions
from edgespec_backends.llamacpp import open_model
from tests.ggufs import jamba_gguf, lfm2_gguf, llama_gguf
from tests.onnx_graphs import Weights
from tests.onnx_models import EXPORTS, graph_of, write_folder

MAKERS = {"llama": llama_gguf, "lfm2": lfm2_gguf, "jamba": jamba_gguf}


@pytest.fixture(scope="session")
def ggufs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("ggufs")
    return {name: make(folder / f"{name}.gguf") for name, make in MAKERS.items()}


@pytest.fixture(scope="session")
def onnx_graphs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The nano drafter in every kind of export."""
    folder, weights = tmp_path_factory.mktemp("onnx"), Weights()
    return {
        name: graph_of(write_folder(folder / name, weights, export))
        for name, export in EXPORTS.items()
    }


@pytest.fixture(scope="module", params=sorted(MAKERS))
def model(request: pytest.FixtureRequest, ggufs: dict[str, Path]) -> Iterator[Model]:
    opened = open_model(ggufs[request.param], ModelOptions(threads=1))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def llama(ggufs: dict[str, Path]) -> Iterator[Model]:
    opened = open_model(ggufs["llama"], ModelOptions(threads=1))
    yield opened
    opened.close()
