"""Requests for embeddings: what is asked for, and its way through batches to the reply."""

import asyncio
import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgespec.batch.fields import Fields
from edgespec.batch.strict_json import Fault
from edgespec.embedder import Embedder, Vectors
from edgespec.errors import InvalidInput
from edgespec.server import limits
from edgespec.server.line import LineFull
from edgespec.server.shelf import Shelf

_IGNORED = ("user", "safety_identifier")
_FORMATS = ("float", "base64")
_INPUT = "input must be a text, a list of texts, a list of token ids or a list of such lists"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One request. Each of `inputs` is a text or its token ids, for one vector each."""

    model: str
    inputs: Sequence[str | list[int]]
    encoded: bool = False
    """As the bytes of numbers in base64, which is shorter and exact."""
    dimensions: int | None = None


def read_wanted(data: dict[str, Any]) -> Wanted:
    """The request that a body means. Raises Fault for whatever is wrong with it."""
    fields = Fields(data)
    fields.require("model")
    fields.require("input")
    inputs = _inputs(fields)
    form = fields.text("encoding_format") or "float"
    if form not in _FORMATS:
        raise Fault("encoding_format must be float or base64", fields.at("encoding_format"))
    dimensions = fields.integer("dimensions", 1, 2**31)
    model = fields.text("model") or ""
    fields.ignore(_IGNORED)
    fields.finish()
    return Wanted(model, inputs, form == "base64", dimensions)


def _inputs(fields: Fields) -> Sequence[str | list[int]]:
    value = fields.value("input", str, list)
    inputs = value if isinstance(value, list) and not _is_text(value) else [value]
    if not 0 < len(inputs) <= limits.MAX_INPUTS:
        many = f"input has {len(inputs)} texts; it must be 1 to {limits.MAX_INPUTS}"
        raise Fault(many, fields.at("input"))
    for index, one in enumerate(inputs):
        if not one or not _is_text(one):
            raise Fault(f"{_INPUT}, none of them empty", (*fields.at("input"), index))
    size = sum(map(len, inputs))
    if size > limits.MAX_PROMPT:
        raise Fault(f"input has {size} characters or tokens", fields.at("input"))
    return inputs


def _is_text(value: Any) -> bool:
    """Whether it is a text or its token ids."""
    return isinstance(value, str) or (
        isinstance(value, list) and bool(value) and all(type(token) is int for token in value)
    )


class Embeddings:
    """Answers requests with the models of `shelf`, up to `most` at a time, batch by batch in turn.

    So a request of many texts keeps no other one waiting for longer than a batch.
    """

    def __init__(self, shelf: Shelf[Embedder], most: int) -> None:
        self.shelf = shelf
        self._most = most
        self._active = 0

    async def reply(self, wanted: Wanted) -> dict[str, Any]:
        """The whole reply. Raises Fault, LineFull, UnknownModel and what loading raises."""
        if self._active >= self._most:
            raise LineFull(f"{self._active} requests wait already", "try again later")
        self._active += 1
        try:
            async with self.shelf.use(wanted.model) as embedder:
                inputs = await asyncio.to_thread(_tokens, embedder, wanted)
                vectors = [
                    vector
                    for batch in embedder.batches(inputs)
                    for vector in await asyncio.wrap_future(
                        embedder.submit([inputs[index] for index in batch])
                    )
                ]
        finally:
            self._active -= 1
        return _written(wanted, vectors, sum(map(len, inputs)))


def _tokens(embedder: Embedder, wanted: Wanted) -> list[list[int]]:
    if wanted.dimensions not in (None, embedder.dimensions):
        only = f"{embedder.name} makes vectors of {embedder.dimensions} dimensions, and no others"
        raise Fault(only, ("dimensions",))
    found = []
    for index, one in enumerate(wanted.inputs):
        tokens = embedder.tokens(one) if isinstance(one, str) else one
        try:
            embedder.check(tokens)
        except InvalidInput as error:
            raise Fault(str(error), ("input", index)) from None
        found.append(tokens)
    return found


def _written(wanted: Wanted, vectors: Sequence[Vectors], tokens: int) -> dict[str, Any]:
    written = (_encoded(vector) if wanted.encoded else vector.tolist() for vector in vectors)
    data = [
        {"object": "embedding", "index": index, "embedding": one}
        for index, one in enumerate(written)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": wanted.model, "usage": usage}


def _encoded(vector: Vectors) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")
