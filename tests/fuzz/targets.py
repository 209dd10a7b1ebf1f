"""The parsers, each as a function of any bytes that may do nothing but refuse them."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import mkdtemp
from types import SimpleNamespace
from typing import Any

from huggingface_hub.hf_api import ModelInfo

from edgespec import balance, catalog_file, config, machines, template
from edgespec.batch.formats import FORMATS, FormatName, detect
from edgespec.batch.journal import Journal
from edgespec.batch.rows import Settings
from edgespec.batch.source import open_source
from edgespec.batch.strict_json import Fault
from edgespec.errors import EdgespecError, InvalidInput, ModelFileError
from edgespec.gguf_checks import check_generates
from edgespec.gguf_header import read_parts
from edgespec.hub import exports, names, quants
from edgespec.hub.client import Hub
from edgespec.library import Library
from edgespec.measurements import MeasurementStore
from edgespec.onnx_header import read_onnx_header
from edgespec.protocols import Model, ModelOptions, backend
from edgespec.snapshots import SnapshotStore
from edgespec.store.exchange import from_json
from edgespec.store.store import Store
from tests.fuzz import serving

_HUGE = 1 << 40
"""Bytes that a GGUF claims to have, so that its header alone decides."""
_PATIENCE = 0.5
_NANO = Path(config.__file__).parent / "nano" / "target-q8_0.gguf"
_MESSAGES = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]


@dataclass(frozen=True, slots=True)
class Target:
    """A parser. `words` are what its inputs consist of; a `native` one can end the process."""

    parse: Callable[[bytes], object]
    words: tuple[bytes, ...]
    native: bool = False


@cache
def _folder() -> Path:
    """One for all inputs, in memory where there is such a place."""
    memory = Path("/dev/shm")
    return Path(mkdtemp(prefix="edgespec-fuzz-", dir=memory if memory.is_dir() else None))


def _file(data: bytes, name: str = "input") -> Path:
    path = _folder() / name
    path.write_bytes(data)
    return path


def _config(data: bytes) -> None:
    with suppress(InvalidInput):
        config.load(_file(data))


def _catalogue(data: bytes) -> None:
    path = _file(data)
    for outside in (False, True):
        with suppress(InvalidInput):
            catalog_file.read(path, _folder(), outside=outside)


def _machine(data: bytes) -> None:
    with suppress(InvalidInput):
        machines.load(_file(data))


def _rows(data: bytes) -> None:
    with open_file(data) as name, suppress(InvalidInput):
        source = open_source(name)
        with suppress(InvalidInput):
            detect(source)
        for row in range(min(len(source), 8)):
            for form in FORMATS.values():
                with suppress(Fault):
                    form.read(source.read(row), Settings())
        source.close()


def _openai(data: bytes) -> None:
    with suppress(Fault):
        FORMATS[FormatName.OPENAI].read(data, Settings())


@contextmanager
def open_file(data: bytes) -> Iterator[str]:
    yield str(_file(data))


def _gguf(data: bytes) -> None:
    with suppress(ModelFileError):
        check_generates(read_parts([(Path("model.gguf"), BytesIO(data), _HUGE)]))


def _onnx(data: bytes) -> None:
    with suppress(ModelFileError):
        read_onnx_header(_file(data, "model.onnx"))


def _conversation(data: bytes) -> None:
    with Store(Path(":memory:")) as store, suppress(InvalidInput):
        id_ = from_json(store, data.decode("utf-8", "surrogateescape"))
        tree = store.load(id_)
        assert tree.path() or not list(tree)


def _snapshot(data: bytes) -> None:
    store = SnapshotStore(_folder() / "snapshots", 1 << 20)
    name = store._file("talk")
    name.parent.mkdir(exist_ok=True)
    name.write_bytes(data)
    store.load("talk", "models")


def _journal(data: bytes) -> None:
    with suppress(EdgespecError):
        journal = Journal(_file(data, "rows.journal"))
        try:
            journal.scan(8)
            assert all(record.row >= 0 for record in journal.records())
        finally:
            journal.close()


def _kept(data: bytes) -> None:
    """What edgespec keeps for itself: measurements, processors, manifests of models."""
    MeasurementStore(_file(data, "key.json").parent).load("key")
    balance.load(_file(data))
    Library(_folder())._read(_file(data))


def _hub(data: bytes) -> None:
    """What the Hub says of a repository."""
    hub = Hub("http://127.0.0.1:9")
    answer: Any = SimpleNamespace(model_info=lambda *_, **__: _info(data))
    hub._api = answer
    with suppress(EdgespecError):
        repository = hub.repository("me/model")
        found = quants.models(repository)
        for model in found:
            assert quants.named(found, model.choice, "me/model").files
            assert all(names.is_file(file.path) for file in model.files)
        exports.exports(repository)


def _info(data: bytes) -> ModelInfo:
    known: Mapping[str, Any] = json.loads(data)
    return ModelInfo(**known)  # type: ignore[no-untyped-call]


def _name(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    assert names.shown(text).isprintable()
    with suppress(InvalidInput):
        wish = names.parse(text)
        assert ".." not in wish.repository


def _template(data: bytes) -> None:
    template.MAX_SECONDS = _PATIENCE
    with suppress(ModelFileError):
        template.ChatTemplate(data.decode("utf-8", "replace")).render(_MESSAGES)


@cache
def _model() -> Model:
    return backend("llamacpp")(_NANO, ModelOptions(threads=1))


def _grammar(data: bytes) -> None:
    with suppress(InvalidInput):
        _model().grammar(data.decode("utf-8", "replace"))


def _schema(data: bytes) -> None:
    model = _model()
    with suppress(InvalidInput):
        model.grammar(model.json_schema_grammar(data.decode("utf-8", "replace")))


_TOML = (b"[", b"]", b"=", b'"', b"\n", b"'", b"true", b"1e9", b"-1", b"#", b"{", b"}", b"\\u")
_JINJA = (b"{{", b"}}", b"{%", b"%}", b"messages", b"for", b"in", b"|", b"if", b"set", b"+", b"~")
_GBNF = (b"root ::= ", b'"', b"[", b"]", b"(", b")", b"{1,9}", b"|", b"\\x", b"*", b"^", b"\n")
_JSON = (b"{", b"}", b"[", b"]", b":", b",", b'"', b"null", b"1e999", b"-0", b"\\ud800", b"true")
_BINARY = (b"\0" * 8, b"\xff" * 8, b"\x01", b"\x80", b"\x7f" + b"\xff" * 7)

TARGETS: Mapping[str, Target] = {
    "config": Target(_config, (*_TOML, b"[answer]", b"[presets.x]", b"temperature", b"[keys]")),
    "catalogue": Target(_catalogue, (*_TOML, b"[pairs.x]", b"target", b"drafter", b"hf:a/b")),
    "machine": Target(_machine, (*_TOML, b"memory", b"GiB", b"[[devices]]", b"cores", b"GB/s")),
    "rows": Target(_rows, (*_JSON, b"\n", b'"prompt"', b'"messages"', b'"n"', b'"stop"', b'"id"')),
    "openai": Target(_openai, (*_JSON, b'"body"', b'"custom_id"', b'"method"', b'"url"')),
    "body": Target(serving.body, (*_JSON, b'"model"', b'"input"', b'"tools"', b'"logprobs"')),
    "headers": Target(serving.headers, (b"host: ", b"origin: ", b"\n", b"http://", b"[::1]", b":")),
    "calls": Target(
        serving.calls, (*_JSON, b"<tool_call>", b"</tool_call>", b'"name"', b"<", b"\n")
    ),
    "gguf": Target(_gguf, (*_BINARY, b"GGUF\3\0\0\0", b"general.architecture", b"llama")),
    "onnx": Target(_onnx, (*_BINARY, b"\x3a", b"\x0a", b"past_key_values.", b"location")),
    "conversation": Target(_conversation, (*_JSON, b'"parent"', b'"role"', b'"leaf"', b'"facts"')),
    "snapshot": Target(_snapshot, (*_JSON, *_BINARY, b'"sizes"', b'"digest"', b'"fingerprint"')),
    "journal": Target(_journal, (*_JSON, b"00000000 ", b"\n", b" 0 ", b'"format"', b"ffffffff ")),
    "kept": Target(_kept, (*_JSON, b'"costs"', b'"verify"', b'"single"', b'"files"', b'"format"')),
    "hub": Target(_hub, (*_JSON, b'"siblings"', b'"lfs"', b'"sha256"', b'"rfilename"', b"-00001")),
    "name": Target(_name, (b"hf:", b"/", b":", b"@", b"..", b"\x1b[", b"a", b"\xff", b"Q4_0")),
    "template": Target(_template, _JINJA),
    "grammar": Target(_grammar, _GBNF, native=True),
    "schema": Target(_schema, (*_JSON, b'"type"', b'"$ref"', b'"pattern"', b'"enum"'), native=True),
}

CORPORA = Path(__file__).parents[1] / "data" / "fuzz"


def corpus(name: str) -> list[bytes]:
    """The inputs that are kept for a target: good ones to start from, and those that crashed."""
    return [file.read_bytes() for file in sorted((CORPORA / name).iterdir()) if file.is_file()]
