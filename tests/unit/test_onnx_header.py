"""ONNX graphs read without their engine: real ones, and whatever is wrong with them."""

import json
import random
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from edgespec.errors import ExitCode, ModelFileError
from edgespec.onnx_header import read_onnx_header
from tests.onnx_graphs import Decoder, Export, Weights
from tests.onnx_models import graph_of, write_folder


@pytest.fixture(scope="module")
def weights() -> Weights:
    return Weights()


@pytest.fixture
def graph(weights: Weights, tmp_path: Path) -> Path:
    return graph_of(write_folder(tmp_path / "model", weights, Export()))


def refusal(path: Path) -> str:
    with pytest.raises(ModelFileError) as caught:
        read_onnx_header(path)
    assert caught.value.exit_code is ExitCode.UNAVAILABLE
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("external", [True, False])
def test_weights_are_counted_wherever_they_lie(
    weights: Weights, tmp_path: Path, external: bool
) -> None:
    path = graph_of(write_folder(tmp_path / "model", weights, Export(external=external)))
    header = read_onnx_header(path)
    built = Decoder(weights, Export()).build()
    expected = sum(len(tensor.raw_data) for tensor in built.graph.initializer)
    assert header.weights == expected
    assert header.context_length == 2048


@pytest.mark.parametrize(("kind", "size"), [(TensorProto.FLOAT, 4), (TensorProto.FLOAT16, 2)])
def test_the_cache_is_sized_by_its_type(
    weights: Weights, tmp_path: Path, kind: int, size: int
) -> None:
    header = read_onnx_header(graph_of(write_folder(tmp_path / "x", weights, Export(kind=kind))))
    assert header.position == 3 * 2 * 64 * size
    assert header.memory(100) - header.memory(0) == 100 * header.position
    assert header.memory(0) > header.weights


def test_operators_are_listed(graph: Path) -> None:
    assert {"GroupQueryAttention", "MatMul"} < read_onnx_header(graph).operators


@pytest.mark.parametrize(("bits", "rounds"), [(0, False), (4, True)])
def test_activations_that_are_rounded(tmp_path: Path, bits: int, rounds: bool) -> None:
    """MatMulNBits rounds them at accuracy_level 4, as in the exports here, and at no other."""
    file = tmp_path / "model.onnx"
    model = Decoder(Weights(), Export(bits=bits)).build()
    onnx.save(model, file)
    assert read_onnx_header(file).rounds == rounds
    for node in model.graph.node:
        for attribute in node.attribute:
            attribute.i = 0 if attribute.name == "accuracy_level" else attribute.i
    onnx.save(model, file)
    assert not read_onnx_header(file).rounds


def test_integer_products_round_activations(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    node = helper.make_node("DynamicQuantizeLinear", ["x"], ["a", "b", "c"])
    onnx.save(helper.make_model(helper.make_graph([node], "graph", [], [])), file)
    assert read_onnx_header(file).rounds


@pytest.mark.parametrize("config", ["", "[1]", '{"max_position_embeddings": "many"}', "{}"])
def test_a_configuration_without_a_length_means_the_usual_one(graph: Path, config: str) -> None:
    (graph.parents[1] / "config.json").write_text(config)
    assert read_onnx_header(graph).context_length == 2048


def test_the_length_beside_the_graph_comes_first(graph: Path) -> None:
    (graph.parent / "config.json").write_text(json.dumps({"max_position_embeddings": 77}))
    assert read_onnx_header(graph).context_length == 77


def test_weights_beside_the_graph_that_are_missing(graph: Path) -> None:
    (graph.parent / "model.onnx_data").unlink()
    message = refusal(graph)
    assert "model.onnx_data is missing" in message
    assert "download it again" in message


def test_weights_beside_the_graph_that_are_cut_short(graph: Path) -> None:
    data = graph.parent / "model.onnx_data"
    whole = data.read_bytes()
    data.write_bytes(whole[:-1])
    assert f"model.onnx_data is cut short: {len(whole) - 1} of {len(whole)} bytes" in refusal(graph)


def test_more_than_two_gigabytes_of_weights_cut_short(tmp_path: Path) -> None:
    size = 5 << 29
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[size // 4])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": "weights", "offset": "4096", "length": str(size)}.items():
        tensor.external_data.add(key=key, value=value)
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(helper.make_graph([], "graph", [], [], [tensor])), path)
    with (tmp_path / "weights").open("wb") as sparse:
        sparse.truncate(4096 + size)
        assert read_onnx_header(path).weights == size
        sparse.truncate(size)
    assert f"weights is cut short: {size} of {size + 4096} bytes" in refusal(path)


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x08\x09", b"GGUF" + bytes(100)])
def test_what_is_no_graph(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    assert "model.onnx is not an ONNX model" in refusal(path)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(tmp_path / "model.onnx")
    assert "cannot be read" in refusal(tmp_path)


def test_damaged_graphs_are_read_or_refused(graph: Path) -> None:
    chance, data = random.Random(4), graph.read_bytes()
    outcomes = set()
    for _ in range(300):
        damaged = bytearray(data[: chance.randint(1, len(data))])
        for _ in range(3):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        graph.write_bytes(damaged)
        try:
            read_onnx_header(graph)
            outcomes.add("read")
        except ModelFileError:
            outcomes.add("refused")
    assert "refused" in outcomes


def test_a_graph_whose_weights_lie_behind_other_bytes(tmp_path: Path) -> None:
    tensor = helper.make_tensor("w", TensorProto.FLOAT, [4], b"\0" * 16, raw=True)
    graph = helper.make_graph([], "graph", [], [], [tensor])
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph), path, save_as_external_data=True, size_threshold=0)
    assert read_onnx_header(path).weights == 16
