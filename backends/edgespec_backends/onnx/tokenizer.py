"""Text to token ids and back, through tokenizer.json: the only importer of tokenizers."""

import json
import re
from pathlib import Path
from threading import Lock
from typing import Any

from tokenizers import Tokenizer

from edgespec.errors import ModelFileError

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class OnnxTokenizer:
    """The vocabulary of a tokenizer.json, padded to the `n_vocab` logits of its model.

    Raises ModelFileError if the file is no tokenizer or has more tokens than that.
    """

    def __init__(self, file: Path, n_vocab: int, bos: int | None, ends: frozenset[int]) -> None:
        try:
            text = file.read_text(encoding="utf-8")
            self._tokenizer = Tokenizer.from_str(text)
        except Exception as error:  # The library raises bare ones.
            raise ModelFileError(f"{file} is not a tokenizer: {error}") from error
        known = self._tokenizer.get_vocab_size()
        if known > n_vocab:
            raise ModelFileError(
                f"{file} has {known} tokens, but the model {n_vocab} logits",
                "they do not belong together: download both from the same place",
            )
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._byte_level = _mentions(json.loads(text).get("decoder"), "ByteLevel")
        self._added = self._tokenizer.get_added_tokens_decoder()
        self._lock = Lock()
        self._pieces: dict[int, bytes] = {}
        self._ends = ends
        self.n_vocab = n_vocab
        self.bos = bos
        self.eos = min(ends, default=None)

    def encode(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """Token ids of `text`; with `parse_special`, control tokens written out are recognised."""
        text = text.encode("utf-8", "replace").decode("utf-8")
        with self._lock:
            self._tokenizer.encode_special_tokens = not parse_special
            return self._tokenizer.encode(text, add_special_tokens=add_special).ids

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """The bytes of one token; empty for control tokens unless `special`."""
        if not 0 <= token < self.n_vocab:
            raise ValueError(f"token {token} is outside the vocabulary of {self.n_vocab}")
        if added := self._added.get(token):
            return b"" if added.special and not special else added.content.encode()
        if token not in self._pieces:
            text = self._tokenizer.id_to_token(token) or ""
            self._pieces[token] = _level_bytes(text) if self._byte_level else _spelt_bytes(text)
        return self._pieces[token]

    def is_eog(self, token: int) -> bool:
        """True if `token` ends an answer."""
        return token in self._ends

    def vocabulary(self) -> list[bytes]:
        """The text of every id as the file spells it; ids without one as llama.cpp's files do."""
        texts = (self._tokenizer.id_to_token(token) for token in range(self.n_vocab))
        return [
            (f"[PAD{token}]" if text is None else text).encode() for token, text in enumerate(texts)
        ]


def _mentions(node: Any, kind: str) -> bool:
    """Whether a part of this type occurs anywhere in a tokenizer's description."""
    if isinstance(node, dict):
        return node.get("type") == kind or any(_mentions(part, kind) for part in node.values())
    return isinstance(node, list) and any(_mentions(part, kind) for part in node)


def _level_bytes(text: str) -> bytes:
    """The bytes behind GPT-2's spelling, which gives each of the 256 a visible character."""
    try:
        return bytes(_LEVEL[character] for character in text)
    except KeyError:
        return text.encode()


def _spelt_bytes(text: str) -> bytes:
    """The bytes behind SentencePiece's spelling."""
    if byte := _BYTE.fullmatch(text):
        return bytes([int(byte[1], 16)])
    return text.replace("▁", " ").encode()


def _level_characters() -> dict[str, int]:
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in visible]
    table = {chr(byte): byte for byte in visible}
    return table | {chr(256 + number): byte for number, byte in enumerate(others)}


_LEVEL = _level_characters()
