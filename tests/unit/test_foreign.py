import json
from pathlib import Path

import pytest

from edgespec import catalog, foreign
from edgespec.errors import ModelUnavailable
from tests.ggufs import llama_gguf


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home in which only this test has models."""
    for name in ("OLLAMA_MODELS", "HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME", "LLAMA_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    return tmp_path


@pytest.fixture
def ollama(home: Path) -> Path:
    folder = home / ".ollama/models"
    manifest = folder / "manifests/registry.ollama.ai/library/tiny/1b"
    manifest.parent.mkdir(parents=True)
    layers = [
        {"mediaType": "application/vnd.ollama.image.license", "digest": "sha256:" + "0" * 64},
        {"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:" + "a" * 64},
    ]
    manifest.write_text(json.dumps({"schemaVersion": 2, "layers": layers}))
    (folder / "blobs").mkdir()
    return Path(llama_gguf(folder / "blobs" / ("sha256-" + "a" * 64)))


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"GGUF")
    return path


def test_nothing_is_there() -> None:
    assert foreign.models() == []
    assert foreign.find("ollama:tiny:1b") is None


def test_ollama(ollama: Path) -> None:
    (model,) = foreign.models()
    assert (model.name, model.owner, model.path) == ("ollama:tiny:1b", "Ollama", ollama)
    assert model.size == ollama.stat().st_size
    assert catalog.resolve("ollama:tiny:1b").target == ollama
    assert next(foreign.with_checksum("a" * 64)) == ollama
    with pytest.raises(ModelUnavailable):
        catalog.resolve("ollama:tiny:7b")


@pytest.mark.parametrize(
    "text", ["", "{}", '{"layers": 1}', '{"layers": [{"mediaType": 1}]}', "[]", "\0"]
)
def test_a_manifest_of_ollama_s_that_makes_no_sense(ollama: Path, text: str) -> None:
    for manifest in (ollama.parents[1] / "manifests").rglob("1b"):
        manifest.write_text(text)
    assert foreign.models() == []


def test_a_manifest_does_not_lead_elsewhere(ollama: Path) -> None:
    for manifest in (ollama.parents[1] / "manifests").rglob("1b"):
        manifest.write_text(manifest.read_text().replace("a" * 64, "../../../etc/passwd"))
    assert foreign.models() == []


def test_lm_studio(home: Path) -> None:
    file = put(home / ".lmstudio/models/me/tiny-GGUF/tiny-Q4_0.gguf")
    put(file.with_name("mmproj-tiny-F16.gguf"))
    (model,) = foreign.models()
    assert (model.name, model.path) == ("lmstudio:me/tiny-GGUF/tiny-Q4_0.gguf", file)


def test_the_hub_s_cache(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(home / "hf"))
    cache = home / "hf/hub/models--me--tiny--x"
    blob = put(cache / "blobs" / ("b" * 64))
    names = ("tiny-00001-of-00002.gguf", "tiny-00002-of-00002.gguf")
    for name in names:
        link = cache / "snapshots/0123/Q8_0" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blob)
    (model,) = foreign.models()
    assert model.name == "hfcache:me/tiny--x/Q8_0/tiny-00001-of-00002.gguf"
    assert list(foreign.with_checksum("b" * 64))[-1] == blob
    blob.unlink()
    assert foreign.models() == []


def test_an_onnx_graph_in_the_hubs_cache(home: Path) -> None:
    snapshot = home / ".cache/huggingface/hub/models--me--tiny-ONNX/snapshots" / ("a" * 40)
    graph = put(snapshot / "onnx/model_q4.onnx")
    put(snapshot / "onnx/model_q4.onnx_data")
    (model,) = foreign.models()
    assert model.name == "hfcache:me/tiny-ONNX/onnx/model_q4.onnx"
    assert model.path == graph


def test_llama_cpp(home: Path) -> None:
    file = put(home / ".cache/llama.cpp/me_tiny.gguf")
    (model,) = foreign.models()
    assert (model.name, model.path) == ("llamacpp:me_tiny.gguf", file)
