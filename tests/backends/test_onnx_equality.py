"""The target's text does not depend on an ONNX drafter, however its cache works."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from edgespec.bridging.choice import bridge
from edgespec.events import Finish, Request, Source, Token
from edgespec.protocols import Model, ModelOptions
from edgespec.sampling.params import SamplingParams
from edgespec_backends.llamacpp import open_model as open_gguf
from edgespec_backends.onnx import open_model
from tests.backends.nano import DRAFTER, TARGET, Comparison, Pair, Prompts, random_sampling
from tests.onnx_graphs import Export
from tests.onnx_models import Dialect, graph_of, write_folder

pytestmark = pytest.mark.native

TOKENS = 40
NAMES = ("grouped", "spelt-out", "grouped-8-bit", "spelt-out-half")


@pytest.fixture(scope="module")
def target() -> Iterator[Model]:
    model = open_gguf(TARGET, ModelOptions(threads=1))
    yield model
    model.close()


@pytest.fixture(scope="module")
def pairs(target: Model, onnx_graphs: dict[str, Path]) -> Iterator[dict[str, Pair]]:
    models = {name: open_model(onnx_graphs[name], ModelOptions(threads=1)) for name in NAMES}
    pairs = {name: Pair(target, model, lanes=1) for name, model in models.items()}
    pairs["ahead"] = Pair(target, models["grouped"], lanes=1, overlap=True)
    pairs["plain"] = Pair(target, None)
    yield pairs
    for pair in pairs.values():
        pair.engine.close()
    for model in models.values():
        model.close()


@pytest.fixture(scope="module")
def drafters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Model]]:
    """One of the ONNX target's vocabulary as a GGUF, and one of another as a graph."""
    folder = tmp_path_factory.mktemp("dialect") / "model"
    models: dict[str, Model] = {
        "gguf": open_gguf(DRAFTER, ModelOptions(threads=1)),
        "dialect": open_model(
            graph_of(write_folder(folder, Dialect(4000), Export())), ModelOptions(threads=1)
        ),
    }
    yield models
    for model in models.values():
        model.close()


@pytest.fixture(scope="module")
def prompts(target: Model) -> Prompts:
    return Prompts(target)


@pytest.mark.slow
def test_50_random_answers_are_the_same_with_speculation(
    pairs: dict[str, Pair], prompts: Prompts, capsys: pytest.CaptureFixture[str]
) -> None:
    random, seen = Random(2027), Comparison()
    accepted = dict.fromkeys(pairs, 0)
    for number in range(50):
        request = Request(prompts.short(random), random_sampling(random), TOKENS)
        plain = pairs["plain"].answer(request, 0)
        name = random.choice([*NAMES, "ahead"])
        length = random.randint(1, 16)
        tokens = pairs[name].answer(request, length)
        accepted[name] += sum(token.source is Source.DRAFTER for token in tokens)
        seen.add(f"case {number}, {name}, K = {length}", plain, tokens)
    with capsys.disabled():
        print(f"\n{seen}\naccepted: {accepted}")
    assert seen.unexcused == []
    assert all(accepted[name] > 50 for name in pairs if name != "plain")


def test_answers_stopped_and_continued_are_the_same(
    pairs: dict[str, Pair], prompts: Prompts
) -> None:
    random, seen, stops = Random(9), Comparison(), 0
    for number in range(15):
        request = Request(prompts.short(random), random_sampling(random), TOKENS)
        plain = pairs["plain"].answer(request, 0)
        done: list[Token] = []
        ended = False
        while not ended and len(done) < TOKENS:
            ids = (token.id for token in done)
            rest = Request((*request.prompt, *ids), request.sampling, TOKENS - len(done))
            events = pairs[random.choice([*NAMES, "ahead"])].begin(rest, random.randint(1, 16))
            for _ in range(random.randint(1, 20)):
                event = next(events)
                ended = isinstance(event, Finish)
                if isinstance(event, Token):
                    done.append(event)
                if ended:
                    break
            events.close()
            stops += 1
        seen.add(f"case {number}", plain, done)
    assert seen.unexcused == []
    assert stops > 20


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_a_json_schema_holds_with_a_drafter_that_knows_no_grammars(
    pairs: dict[str, Pair], target: Model, prompts: Prompts, temperature: float
) -> None:
    grammar = target.json_schema_grammar('{"enum": ["function", "class", "module"]}')
    sampling = SamplingParams(temperature, grammar=grammar, seed=3)
    request = Request(prompts.short(Random(1)), sampling, 30)
    seen = Comparison()
    for name in NAMES:
        seen.add(name, pairs["plain"].answer(request, 0), pairs[name].answer(request, 5))
    assert seen.unexcused == []


@pytest.mark.parametrize("name", ["grouped", "grouped-half", "spelt-out"])
def test_an_onnx_model_is_a_target_too(
    onnx_graphs: dict[str, Path], drafters: dict[str, Model], name: str
) -> None:
    """Its batches add in other orders than its single steps, so answers may part at ties."""
    model = open_model(onnx_graphs[name], ModelOptions(threads=1))
    found = bridge(model.tokenizer, drafters["dialect"].tokenizer)
    pairs = {
        "itself": Pair(model, model, lanes=1),
        "gguf": Pair(model, drafters["gguf"]),
        "bridged": Pair(model, drafters["dialect"], lanes=1, bridge=found),
        "suffixes": Pair(model, None),
    }
    plain = Pair(model, None)
    random, prompts, seen = Random(4), Prompts(model), Comparison()
    accepted = dict.fromkeys(pairs, 0)
    for number in range(4 * len(pairs)):
        request = Request(prompts.short(random), random_sampling(random), TOKENS)
        expected = plain.answer(request, 0)
        using = [*pairs][number % len(pairs)]
        tokens = pairs[using].answer(request, random.randint(1, 16))
        accepted[using] += sum(token.source is not Source.TARGET for token in tokens)
        seen.add(f"case {number}, {using}", expected, tokens)
    for pair in (plain, *pairs.values()):
        pair.engine.close()
    model.close()
    assert seen.unexcused == []
    assert all(accepted[name] > 10 for name in ("itself", "gguf", "bridged")), accepted
