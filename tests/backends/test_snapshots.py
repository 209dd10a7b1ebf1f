"""Snapshots of real caches: what they bring back, and what they must not be taken for."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgespec import catalog
from edgespec.engine import Engine
from edgespec.events import Finish, Request, Token
from edgespec.loading import LoadOptions, load
from edgespec.protocols import ContextOptions, Model, Saving
from edgespec.sampling.params import SamplingParams
from edgespec.snapshots import Snapshot, SnapshotStore

pytestmark = pytest.mark.native
OPTIONS = LoadOptions(n_ctx=1024, threads=1)
PROMPT = tuple(range(100, 500))
LIMIT = 1 << 30


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def engines(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Engine]]:
    """Two processes' engines of the nano pair, on measurements made once."""
    monkeypatch.setenv("EDGESPEC_HOME", str(home))
    pair = catalog.resolve(None)
    opened = [load(pair, OPTIONS), load(pair, OPTIONS)]
    yield opened
    for engine in opened:
        engine.close()


def answer(engine: Engine, prompt: tuple[int, ...]) -> tuple[list[int], int]:
    """An answer's tokens, and how many of the prompt's needed no decoding."""
    request = Request(prompt, SamplingParams(temperature=0.0), max_tokens=24)
    events = list(engine.generate(request))
    tokens = [event.id for event in events if isinstance(event, Token)]
    [finish] = [event for event in events if isinstance(event, Finish)]
    return tokens, finish.stats.cached_tokens


def test_another_engine_goes_on_where_a_snapshot_was_taken(
    engines: list[Engine], tmp_path: Path
) -> None:
    first, second = engines
    assert first.fingerprint == second.fingerprint != ""
    assert first.snapshot(LIMIT) is None
    said, _ = answer(first, PROMPT)
    store = SnapshotStore(tmp_path, LIMIT)
    snapshot = first.snapshot(LIMIT)
    assert snapshot
    assert snapshot.drafter
    assert first.snapshot(len(snapshot.target) - 1) is None
    store.save("talk", first.fingerprint, snapshot)
    kept = store.load("talk", second.fingerprint)
    assert kept == snapshot
    assert second.adopt(kept)
    further = (*PROMPT, *said, *range(50))
    assert second.shared(further) == len(snapshot.tokens) >= len(PROMPT) + len(said) - 1
    expected, cached = answer(first, further)
    assert (expected, cached) == answer(second, further)
    assert cached == len(snapshot.tokens)


def test_a_state_that_is_refused_leaves_nothing_behind(engines: list[Engine]) -> None:
    engine, other = engines
    answer(engine, PROMPT)
    snapshot = engine.snapshot(LIMIT)
    assert snapshot
    expected, _ = answer(other, PROMPT)
    for damaged in (
        Snapshot(snapshot.tokens, snapshot.target[:-100]),
        Snapshot(snapshot.tokens, b""),
        Snapshot(snapshot.tokens[:-1], snapshot.target),
        Snapshot((*snapshot.tokens, 1), snapshot.target),
        Snapshot((1,) * 2000, snapshot.target),
    ):
        assert not engine.adopt(damaged)
        assert engine.shared(PROMPT) == 0
        assert answer(engine, PROMPT) == (expected, 0)


def test_every_kind_of_model_can_be_saved(model: Model) -> None:
    options = ContextOptions(n_ctx=256, max_outputs=1)
    source, target = model.context(options), model.context(options)
    assert isinstance(source, Saving)
    assert isinstance(target, Saving)
    tokens = [5, 6, 7, 8, 9, 10]
    source.decode(tokens, 0, outputs=1)
    target.decode([3, 4], 0, outputs=1)
    state = source.save()
    assert len(state) <= source.state_size()
    target.clear()
    assert target.load(state, len(tokens))
    for context in (source, target):
        context.decode([11], len(tokens), outputs=1)
    assert (source.logits(0) == target.logits(0)).all()
    source.close()
    target.close()
