"""The ONNX exports in a repository: graphs, and what each needs beside it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path, PurePosixPath
from threading import Event
from typing import Any

from edgespec.errors import ModelFileError, ModelUnavailable
from edgespec.hub.client import Hub, PlainFile, RemoteFile, Repository
from edgespec.hub.names import base, is_file, shown
from edgespec.hub.quants import RemoteModel
from edgespec.onnx_header import OnnxHeader, header_of_config

_TOKENIZER = "tokenizer.json"
_LARGEST = 64 << 20
"""Bytes of a tokenizer; that of a vocabulary of 260,000 takes half of it."""
_NEEDED = ("config.json", _TOKENIZER)
_SIDE = (*_NEEDED, "generation_config.json", "tokenizer_config.json", "chat_template.jinja")
_FOLDERS = ("", "onnx")
_USUAL = ("q4", "int8", "quantized", "uint8", "q4f16", "fp16", "model")
"""Choices in the order of what a CPU runs fastest; on a GPU, q4f16 and fp16 are worth naming."""

_Anything = RemoteFile | PlainFile


@dataclass(frozen=True, slots=True)
class Export:
    """One graph with its weights (`heavy`, the graph first), and the small files it needs."""

    choice: str
    heavy: tuple[RemoteFile, ...]
    side: tuple[_Anything, ...]

    @property
    def size(self) -> int:
        """Bytes of the graph and its weights."""
        return sum(file.size for file in self.heavy)


def exports(repository: Repository) -> list[Export]:
    """The graphs that lie where the Hub's exports have them, the usual choice first.

    Empty where the configuration or the tokenizer is missing.
    """
    files: list[_Anything] = [*repository.files, *repository.plain]
    side = {file.path: file for file in files if file.path in _SIDE}
    if not all(name in side for name in _NEEDED):
        return []
    graphs = [
        file for file in repository.files
        if file.path.endswith(".onnx") and _folder(file) in _FOLDERS and is_file(file.path)
    ]  # fmt: skip
    found = [
        Export(_choice(graph.path), (graph, *_weights(graph, repository)), tuple(side.values()))
        for graph in graphs
    ]
    return sorted(found, key=_rank)


def named(found: Sequence[Export], choice: str, repository: str) -> Export:
    """The export that `choice`, such as "q4" or a file's name, means. Raises ModelUnavailable."""
    for export in found:
        path = export.heavy[0].path
        if choice.lower() == export.choice.lower() or choice in (path, base(path)):
            return export
    names = ", ".join(shown(export.choice) for export in found)
    raise ModelUnavailable(f"{repository} has no {shown(choice)}", f"it has {names}")


def resolved(
    hub: Hub, repository: Repository, export: Export, stop: Event
) -> tuple[RemoteModel, OnnxHeader]:
    """The export as a model whose every file has a SHA-256, and what its configuration says.

    The Hub tells that checksum of large files only, so small ones are read, compared with the
    checksum that it does tell, and hashed. Raises what Hub raises, ModelFileError for a
    configuration that is none.
    """
    config: Mapping[str, Any] = {}
    side = []
    for file in export.side:
        if isinstance(file, RemoteFile) and file.path != "config.json":
            side.append(file)
            continue
        data = hub.content(repository, file, stop)
        side.append(RemoteFile(file.path, len(data), sha256(data).hexdigest()))
        if file.path == "config.json":
            config = _object(data, repository.name)
    model = RemoteModel(repository.name, repository.commit, export.choice, (*export.heavy, *side))
    path = Path(PurePosixPath(repository.name, export.heavy[0].path))
    return model, header_of_config(path, export.size, config)


def with_tokenizer(hub: Hub, model: RemoteModel, header: OnnxHeader, stop: Event) -> OnnxHeader:
    """`header` with the text of the tokenizer, by which vocabularies are compared.

    Raises what Hub raises, ModelFileError for one that is too large to be any.
    """
    (file,) = [file for file in model.files if file.path == _TOKENIZER]
    if file.size > _LARGEST:
        raise ModelFileError(f"{file.path} of {model.repository} has {file.size} bytes")
    place = Repository(model.repository, model.commit, (), "")
    return replace(header, tokenizer=hub.content(place, file, stop))


def _object(data: bytes, repository: str) -> Mapping[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ModelFileError(f"config.json of {repository} is not a configuration")
    return value


def _folder(file: _Anything) -> str:
    return file.path.rpartition("/")[0]


def _weights(graph: RemoteFile, repository: Repository) -> list[RemoteFile]:
    """The files beside a graph that hold its weights, by the names that exporters give them."""
    beginnings = (f"{graph.path}_data", f"{graph.path}.data")
    return [file for file in repository.files if file.path.startswith(beginnings)]


def _choice(path: str) -> str:
    """`onnx/model_q4f16.onnx` is "q4f16", `model.onnx` is "model"."""
    stem = base(path).removesuffix(".onnx")
    return stem.removeprefix("model_") or stem


def _rank(export: Export) -> tuple[int, int, str]:
    usual = export.choice.lower()
    place = _USUAL.index(usual) if usual in _USUAL else len(_USUAL)
    return place, export.size, export.choice
