"""ONNX exports in repositories: which files are one, which is usual, what is refused."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha1
from pathlib import Path
from threading import Event

import pytest

from edgespec.errors import DownloadFailed, ModelFileError, ModelUnavailable, NotEnoughMemory
from edgespec.gguf_header import read_header
from edgespec.hub import exports
from edgespec.hub.choice import Chooser
from edgespec.hub.client import Hub, PlainFile, RemoteFile, Repository
from edgespec.hub.exports import Export
from edgespec.hub.install import install
from edgespec.hub.names import parse
from edgespec.library import Library
from edgespec.onnx_header import OnnxHeader, header_of_config, read_onnx_header
from edgespec.ranking import Fit, fit
from tests.backends.nano import DRAFTER, HELD_OUT, TARGET
from tests.hubserver import HubServer, Repo, serving
from tests.onnx_graphs import Export as Kind
from tests.onnx_graphs import Weights
from tests.onnx_models import write_folder
from tests.unit.hub.conftest import QUICK, room

NAME = "me/nano-ONNX"
PLAIN = ("config.json", "tokenizer_config.json")
ROOM = room(1 << 30)
STRANGER = HELD_OUT[0].parent / "stranger-q8_0.gguf"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = write_folder(tmp_path_factory.mktemp("export") / "nano", Weights(), Kind(bits=4))
    found = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    return {**found, "README.md": b"an export"}


@pytest.fixture
def onnx_server(files: dict[str, bytes]) -> Iterator[HubServer]:
    repo = Repo(dict(files), tags=("onnx", "license:mit"), plain=(*PLAIN, "README.md"))
    with serving({NAME: repo}) as server:
        yield server


@pytest.fixture
def onnx_hub(onnx_server: HubServer) -> Hub:
    return Hub(onnx_server.endpoint, QUICK)


def repository(*paths: str) -> Repository:
    """A repository whose JSON files are small and whose others are large."""
    large = tuple(RemoteFile(path, 9, "a" * 64) for path in paths if "json" not in path)
    small = tuple(PlainFile(path, 9, "b" * 40) for path in paths if "json" in path)
    return Repository(NAME, "0" * 40, large, "", small)


def found(*paths: str) -> list[Export]:
    return exports.exports(repository("config.json", "tokenizer.json", *paths))


def test_a_graph_comes_with_its_weights_and_the_small_files() -> None:
    (export,) = found("onnx/model.onnx", "onnx/model.onnx_data", "onnx/model.onnx_data_1", "a.bin")
    names = [file.path for file in export.heavy]
    assert names == ["onnx/model.onnx", "onnx/model.onnx_data", "onnx/model.onnx_data_1"]
    assert {file.path for file in export.side} == {"config.json", "tokenizer.json"}
    assert (export.choice, export.size) == ("model", 27)


def test_the_usual_choice_comes_first() -> None:
    names = ("model", "model_q4", "model_fp16", "model_int8", "model_bnb4")
    graphs = found(*(f"onnx/{name}.onnx" for name in names), "onnx/model_q4.onnx_data")
    assert [graph.choice for graph in graphs] == ["q4", "int8", "fp16", "model", "bnb4"]
    assert [file.path for file in graphs[0].heavy] == [
        "onnx/model_q4.onnx",
        "onnx/model_q4.onnx_data",
    ]


@pytest.mark.parametrize(
    "paths",
    [("onnx/model.bin",), ("other/model.onnx",), ("../model.onnx",), ("onnx/\x1b[2J.onnx",)],
)
def test_other_files_are_no_graphs(paths: tuple[str, ...]) -> None:
    assert found(*paths) == []


@pytest.mark.parametrize("kept", ["config.json", "tokenizer.json"])
def test_without_configuration_or_tokenizer_there_is_no_export(kept: str) -> None:
    assert exports.exports(repository(kept, "onnx/model.onnx")) == []


def test_an_export_is_named_by_its_kind_or_file() -> None:
    graphs = found("onnx/model.onnx", "onnx/model_q4f16.onnx")
    for choice in ("q4f16", "Q4F16", "model_q4f16.onnx", "onnx/model_q4f16.onnx"):
        assert exports.named(graphs, choice, NAME).choice == "q4f16"
    with pytest.raises(ModelUnavailable, match="it has q4f16, model"):
        exports.named(graphs, "q8", NAME)


def test_it_is_installed_with_all_that_it_needs(
    onnx_hub: Hub, library: Library, files: dict[str, bytes]
) -> None:
    stop = Event()
    chosen = Chooser(onnx_hub, library, stop).choose(parse(f"hf:{NAME}"), ROOM)
    assert chosen.model.name == f"hf:{NAME}:model"
    assert chosen.licence == "mit"
    (model,) = install(onnx_hub, library, [chosen], lambda _: None, stop)
    assert model.complete
    assert model.path.as_posix().endswith("onnx/model.onnx")
    home = model.path.parents[1]
    for path, data in files.items():
        assert path == "README.md" or (home / path).read_bytes() == data
    header = read_onnx_header(model.path)
    assert isinstance(chosen.header, OnnxHeader)
    assert chosen.header.position == header.position
    assert chosen.header.context_length == header.context_length
    assert header.weights < chosen.header.weights < 1.1 * header.weights
    assert library.find(f"hf:{NAME}") == model


def test_its_vocabulary_can_be_compared_before_it_is_pulled(
    onnx_hub: Hub, library: Library
) -> None:
    chooser = Chooser(onnx_hub, library, Event())
    chosen = chooser.choose(parse(f"hf:{NAME}"), ROOM)
    for file in (TARGET, DRAFTER):
        assert fit(read_header(file), chooser.compared(chosen)) is Fit.IDENTICAL
    assert fit(read_header(STRANGER), chooser.compared(chosen)) is Fit.BYTES
    large = [replace(one, size=1 << 40) for one in chosen.model.files]
    endless = replace(chosen, model=replace(chosen.model, files=tuple(large)))
    with pytest.raises(ModelFileError, match=r"tokenizer\.json of me/nano-ONNX has \d+ bytes"):
        chooser.compared(endless)


def test_one_that_does_not_fit_is_refused(onnx_hub: Hub, library: Library) -> None:
    with pytest.raises(NotEnoughMemory):
        Chooser(onnx_hub, library, Event()).choose(parse(f"hf:{NAME}"), room(1000))


def test_a_small_file_that_is_not_what_git_says_is_refused(
    onnx_server: HubServer, onnx_hub: Hub, library: Library
) -> None:
    onnx_server.repos[NAME].claims["config.json"] = sha1(b"another").hexdigest()
    with pytest.raises(DownloadFailed, match=r"config\.json of .* is not what the Hub says"):
        Chooser(onnx_hub, library, Event()).choose(parse(f"hf:{NAME}"), ROOM)


def test_a_configuration_that_is_none_is_refused(
    onnx_server: HubServer, onnx_hub: Hub, library: Library
) -> None:
    onnx_server.repos[NAME].files["config.json"] = b"[]"
    with pytest.raises(ModelFileError, match="is not a configuration"):
        Chooser(onnx_hub, library, Event()).choose(parse(f"hf:{NAME}"), ROOM)


@pytest.mark.parametrize(
    ("change", "position"),
    [
        (lambda known: None, 2 * 4 * 2 * 64 * 4),
        (lambda known: known.pop("head_dim"), 2 * 4 * 2 * 32 * 4),
        (lambda known: known.pop("num_key_value_heads"), 2 * 4 * 8 * 64 * 4),
        (lambda known: known.update(num_hidden_layers="many"), 0),
    ],
)
def test_what_a_configuration_tells(
    change: Callable[[dict[str, object]], object], position: int
) -> None:
    known: dict[str, object] = {
        "num_hidden_layers": 4,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "hidden_size": 256,
        "head_dim": 64,
        "max_position_embeddings": 4096,
    }
    change(known)
    for config in (known, {"text_config": json.loads(json.dumps(known))}):
        header = header_of_config(Path("model.onnx"), 1000, config)
        assert (header.position, header.context_length, header.weights) == (position, 4096, 1000)
