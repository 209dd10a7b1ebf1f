"""Drafters of another vocabulary: the target's text stays the same, and drafts are accepted."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from edgespec.bridging.choice import Bridge, bridge
from edgespec.bridging.intersection import IntersectionContext
from edgespec.bridging.retokenizing import RetokenizingContext
from edgespec.events import Finish, Request, Source
from edgespec.protocols import Model, ModelOptions
from edgespec.sampling.params import SamplingParams
from edgespec_backends.llamacpp import open_model as open_gguf
from edgespec_backends.onnx import open_model
from tests.backends.nano import HELD_OUT, TARGET, Comparison, Pair, Prompts, random_sampling
from tests.onnx_graphs import Export, Weights
from tests.onnx_models import Dialect, graph_of, write_folder

pytestmark = pytest.mark.native

KINDS: dict[str, type[IntersectionContext] | type[RetokenizingContext]] = {
    "common tokens": IntersectionContext,
    "text": RetokenizingContext,
}
STRANGER = HELD_OUT[0].parent / "stranger-q8_0.gguf"
TOKENS = 40


@pytest.fixture(scope="module")
def target() -> Iterator[Model]:
    model = open_gguf(TARGET, ModelOptions(threads=1))
    yield model
    model.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dialects")


@pytest.fixture(scope="module")
def drafter(folder: Path) -> Iterator[Model]:
    """Half of the target's tokens, under other ids."""
    model = open_dialect(folder, 4000)
    yield model
    model.close()


def open_dialect(folder: Path, kept: int) -> Model:
    graph = graph_of(write_folder(folder / str(kept), Dialect(kept), Export(bits=8)))
    return open_model(graph, ModelOptions(threads=1))


@pytest.fixture(scope="module")
def found(target: Model, drafter: Model) -> Bridge:
    needed = bridge(target.tokenizer, drafter.tokenizer)
    assert needed
    return needed


@pytest.fixture(scope="module")
def pairs(target: Model, drafter: Model, found: Bridge) -> Iterator[dict[str, Pair]]:
    pairs = {
        name: Pair(target, drafter, lanes=1, bridge=replace(found, kind=kind))
        for name, kind in KINDS.items()
    }
    ahead = replace(found, kind=IntersectionContext)
    pairs["ahead"] = Pair(target, drafter, lanes=1, bridge=ahead, overlap=True)
    pairs["plain"] = Pair(target, None)
    yield pairs
    for pair in pairs.values():
        pair.engine.close()


@pytest.fixture(scope="module")
def prompts(target: Model) -> Prompts:
    return Prompts(target)


def test_the_dialect_is_another_vocabulary_with_common_tokens(
    target: Model, drafter: Model, found: Bridge
) -> None:
    assert drafter.tokenizer.n_vocab < target.tokenizer.n_vocab - 128
    assert found.kind is IntersectionContext
    assert 0.85 < found.words.coverage < 0.95
    # All of its tokens are the target's, but for one control token of its own.
    assert len(found.words.drafter) >= drafter.tokenizer.n_vocab - 1
    for mine, theirs in zip(found.words.target[:500], found.words.drafter[:500], strict=True):
        assert target.tokenizer.piece(int(mine)) == drafter.tokenizer.piece(int(theirs))


def test_a_vocabulary_of_bytes_drafts_through_text(target: Model, folder: Path) -> None:
    model = open_dialect(folder, 0)
    needed = bridge(target.tokenizer, model.tokenizer)
    assert needed
    assert needed.kind is RetokenizingContext
    model.close()


@pytest.mark.slow
def test_45_random_answers_are_the_same_with_speculation(
    pairs: dict[str, Pair], prompts: Prompts, capsys: pytest.CaptureFixture[str]
) -> None:
    random, seen = Random(2028), Comparison()
    accepted = dict.fromkeys(pairs, 0)
    for number in range(45):
        request = Request(prompts.short(random), random_sampling(random), TOKENS)
        plain = pairs["plain"].answer(request, 0)
        name = list(pairs)[number % 3]
        length = random.randint(1, 10)
        tokens = pairs[name].answer(request, length)
        accepted[name] += sum(token.source is Source.DRAFTER for token in tokens)
        seen.add(f"case {number}, {name}, K = {length}", plain, tokens)
    with capsys.disabled():
        print(f"\n{seen}\naccepted: {accepted}")
    assert seen.unexcused == []
    assert all(accepted[name] > 30 for name in pairs if name != "plain")


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_more_than_1_4_tokens_a_round_on_held_out_code(
    pairs: dict[str, Pair], target: Model, name: str, temperature: float
) -> None:
    assert tokens_a_round(target, pairs[name], temperature, prompts=10) > 1.4


@pytest.mark.parametrize("name", KINDS)
def test_a_drafter_trained_with_a_vocabulary_of_its_own(
    target: Model, folder: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = graph_of(write_folder(folder / f"stranger-{name}", Weights(STRANGER), Export(bits=8)))
    model = open_model(graph, ModelOptions(threads=1))
    found = bridge(target.tokenizer, model.tokenizer)
    assert found
    pair = Pair(target, model, lanes=1, bridge=replace(found, kind=KINDS[name]))
    lengths = [tokens_a_round(target, pair, temperature, prompts=5) for temperature in (0.0, 0.8)]
    with capsys.disabled():
        print(f"\n{found.note}; {name}: {lengths[0]:.2f}, {lengths[1]:.2f} tokens a round")
    pair.engine.close()
    model.close()
    assert min(lengths) > 1.4


def tokens_a_round(target: Model, pair: Pair, temperature: float, prompts: int) -> float:
    """The mean accepted length with 3 drafts, over the first held-out `prompts` of code."""
    [code] = [file for file in HELD_OUT if "code" in file.name]
    tokens = rounds = 0
    for line in code.read_text(encoding="utf-8").splitlines()[:prompts]:
        text = json.loads(line)["prompt"]
        prompt = target.tokenizer.encode(text, add_special=True, parse_special=False)[:200]
        request = Request(tuple(prompt), SamplingParams(temperature, seed=1), 60)
        [finish] = [event for event in pair.begin(request, 3) if isinstance(event, Finish)]
        tokens += finish.stats.tokens - 1
        rounds += finish.stats.rounds
    return tokens / rounds


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_a_json_schema_holds(
    pairs: dict[str, Pair], target: Model, prompts: Prompts, name: str, temperature: float
) -> None:
    grammar = target.json_schema_grammar('{"enum": ["function", "class", "module"]}')
    sampling = SamplingParams(temperature, grammar=grammar, seed=3)
    request = Request(prompts.short(Random(1)), sampling, 30)
    seen = Comparison()
    seen.add(name, pairs["plain"].answer(request, 0), pairs[name].answer(request, 5))
    assert seen.unexcused == []


@pytest.mark.parametrize("name", KINDS)
def test_broken_characters_end_no_draft(pairs: dict[str, Pair], target: Model, name: str) -> None:
    encode = target.tokenizer.encode
    whole = encode("naïve 😀👩‍👩‍👧 é€ 字 ", add_special=True, parse_special=False)
    seen = Comparison()
    for end in range(1, len(whole)):
        request = Request(tuple(whole[:end]), SamplingParams(1.0, seed=end), 6)
        tokens = pairs[name].answer(request, 4)
        seen.add(f"{end} tokens", pairs["plain"].answer(request, 0), tokens)
    assert seen.unexcused == []
