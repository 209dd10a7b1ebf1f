"""Models that other programs on this machine hold: they are used where they are, never changed.

Layouts: Ollama keeps blobs named by checksum and manifests that name the blob with the weights;
LM Studio keeps publisher/model/file; the Hub's own cache keeps snapshots of repositories; llama.cpp
keeps the files it downloaded side by side.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_WEIGHTS = "application/vnd.ollama.image.model"
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_LATER_PART = re.compile(r".+-(?!00001)\d{5}-of-\d{5}\.gguf")
_UNUSABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Foreign:
    """A model that `owner` holds in the file at `path`, the first part if it is split."""

    name: str
    owner: str
    path: Path

    @property
    def size(self) -> int:
        """Bytes of this file."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0


def models() -> list[Foreign]:
    """All that was found, in the order of the names."""
    found = [*_ollama(), *_lm_studio(), *_hub_cache(), *_llama_cpp()]
    return sorted({model.name: model for model in found}.values(), key=lambda model: model.name)


def find(name: str) -> Foreign | None:
    """The model called `name`."""
    prefix = name.partition(":")[0]
    if prefix not in ("ollama", "lmstudio", "hfcache", "llamacpp"):
        return None
    return next((model for model in models() if model.name == name), None)


def with_checksum(digest: str) -> Iterator[Path]:
    """Files that, by their name, have the SHA-256 `digest`."""
    yield from (folder / "blobs" / f"sha256-{digest}" for folder in _ollama_folders())
    with suppress(OSError):
        yield from _hub_cache_folder().glob(f"models--*/blobs/{digest}")


def _ollama() -> Iterator[Foreign]:
    for folder in _ollama_folders():
        manifests = folder / "manifests"
        for manifest in _files(manifests, "*/*/*/*"):
            host, owner, model, tag = manifest.relative_to(manifests).parts
            near = (host, owner) == ("registry.ollama.ai", "library")
            name = f"ollama:{model if near else '/'.join((host, owner, model))}:{tag}"
            digest = _weights(manifest)
            if digest and (blob := folder / "blobs" / f"sha256-{digest}").is_file():
                yield Foreign(name, "Ollama", blob)


def _weights(manifest: Path) -> str:
    """The checksum of the weights that an Ollama manifest names, empty if there are none."""
    try:
        layers = json.loads(manifest.read_text("utf-8"))["layers"]
        digest = next(layer["digest"] for layer in layers if layer["mediaType"] == _WEIGHTS)
        match = _DIGEST.fullmatch(digest)
    except (*_UNUSABLE, StopIteration):
        return ""
    return match[1] if match else ""


def _lm_studio() -> Iterator[Foreign]:
    for folder in (Path.home() / ".lmstudio/models", Path.home() / ".cache/lm-studio/models"):
        for file in _ggufs(folder, "*/*/*.gguf"):
            name = file.relative_to(folder).as_posix()
            yield Foreign(f"lmstudio:{name}", "LM Studio", file)


def _hub_cache() -> Iterator[Foreign]:
    snapshots = "models--*/snapshots/*/**"
    graphs = _files(_hub_cache_folder(), f"{snapshots}/*.onnx")
    for file in (*_ggufs(_hub_cache_folder(), f"{snapshots}/*.gguf"), *graphs):
        folder, _, _, *path = file.relative_to(_hub_cache_folder()).parts
        repository = folder.removeprefix("models--").replace("--", "/", 1)
        yield Foreign(f"hfcache:{repository}/{'/'.join(path)}", "the Hub's cache", file)


def _llama_cpp() -> Iterator[Foreign]:
    folder = Path(os.environ.get("LLAMA_CACHE") or _cache() / "llama.cpp")
    for file in _ggufs(folder, "*.gguf"):
        yield Foreign(f"llamacpp:{file.name}", "llama.cpp", file)


def _ollama_folders() -> list[Path]:
    places = (
        os.environ.get("OLLAMA_MODELS"),
        Path.home() / ".ollama/models",
        "/usr/share/ollama/.ollama/models",
    )
    return [Path(place) for place in places if place]


def _hub_cache_folder() -> Path:
    home = Path(os.environ.get("HF_HOME") or _cache() / "huggingface")
    return Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _ggufs(folder: Path, pattern: str) -> Iterator[Path]:
    """Models by their first file; vision projectors are none."""
    for file in _files(folder, pattern):
        if not _LATER_PART.fullmatch(file.name) and not file.name.lower().startswith("mmproj"):
            yield file


def _files(folder: Path, pattern: str) -> list[Path]:
    """The readable files below `folder`, none if it is not there or not ours to read."""
    found: list[Path] = []
    with suppress(OSError):
        found.extend(file for file in sorted(folder.glob(pattern)) if os.access(file, os.R_OK))
    return [file for file in found if file.is_file()]
