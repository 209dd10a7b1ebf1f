"""Embeddings of tiny models, by batches of any shape."""

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
import pytest
from llama_cpp import Llama

from edgespec.embedder import Embedder, load_embedder, look_at
from edgespec.errors import BackendError, InvalidInput, ModelUnavailable, NotEnoughMemory
from tests.cli.process import edgespec
from tests.ggufs import bert_gguf, llama_gguf

pytestmark = pytest.mark.native

MEAN, FIRST, LAST = gguf.PoolingType.MEAN, gguf.PoolingType.CLS, gguf.PoolingType.LAST
CLOSE = 1e-3
"""llama-cpp-python computes attention in another order."""
TEXTS = ["one", "another text", "a third one, which is longer", "x"]


def decoder(path: Path, pooling: gguf.PoolingType) -> Path:
    return llama_gguf(path, context=2048, extra=lambda writer: writer.add_pooling_type(pooling))


@pytest.fixture(
    params=[(bert_gguf, MEAN), (bert_gguf, FIRST), (decoder, MEAN), (decoder, LAST)],
    ids=["encoder, mean", "encoder, first", "decoder, mean", "decoder, last"],
)
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    make, pooling = request.param
    made: Path = make(tmp_path / "model.gguf", pooling=pooling)
    return made


@pytest.fixture
def embedder(model: Path) -> Iterator[Embedder]:
    with load_embedder(str(model), threads=1) as loaded:
        yield loaded


def test_vectors_are_those_of_llama_cpp_itself(model: Path, embedder: Embedder) -> None:
    vectors = embedder.embed(TEXTS)
    assert vectors.shape == (len(TEXTS), embedder.dimensions)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    other = Llama(str(model), embedding=True, n_ctx=64, n_threads=1, verbose=False)
    try:
        expected = [other.embed(text, normalize=True) for text in TEXTS]
    finally:
        other.close()
    np.testing.assert_allclose(vectors, expected, atol=CLOSE)


def test_neighbours_do_not_matter(embedder: Embedder) -> None:
    together = embedder.embed(TEXTS * 20)
    alone = np.concatenate([embedder.embed([text]) for text in TEXTS])
    np.testing.assert_allclose(together, np.tile(alone, (20, 1)), atol=CLOSE)


def test_long_texts_are_embedded_and_longer_ones_refused(embedder: Embedder) -> None:
    text = "x" * embedder.n_ctx
    longest, short = embedder.embed([text, "x"])
    assert longest.shape == short.shape
    with pytest.raises(InvalidInput, match=f"has {embedder.n_ctx + 1} tokens"):
        embedder.embed(["fits", text + "x"])
    with pytest.raises(InvalidInput, match="a text is empty"):
        embedder.embed([""])
    with pytest.raises(InvalidInput, match="outside the vocabulary"):
        embedder.check([embedder.n_ctx, 320])
    assert embedder.embed([]).shape == (0, embedder.dimensions)


def test_a_closed_one_says_so(tmp_path: Path) -> None:
    embedder = load_embedder(str(bert_gguf(tmp_path / "model.gguf")), threads=1)
    embedder.close()
    embedder.close()
    for ask in (lambda: embedder.embed(["text"]), lambda: embedder.submit([[1]])):
        with pytest.raises(BackendError, match="the model is closed"):
            ask()


def test_a_long_text_is_its_last_token_whatever_the_pieces(tmp_path: Path) -> None:
    file = decoder(tmp_path / "last.gguf", LAST)
    text = "a text of many pieces " * 90
    with load_embedder(str(file), threads=1) as cut:
        assert cut.n_ctx > len(cut.tokens(text)) > 1024
        pieces = cut.embed([text, "x"])
    other = Llama(str(file), embedding=True, n_ctx=2048, n_batch=2048, n_ubatch=2048, verbose=False)
    try:
        whole = other.embed(text, normalize=True)
    finally:
        other.close()
    np.testing.assert_allclose(pieces[0], whole, atol=CLOSE)


def test_a_model_that_makes_none_says_so(tmp_path: Path) -> None:
    assert look_at("nano") == ("nano", None)
    with pytest.raises(ModelUnavailable, match="nano makes no embeddings"):
        load_embedder("nano")
    tokenwise = bert_gguf(tmp_path / "tokens.gguf", pooling=gguf.PoolingType.NONE)
    ranking = bert_gguf(tmp_path / "rank.gguf", pooling=gguf.PoolingType.RANK)
    for file in (tokenwise, ranking):
        with pytest.raises(ModelUnavailable, match="cannot continue"):
            look_at(str(file))


def test_a_model_that_does_not_fit_is_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgespec.memory.available", lambda: 1 << 20)
    with pytest.raises(NotEnoughMemory, match="texts of 64 tokens needs about"):
        load_embedder(str(bert_gguf(tmp_path / "model.gguf")))


def test_an_encoder_answers_nothing(tmp_path: Path) -> None:
    done = edgespec("run", "-m", str(bert_gguf(tmp_path / "bert.gguf")), "Hello")
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert "makes embeddings and cannot continue a text; edgespec serve serves it" in line


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel where threads may run")
def test_it_stays_on_its_processors(tmp_path: Path) -> None:
    cpu = max(os.sched_getaffinity(0))
    file = bert_gguf(tmp_path / "model.gguf")
    with load_embedder(str(file), cpus=str(cpu)) as loaded:
        loaded.embed(["a text"])
        threads = [one for one in threading.enumerate() if "edgespec-embedder" in one.name]
        assert {cpu} in [os.sched_getaffinity(one.native_id or 0) for one in threads]
