"""What may be asked of /v1/embeddings, and how requests share an embedder."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgespec.batch.strict_json import Fault
from edgespec.embedder import Embedder, load_embedder
from edgespec.server.embedding import Embeddings, Wanted, read_wanted
from edgespec.server.line import LineFull
from edgespec.server.shelf import Shelf, UnknownModel
from tests.ggufs import bert_gguf


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bert_gguf(tmp_path_factory.mktemp("embedding") / "bert.gguf")


@pytest.fixture
def embedder(file: Path) -> Iterator[Embedder]:
    with load_embedder(str(file), threads=1) as loaded:
        yield loaded


@pytest.mark.parametrize(
    ("given", "inputs"),
    [
        ("text", ["text"]),
        (["one", "two"], ["one", "two"]),
        ([1, 2], [[1, 2]]),
        ([[1, 2], [3]], [[1, 2], [3]]),
        (["one", [1]], ["one", [1]]),
    ],
)
def test_inputs_are_texts_or_their_tokens(given: object, inputs: list[object]) -> None:
    assert list(read_wanted({"model": "m", "input": given}).inputs) == inputs


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, ()),
        ({"input": None}, ()),
        ({"input": 1}, ("input",)),
        ({"input": {}}, ("input",)),
        ({"input": []}, ("input",)),
        ({"input": ""}, ("input", 0)),
        ({"input": ["a", ""]}, ("input", 1)),
        ({"input": ["a", []]}, ("input", 1)),
        ({"input": [1, "a"]}, ("input", 0)),
        ({"input": [True]}, ("input", 0)),
        ({"input": [[1.5]]}, ("input", 0)),
        ({"input": ["a"] * 2049}, ("input",)),
        ({"input": "a" * (4 * 2**20 + 1)}, ("input",)),
        ({"input": "a", "encoding_format": "int8"}, ("encoding_format",)),
        ({"input": "a", "dimensions": 0}, ("dimensions",)),
        ({"input": "a", "truncate": True}, ("truncate",)),
    ],
)
def test_what_cannot_be_embedded_is_a_fault(body: dict[str, Any], path: tuple[object]) -> None:
    with pytest.raises(Fault) as caught:
        read_wanted({"model": "m", **body})
    assert caught.value.path == path


@pytest.mark.native
def test_batches_are_full_and_in_order(embedder: Embedder) -> None:
    inputs = [[0] * length for length in (30, 30, 5, 64, 1, 1)] + [[0]] * 40
    found = [(batch.start, batch.stop) for batch in embedder.batches(inputs)]
    assert found == [(0, 2), (2, 3), (3, 4), (4, 36), (36, 46)]
    assert list(embedder.batches([])) == []


@pytest.mark.native
def test_requests_take_turns_batch_by_batch_and_may_be_given_up(embedder: Embedder) -> None:
    async def ask() -> list[str]:
        embeddings = Embeddings(Shelf({"bert": lambda: embedder}, embedder), 2)
        done: list[str] = []

        async def one(name: str, count: int) -> None:
            await embeddings.reply(Wanted("bert", [[1] * 64] * count))
            done.append(name)

        long = asyncio.create_task(one("long", 100))
        await asyncio.sleep(0)
        given_up = asyncio.create_task(one("given up", 1000))
        await asyncio.sleep(0)
        with pytest.raises(LineFull):
            await one("too many", 1)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        await one("short", 1)
        await long
        with pytest.raises(UnknownModel):
            await embeddings.reply(Wanted("other", ["text"]))
        return done

    assert asyncio.run(ask()) == ["short", "long"]
