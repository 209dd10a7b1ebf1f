"""Text to token ids and back, through libllama's vocabulary."""

import ctypes
from typing import Any

from edgespec.errors import BackendError
from edgespec_backends.llamacpp.lib import llama

_MAX_TEXT = 2**31 - 2


class LlamaTokenizer:
    """The vocabulary of one model. Thread-safe: libllama's vocabulary is immutable."""

    def __init__(self, model: Any) -> None:
        self._vocab = llama.llama_model_get_vocab(model)
        self.n_vocab: int = llama.llama_vocab_n_tokens(self._vocab)
        self.bos = _present(llama.llama_vocab_bos(self._vocab))
        self.eos = _present(llama.llama_vocab_eos(self._vocab))
        self._pieces: dict[tuple[int, bool], bytes] = {}

    def encode(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """Token ids of `text`; with `parse_special`, control tokens written out are recognised."""
        data = text.encode("utf-8", "replace")
        if len(data) > _MAX_TEXT:
            raise BackendError(f"a text of {len(data)} bytes is too long to tokenize")
        room = len(data) + 8
        for _ in range(2):
            ids = (llama.llama_token * room)()
            count = llama.llama_tokenize(
                self._vocab, data, len(data), ids, room, add_special, parse_special
            )
            if count >= 0:
                return list(ids[:count])
            room = -count
        raise BackendError("the tokenizer gave no stable length for this text")

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """The bytes of one token; empty for control tokens unless `special`."""
        key = (token, special)
        if key not in self._pieces:
            self._pieces[key] = self._render(token, special)
        return self._pieces[key]

    def is_eog(self, token: int) -> bool:
        """True if `token` ends an answer."""
        return bool(llama.llama_vocab_is_eog(self._vocab, token))

    def vocabulary(self) -> list[bytes]:
        """The text of every id as the model file spells it."""
        text = llama.llama_vocab_get_text
        return [text(self._vocab, token) or b"" for token in range(self.n_vocab)]

    def _render(self, token: int, special: bool) -> bytes:
        if not 0 <= token < self.n_vocab:
            raise ValueError(f"token {token} is outside the vocabulary of {self.n_vocab}")
        room = 64
        for _ in range(2):
            buffer = ctypes.create_string_buffer(room)
            size = llama.llama_token_to_piece(self._vocab, token, buffer, room, 0, special)
            if size >= 0:
                return buffer.raw[:size]
            room = -size
        raise BackendError(f"token {token} gave no stable length")


def _present(token: int) -> int | None:
    return token if token >= 0 else None
