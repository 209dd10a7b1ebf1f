"""Everything that can be run here, or be pulled, under one list of names."""

from dataclasses import asdict, dataclass
from typing import Any

from edgespec import catalog, foreign, memory
from edgespec.catalog import Entry
from edgespec.foreign import Foreign
from edgespec.gguf_header import read_header
from edgespec.hub.names import PREFIX
from edgespec.library import Installed, Library
from edgespec.onnx_header import OnnxHeader, read_onnx_header
from edgespec.pooling import embeds

_BATCH = 512
_OUTPUTS = 17
_CONTEXT = 8192


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the list: `context` in tokens.

    `size` is in bytes, of what is here if it is `present`. What is not known is 0 or empty.
    """

    name: str
    description: str
    licence: str
    context: int
    target: str
    drafter: str
    size: int
    present: bool

    def record(self) -> dict[str, Any]:
        """As JSON has it: null for what is not known."""
        return {key: None if value == "" else value for key, value in asdict(self).items()}


def items() -> list[Item]:
    """The catalogue's pairs, what was pulled, what other programs hold; what is here first."""
    found = [
        *map(_of_catalogue, catalog.entries()),
        *map(_of_library, Library().installed()),
        *map(_of_others, foreign.models()),
    ]
    return sorted(found, key=lambda item: not item.present)


def is_to_be_pulled(name: str) -> bool:
    """Whether a model has a name but is not here, or not all of it."""
    known = next((item for item in items() if item.name == name), None)
    if known:
        return not known.present
    return name.startswith(PREFIX) and Library().best(name) is None


def details(name: str) -> dict[str, object]:
    """What is known of the model `name`, by headings. Raises ModelUnavailable."""
    from edgespec.matchmaking import best_pair  # Not at the top: a list needs no ranking.

    pair = catalog.resolve(name, speculate=False)
    if pair.target.suffix == ".onnx":
        return _of_graph(pair.name, read_onnx_header(pair.target))
    header = read_header(pair.target, generates=False)
    if not embeds(header):
        pair = best_pair(name)
    context = min(header.context_length, _CONTEXT)
    needs = memory.estimate(header, context, _BATCH, _OUTPUTS, rollback=_OUTPUTS).total
    facts: dict[str, object] = {
        "name": pair.name,
        "files": [str(file) for file in header.shards],
        "drafter": str(pair.drafter) if pair.drafter else "-",
        "size": header.size,
        "architecture": header.architecture,
        "parameters": header.parameters,
        "context": header.context_length,
        "vocabulary": len(header.strings("tokenizer.ggml.tokens")),
        "embeddings": "yes" if embeds(header) else "no",
        "chat template": "yes" if header.text("tokenizer.chat_template") else "no",
        "memory": f"about {needs / 2**30:.2f} GiB with a context of {context} tokens",
    }
    if pulled := Library().find(name):
        facts |= {"repository": pulled.repository, "commit": pulled.commit}
        facts |= {"licence": pulled.licence or "-"}
    return facts


def _of_graph(name: str, header: OnnxHeader) -> dict[str, object]:
    context = min(header.context_length, _CONTEXT)
    attention = "grouped, may append in place" if header.grouped else "spelt out, the cache grows"
    return {
        "name": name,
        "files": [str(header.path)],
        "weights": header.weights,
        "context": header.context_length,
        "attention": attention,
        "memory": f"about {header.memory(context) / 2**30:.2f} GiB with a context of "
        f"{context} tokens",
    }


def _of_catalogue(entry: Entry) -> Item:
    return Item(
        entry.name,
        entry.description,
        entry.licence,
        entry.context,
        str(entry.target),
        str(entry.drafter or ""),
        entry.size if entry.present else int(entry.record.size * 1e9),
        entry.present,
    )


def _of_library(model: Installed) -> Item:
    about = f"from the Hub, commit {model.commit[:12]}"
    if not model.complete:
        about = f"INCOMPLETE: edgespec pull {model.name} goes on"
    size = sum(file.size for file in model.files if file.present)
    return Item(model.name, about, model.licence, 0, str(model.path), "", size, model.complete)


def _of_others(model: Foreign) -> Item:
    return Item(model.name, f"kept by {model.owner}", "", 0, str(model.path), "", model.size, True)
