"""The vocabulary that a model's files declare, read without its engine."""

import json
from dataclasses import dataclass
from typing import Any

from edgespec.gguf_header import GgufHeader
from edgespec.headers import Header
from edgespec.onnx_header import OnnxHeader, beside

_SPELLING = ("gpt2", "llama", "gemma4")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The text of every id as the files spell it; `kind` is what a GGUF calls the tokenizer."""

    kind: str
    tokens: tuple[bytes, ...]

    @property
    def spells(self) -> bool:
        """Whether any text can be written in it, byte by byte if need be."""
        return self.kind in _SPELLING


def vocabulary(header: Header) -> Vocabulary:
    """The vocabulary of the model of `header`; empty for a graph without a readable tokenizer."""
    if isinstance(header, GgufHeader):
        tokens = header.strings("tokenizer.ggml.tokens").raw()
        return Vocabulary(header.text("tokenizer.ggml.model"), tuple(tokens))
    return _of_graph(header)


def _of_graph(header: OnnxHeader) -> Vocabulary:
    try:
        file = beside(header.path, "tokenizer.json")
        described = json.loads(header.tokenizer or (file.read_bytes() if file else b"{}"))
        texts = {int(token): text for text, token in described["model"]["vocab"].items()}
        texts |= {int(one["id"]): one["content"] for one in described["added_tokens"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Vocabulary("", ())
    tokens = (texts.get(token, f"[PAD{token}]") for token in range(max(texts, default=-1) + 1))
    return Vocabulary(_kind(described), tuple(text.encode() for text in tokens))


def _kind(described: dict[str, Any]) -> str:
    if '"ByteLevel"' in json.dumps(described.get("decoder")):
        return "gpt2"
    return "llama" if described["model"].get("byte_fallback") else ""
