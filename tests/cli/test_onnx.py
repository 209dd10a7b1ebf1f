"""`--drafter` with an ONNX export: the same answer, and what is said of what will not do."""

import json
import os
import shutil
from pathlib import Path

import pytest

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


def test_an_onnx_model_is_no_target(folder: Path) -> None:
    done = edgespec("run", "--threads", "1", "-n", "8", "-m", str(folder), "What is os?")
    assert (done.returncode, done.stdout) == (2, "")
    assert "model.onnx is an ONNX model, which can draft but not be the target" in done.stderr
    assert done.stderr.count("\n") == 1


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


def test_it_is_not_planned_where_it_runs(folder: Path) -> None:
    done = edgespec("plan", "--drafter", str(folder))
    assert (done.returncode, done.stdout) == (2, "")
    assert "--no-speculate" in done.stderr
    assert done.stderr.count("\n") == 1


def test_weights_cut_short(damaged: Path) -> None:
    data = damaged / "onnx/model.onnx_data"
    data.write_bytes(data.read_bytes()[:1000])
    assert "cut short: 1000 of" in fails(damaged)


def test_a_graph_without_its_tokenizer(damaged: Path) -> None:
    (damaged / "tokenizer.json").unlink()
    assert "tokenizer.json is missing" in fails(damaged)


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
