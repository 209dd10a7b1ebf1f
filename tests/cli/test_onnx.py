"""`--drafter` with an ONNX export: the same answer, and what is said of what will not do."""

import json
import os
import shutil
from pathlib import Path

import onnx
import pytest

from tests.backends.nano import TARGET
from tests.cli.process import edgespec, environment
from tests.onnx_graphs import Export, Weights
from tests.onnx_models import graph_of, write_folder

pytestmark = pytest.mark.native

PROMPT = ("run", "--threads", "1", "-t", "0", "-n", "24", "--raw", "def main():")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("hub") / "nano-ONNX", Weights(), Export())


@pytest.fixture
def damaged(folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(folder, tmp_path / "damaged")


def fails(path: Path) -> str:
    done = edgespec(*PROMPT, "--drafter", str(path))
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("edgespec: error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_a_folder_or_a_graph_drafts_and_the_answer_is_the_same(folder: Path) -> None:
    plain = edgespec(*PROMPT, "--no-speculate")
    for path in (folder, graph_of(folder)):
        done = edgespec(*PROMPT, "--json", "-k", "4", "--drafter", str(path))
        assert (done.returncode, done.stderr) == (0, "")
        answer = json.loads(done.stdout)
        assert answer["text"] == plain.stdout
        assert answer["stats"]["accepted"] > 5


def test_the_number_of_drafts_is_chosen_by_measurement(folder: Path) -> None:
    done = edgespec(*PROMPT, "--drafter", str(folder))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The nano target as a graph."""
    return write_folder(tmp_path_factory.mktemp("hub") / "target", Weights(TARGET), Export())


@pytest.mark.parametrize("drafter", ["nano", "folder", ""])
def test_an_onnx_model_is_a_target_whatever_drafts(
    target: Path, folder: Path, drafter: str
) -> None:
    ask = (*PROMPT, "-m", str(target))
    plain = edgespec(*ask, "--no-speculate")
    assert (plain.returncode, plain.stderr) == (0, "")
    name = str(folder) if drafter == "folder" else drafter
    done = edgespec(*ask, "--json", "-k", "4", *(["--drafter", name] if name else []))
    assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    assert answer["text"] == plain.stdout
    assert answer["stats"]["accepted"] > (5 if drafter else -1)


def test_a_target_that_rounds_activations_runs_without_speculation(tmp_path: Path) -> None:
    rounding = write_folder(tmp_path / "target", Weights(TARGET), Export(bits=8))
    ask = (*PROMPT, "-m", str(rounding))
    plain = edgespec(*ask, "--no-speculate")
    done = edgespec(*ask, "--json", "-k", "4", "--drafter", "nano")
    assert (plain.returncode, plain.stderr, done.returncode) == (0, "", 0)
    assert done.stderr.startswith("edgespec: note: model.onnx rounds activations to integers")
    assert done.stderr.count("\n") == 1
    answer = json.loads(done.stdout)
    assert answer["text"] == plain.stdout
    assert answer["stats"]["drafted"] == 0


def test_a_chat_with_an_onnx_target(target: Path) -> None:
    done = edgespec(
        "chat", "--plain", "-m", str(target), "-t", "0", "-n", "16",
        stdin=b"What is os?\nAnd len?\n",
    )  # fmt: skip
    assert done.returncode == 0
    assert len(done.stdout.split()) > 8


def test_a_batch_with_an_onnx_target_goes_row_by_row(target: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    schema = {"prompt": "x", "json_schema": {"type": "string"}}
    asked = [{"prompt": "What is os?"}, {"prompt": "And len?"}, schema]
    rows.write_text("".join(json.dumps(row) + "\n" for row in asked))
    done = edgespec("batch", "-m", str(target), "-t", "0", "-n", "16", str(rows))
    assert done.returncode == 5
    first, second, third = map(json.loads, done.stdout.splitlines())
    assert first["stats"]["tokens"] == second["stats"]["tokens"] == 16
    assert "an ONNX model cannot be held to a grammar" in third["error"]["message"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--device", "CPU"), "leave out --device, --gpu-layers"),
        (("--kv-type", "q8_0"), "the cache of model.onnx has the type that its graph says"),
        (("--json-schema", "{}"), "an ONNX model cannot be held to a grammar; use a GGUF target"),
    ],
)
def test_what_an_onnx_target_cannot_do(target: Path, options: tuple[str, ...], words: str) -> None:
    done = edgespec("run", "-m", str(target), "-n", "4", *options, "What is os?")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert words in done.stderr


def test_an_onnx_target_that_does_not_fit(damaged: Path) -> None:
    config = json.loads((damaged / "config.json").read_text())
    config["max_position_embeddings"] = 2**40
    (damaged / "config.json").write_text(json.dumps(config))
    done = edgespec("run", "-m", str(damaged), "--context", str(2**39), "What is os?")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
    assert "of memory" in done.stderr
    assert "what fits: --context" in done.stderr


def test_what_it_is_can_be_shown(folder: Path) -> None:
    done = edgespec("models", "show", "--json", str(folder))
    assert (done.returncode, done.stderr) == (0, "")
    facts = json.loads(done.stdout)
    assert facts["context"] == 2048
    assert "grouped" in facts["attention"]
    assert facts["files"] == [str(graph_of(folder))]


def test_doctor_tells_the_runtime_and_its_providers() -> None:
    report = json.loads(edgespec("doctor", "--json").stdout)
    assert report["native"]["onnx"].startswith("ONNX Runtime ")
    assert "CPUExecutionProvider" in report["native"]["onnx"]


def test_a_plan_tells_its_memory_and_that_its_device_is_measured(
    folder: Path, target: Path
) -> None:
    for models in (("--drafter", str(folder)), ("-m", str(target), "--drafter", "nano")):
        done = edgespec("plan", *models)
        assert (done.returncode, done.stderr) == (0, "")
        assert "ONNX Runtime, on the device that is fastest when it is loaded" in done.stdout
        plan = json.loads(edgespec("plan", "--json", *models).stdout)
        memory = plan["plan"]["memory"]["CPU"]
        assert memory["drafter weights"] > 1 << 20
        assert memory["target weights"] > 8 << 20
        assert plan["plan"]["drafter"] == "CPU"


def test_pair_ranks_exports(target: Path, tmp_path: Path, edgespec_home: Path) -> None:
    small = write_folder(tmp_path / "small", Weights(), Export(bits=8))
    entry = """[pairs.mine]
description = "nano, drafted for by a graph"
licence = "none"
target = "{}"
drafter = "{}"
"""
    config = edgespec_home / "config"
    config.mkdir(parents=True)
    (config / "models.toml").write_text(entry.format(TARGET, graph_of(small)))
    ranked = json.loads(edgespec("pair", "--json", "mine").stdout)
    found = {one["name"]: one for one in ranked["drafters"]}
    assert {found[name]["fit"] for name in ("nano", "mine")} == {"identical"}
    assert found["mine"]["step"] > found["nano"]["step"]
    other = json.loads(edgespec("pair", "--json", str(target)).stdout)
    assert {one["name"] for one in other["drafters"]} == {"nano", "mine"}


def test_weights_cut_short(damaged: Path) -> None:
    data = damaged / "onnx/model.onnx_data"
    data.write_bytes(data.read_bytes()[:1000])
    assert "cut short: 1000 of" in fails(damaged)


def test_a_graph_without_its_tokenizer(damaged: Path) -> None:
    (damaged / "tokenizer.json").unlink()
    assert "tokenizer.json is missing" in fails(damaged)


def test_a_tokenizer_of_another_model(damaged: Path) -> None:
    tokenizer = json.loads((damaged / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"] |= {f"word{n}": 8192 + n for n in range(9)}
    (damaged / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert "has 8201 tokens, but the model 8192 logits" in fails(damaged)


def test_a_cache_of_a_type_that_is_none(damaged: Path) -> None:
    graph = onnx.load(graph_of(damaged), load_external_data=False)
    for port in graph.graph.input:
        if port.name.startswith("past"):
            port.type.tensor_type.elem_type = onnx.TensorProto.INT8
    onnx.save(graph, graph_of(damaged))
    assert "does not load" in fails(damaged)


def test_garbage(damaged: Path) -> None:
    graph_of(damaged).write_bytes(b"garbage" * 100)
    assert "not an ONNX model" in fails(damaged)


def test_an_empty_folder(tmp_path: Path) -> None:
    assert "holds no .gguf or .onnx file" in fails(tmp_path)


def test_without_onnx_runtime(folder: Path, tmp_path: Path) -> None:
    for name in ("onnxruntime", "tokenizers"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('No module named here')")
    done = edgespec(*PROMPT, "--drafter", str(folder), PYTHONPATH=_before(tmp_path))
    assert done.returncode == 3
    assert 'pip install "edgespec[onnx]"' in done.stderr
    assert done.stderr.count("\n") == 1


def _before(folder: Path) -> str:
    return os.pathsep.join([str(folder), environment()["PYTHONPATH"]])
