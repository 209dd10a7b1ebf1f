"""The choice of an execution provider. This machine has the CPU's alone, so others are fakes."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from edgespec.errors import ModelFileError
from edgespec.protocols import ModelOptions
from edgespec_backends.onnx import open_model, providers
from edgespec_backends.onnx.lib import CPU
from edgespec_backends.onnx.runner import Runner
from tests.cli.process import environment

pytestmark = pytest.mark.native

GPU, NPU = "FakeGpuExecutionProvider", "FakeNpuExecutionProvider"
GRAPH = Path("model.onnx")
ROWS = np.linspace(-10, 10, 60, dtype=np.float32).reshape(6, 10)


@dataclass
class FakeProvider:
    """How a provider that is not here behaves."""

    seconds: float = 0.001
    starts: bool = True
    whole: bool = True
    error: float = 0.0


class FakeRunner:
    """A graph on a fake provider."""

    known: dict[str, FakeProvider]

    def __init__(self, path: Path, provider: str, threads: int, *, whole: bool = False) -> None:
        fake = self.known[provider]
        if not fake.starts or (whole and not fake.whole):
            raise ModelFileError(f"{provider} does not start here")
        self.provider = provider
        self.rows = ROWS + fake.error
        self._seconds = fake.seconds

    def step(self) -> float:
        return self._seconds


def choose(monkeypatch: pytest.MonkeyPatch, **fakes: FakeProvider) -> tuple[str, list[str]]:
    names = {"gpu": GPU, "npu": NPU}
    FakeRunner.known = {CPU: FakeProvider(0.002)}
    FakeRunner.known |= {names[name]: fake for name, fake in fakes.items()}
    monkeypatch.setattr(providers, "Runner", FakeRunner)
    monkeypatch.setattr(providers, "accelerators", lambda: [names[name] for name in fakes])
    notes: list[str] = []
    return providers.choose(GRAPH, 1, notes.append).provider, notes


def test_the_fastest_provider_is_used_and_all_times_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name, notes = choose(monkeypatch, gpu=FakeProvider(0.001), npu=FakeProvider(0.0005))
    assert name == NPU
    assert notes == [
        "model.onnx runs on FakeNpu, 0.50 ms a step "
        "(measured, ms: CPU 2.00, FakeGpu 1.00, FakeNpu 0.50)"
    ]


def test_a_provider_that_is_slower_than_the_cpu_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name, [note] = choose(monkeypatch, gpu=FakeProvider(0.003))
    assert name == CPU
    assert "runs on CPU, 2.00 ms" in note
    assert "FakeGpu 3.00" in note


def test_parts_that_fall_back_to_the_cpu_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    name, [note] = choose(monkeypatch, gpu=FakeProvider(0.001, whole=False))
    assert name == GPU
    assert "FakeGpu, which leaves parts of it to the CPU" in note


def test_a_provider_that_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    name, notes = choose(monkeypatch, gpu=FakeProvider(starts=False))
    assert name == CPU
    assert "FakeGpu is not used for model.onnx" in notes[0]
    assert "does not start here" in notes[0]


def test_a_provider_with_other_results_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    name, notes = choose(
        monkeypatch, gpu=FakeProvider(0.0001, error=1.0), npu=FakeProvider(error=0.1)
    )
    assert name == NPU
    assert "its results are not the CPU's" in notes[0]


def test_the_cpu_alone_is_neither_measured_nor_mentioned(onnx_graphs: dict[str, Path]) -> None:
    notes: list[str] = []
    open_model(onnx_graphs["grouped"], ModelOptions(threads=1, on_note=notes.append)).close()
    assert notes == []


def test_a_step_is_timed_with_the_real_graph(onnx_graphs: dict[str, Path]) -> None:
    assert 0 < Runner(onnx_graphs["spelt-out"], CPU, 1).step() < 1


def test_a_missing_provider_is_an_error_and_no_silent_fallback(
    onnx_graphs: dict[str, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ModelFileError, match="CUDA"), pytest.warns(UserWarning, match="CUDA"):
        Runner(onnx_graphs["grouped"], "CUDAExecutionProvider", 1)
    assert capfd.readouterr() == ("", "")


def test_workers_do_not_spin(onnx_graphs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    usual = ort.SessionOptions

    def options() -> object:
        made.append(usual())
        return made[-1]

    monkeypatch.setattr(ort, "SessionOptions", options)
    open_model(onnx_graphs["grouped"], ModelOptions(threads=2)).close()
    for option in made:
        assert option.intra_op_num_threads == 2
        assert option.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_a_plugin_that_does_not_load_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    package = tmp_path / "onnxruntime_ep_webgpu"
    package.mkdir()
    (package / "__init__.py").write_text(
        "def get_library_path(): return '/nowhere/libplugin.so'\n"
        "def get_ep_names(): return ['WebGpuExecutionProvider']\n"
    )
    path = os.pathsep.join([str(tmp_path), environment()["PYTHONPATH"]])
    done = subprocess.run(
        [sys.executable, "-c", "from edgespec_backends.onnx import lib; print(lib.accelerators())"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")
