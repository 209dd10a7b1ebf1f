"""The ONNX backend by itself: rollbacks, types, text and tokens, aborting, refusals, silence."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from threading import Thread
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from onnx import TensorProto

from edgespec.errors import Aborted, BackendError, InvalidInput, ModelFileError
from edgespec.pairing import require_same_vocabulary
from edgespec.protocols import Context, ContextOptions, Logits, Model, ModelOptions, Row
from edgespec.sampling.params import SamplingParams
from edgespec.sampling.sampler import Sampler
from edgespec.sources.drafter import ModelDrafter
from edgespec_backends.llamacpp import open_model as open_gguf
from edgespec_backends.onnx import open_model
from tests.backends.nano import DRAFTER, Prompts
from tests.onnx_models import EXPORTS

pytestmark = pytest.mark.native

ONE_THREAD = ModelOptions(threads=1)
BOTH = ("grouped", "spelt-out")
OPTIONS = ContextOptions(n_ctx=256, n_batch=64, max_outputs=8)
# Batches of different sizes add in different orders; the logits have a spread of about 25.
ROUNDING = 1e-3
# llama.cpp multiplies Q8_0 weights with activations rounded to 8 bits, the exports do not.
TIE = 0.5


@pytest.fixture(scope="module")
def gguf() -> Iterator[Model]:
    model = open_gguf(DRAFTER, ONE_THREAD)
    yield model
    model.close()


@pytest.fixture(scope="module")
def models(onnx_graphs: dict[str, Path]) -> Iterator[dict[str, Model]]:
    opened: dict[str, Model] = {
        name: open_model(graph, ONE_THREAD) for name, graph in onnx_graphs.items()
    }
    yield opened
    for model in opened.values():
        model.close()


@pytest.fixture(params=BOTH)
def model(request: pytest.FixtureRequest, models: dict[str, Model]) -> Model:
    return models[request.param]


@pytest.fixture
def context(model: Model) -> Iterator[Context]:
    made = model.context(OPTIONS)
    yield made
    made.close()


@pytest.fixture
def folder(onnx_graphs: dict[str, Path], tmp_path: Path) -> Path:
    """A copy to damage, whose weights lie beside the graph."""
    return shutil.copytree(onnx_graphs["grouped"].parents[1], tmp_path / "copy")


def fresh(context: Context, tokens: Sequence[int]) -> Logits:
    """Logits after `tokens`, from an empty cache."""
    context.clear()
    context.decode(tokens, 0, outputs=1)
    return context.logits(0).copy()


# The cache.


@pytest.mark.parametrize(
    ("name", "cache"),
    [(name, "one buffer" if export.grouped else "growing") for name, export in EXPORTS.items()],
)
def test_the_cache_is_what_the_graph_allows(
    models: dict[str, Model], name: str, cache: str
) -> None:
    assert cache in models[name].description
    assert "CPUExecutionProvider" in models[name].description


def test_1000_random_appends_and_rollbacks_leave_what_a_fresh_decode_gives(model: Model) -> None:
    random = Random(8)
    used, alone = model.context(OPTIONS), model.context(OPTIONS)
    for _ in range(1000):
        tokens: list[int] = []
        used.clear()
        for _ in range(random.randint(1, 5)):
            new = random.choices(range(model.tokenizer.n_vocab), k=random.choice([1, 1, 2, 7]))
            used.decode(new, len(tokens), outputs=random.randint(0, 1))
            tokens += new
            if random.random() < 0.6:
                del tokens[random.randint(0, len(tokens)) :]
                assert used.truncate(len(tokens))
            assert used.length() == len(tokens)
        used.decode([5], len(tokens), outputs=1)
        expected = fresh(alone, [*tokens, 5])
        np.testing.assert_allclose(used.logits(0), expected, atol=ROUNDING)
    used.close()
    alone.close()


@pytest.mark.parametrize("name", sorted(EXPORTS))
def test_every_row_of_a_batch_is_that_of_a_single_decode(
    models: dict[str, Model], name: str
) -> None:
    context = models[name].context(OPTIONS)
    tokens, rows = [0, 300, 400, 500, 600], []
    for position, token in enumerate(tokens):
        context.decode([token], position, outputs=1)
        rows.append(context.logits(0).copy())
    context.clear()
    context.decode(tokens, 0, outputs=4)
    coarse = ROUNDING if name in BOTH else 0.2  # Activations are rounded, too.
    for row, expected in enumerate(rows[1:]):
        np.testing.assert_allclose(context.logits(row), expected, atol=coarse)
    context.clear()
    asked = [Row(token, n, 0, output=n in (1, 3)) for n, token in enumerate(tokens)]
    context.decode_rows(asked)
    np.testing.assert_allclose(context.logits(0), rows[1], atol=coarse)
    np.testing.assert_allclose(context.logits(1), rows[3], atol=coarse)
    context.close()


@pytest.mark.parametrize(
    ("tokens", "position", "outputs", "words"),
    [
        ([], 0, 0, "batch of 0"),
        ([1] * 65, 0, 0, "batch of 65"),
        ([1], 0, 2, "2 outputs"),
        ([1] * 20, 0, 9, "9 outputs"),
        ([1], 3, 1, "position 3"),
        ([-1], 0, 1, "outside the vocabulary"),
        ([8192], 0, 1, "outside the vocabulary"),
    ],
)
def test_lengths_that_the_engine_might_not_survive_are_refused(
    context: Context, tokens: list[int], position: int, outputs: int, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        context.decode(tokens, position, outputs=outputs)
    assert context.length() == 0


def test_a_full_context_says_so(context: Context) -> None:
    while context.length() < 256:
        context.decode([1] * 64, context.length(), outputs=0)
    with pytest.raises(ValueError, match="exceed 256"):
        context.decode([1], 256, outputs=1)
    assert context.truncate(255)
    context.decode([1], 255, outputs=1)


def test_a_context_is_no_longer_than_the_model_was_made_for(model: Model) -> None:
    context = model.context(ContextOptions(n_ctx=1 << 20))
    assert context.n_ctx == model.n_ctx_train == 2048
    context.close()


def test_a_second_sequence_is_refused(context: Context) -> None:
    with pytest.raises(ValueError, match="sequence 1"):
        context.decode([1], 0, outputs=1, sequence=1)
    with pytest.raises(ValueError, match="sequence 1"):
        context.copy(0, 1, 0)
    with pytest.raises(ValueError, match="not one sequence"):
        context.decode_rows([Row(1, 0, 0, True), Row(1, 0, 1, True)])


# Aborting.


def test_an_abort_stops_the_next_decode_and_leaves_the_cache_usable(context: Context) -> None:
    context.decode([1, 2, 3], 0, outputs=0)
    context.abort()
    with pytest.raises(Aborted):
        context.decode([4], 3, outputs=1)
    context.resume()
    assert context.length() == 3
    context.decode([4], 3, outputs=1)
    rows = context.logits(0).copy()
    np.testing.assert_allclose(rows, fresh(context, [1, 2, 3, 4]), atol=ROUNDING)


def test_an_abort_from_another_thread_ends_the_decode_in_progress(context: Context) -> None:
    context.decode([1, 2, 3], 0, outputs=0)
    decodes, aborted = 0, 0

    def decode_on() -> None:
        nonlocal decodes, aborted
        try:
            while True:
                context.decode([9] * 64, 3, outputs=1)
                decodes += 1
                context.truncate(3)
        except Aborted:
            aborted += 1

    thread = Thread(target=decode_on)
    thread.start()
    while not decodes:
        pass
    context.abort()
    thread.join(timeout=30)
    assert aborted == 1
    context.resume()
    context.truncate(3)
    context.decode([4], 3, outputs=1)
    rows = context.logits(0).copy()
    np.testing.assert_allclose(rows, fresh(context, [1, 2, 3, 4]), atol=ROUNDING)


def test_a_decode_that_was_aborted_ends_so_even_if_the_flag_is_cleared_at_once(
    context: Context,
) -> None:
    outcomes: list[str] = []

    def decode_on() -> None:
        try:
            while True:
                context.decode([9] * 64, 0, outputs=1)
                context.truncate(0)
                outcomes.append("done")
        except Exception as error:
            outcomes.append(type(error).__name__)

    for _ in range(20):
        outcomes.clear()
        thread = Thread(target=decode_on)
        thread.start()
        while not outcomes:
            pass
        context.abort()
        context.resume()
        while thread.is_alive():
            context.abort()
            context.resume()
        assert outcomes[-1] == "Aborted"


# Proposals.


@pytest.mark.parametrize("name", [*BOTH, "grouped-8-bit"])
def test_it_proposes_what_the_gguf_drafter_proposes_on_500_contexts(
    gguf: Model, models: dict[str, Model], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    random, prompts, ties = Random(500), Prompts(gguf), 0
    contexts = [one.context(OPTIONS) for one in (gguf, models[name])]
    drafters = [ModelDrafter(context, gguf.tokenizer.n_vocab) for context in contexts]
    for number in range(500):
        prompt = prompts.short(random)
        prompt = prompt[: random.randint(1, len(prompt))]
        params = SamplingParams(random.choice([0.0, 0.7, 1.0]), seed=number)
        guesses = []
        for drafter in drafters:
            drafter.start(prompt, Sampler(params, prompt))
            [candidates] = drafter.expand([[]], 0)
            assert candidates
            guesses.append(candidates[0])
        if guesses[0].token != guesses[1].token:
            ties += 1
            leads = [2 * guess.features[0] for guess in guesses]
            assert max(leads) < TIE, f"context {number}: {guesses}"
    with capsys.disabled():
        print(f"\n{name}: {ties} of 500 proposals differ, all of them ties")
    for context in contexts:
        context.close()
    assert ties < 25


# Text and tokens.


@settings(
    deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=st.text(max_size=60))
@example(text="")
@example(text="def main():\n\treturn 'naïve 😀👩‍👩‍👧 e\u0301'  \n\n\n    pass")
@example(text="<|im_end|> <|endoftext|>")
@example(text="a\ud800b\0c")
def test_text_becomes_the_tokens_that_llama_cpp_makes_of_it(
    gguf: Model, models: dict[str, Model], text: str
) -> None:
    mine, theirs = models["grouped"].tokenizer, gguf.tokenizer
    for special in (False, True):
        kind = {"add_special": special, "parse_special": special}
        assert mine.encode(text, **kind) == theirs.encode(text, **kind)
    tokens = mine.encode(text, add_special=False, parse_special=False)
    plain = text.encode("utf-8", "replace")
    assert b"".join(mine.piece(token) for token in tokens) == plain


def test_every_token_is_the_same_in_both_files(gguf: Model, models: dict[str, Model]) -> None:
    mine, theirs = models["grouped"].tokenizer, gguf.tokenizer
    require_same_vocabulary(theirs, mine)
    assert mine.n_vocab == theirs.n_vocab
    assert (mine.bos, mine.eos) == (theirs.bos, theirs.eos)
    for token in range(mine.n_vocab):
        assert mine.piece(token) == theirs.piece(token)
        assert mine.piece(token, special=True) == theirs.piece(token, special=True)
    # llama.cpp knows ends by their spelling as well.
    assert mine.is_eog(2)
    assert not mine.is_eog(300)


@pytest.mark.parametrize("token", [-1, 8192])
def test_a_token_outside_the_vocabulary_has_no_piece(model: Model, token: int) -> None:
    with pytest.raises(ValueError, match="outside the vocabulary"):
        model.tokenizer.piece(token)


def test_ids_without_a_text_are_spelt_as_in_ggufs(folder: Path) -> None:
    change_json(folder / "tokenizer.json", lambda root: root["model"]["vocab"].popitem())
    change_json(folder / "tokenizer.json", lambda root: root["model"]["merges"].pop())
    tokenizer = open_model(folder / "onnx/model.onnx", ONE_THREAD).tokenizer
    assert tokenizer.vocabulary()[-1] == b"[PAD8191]"
    assert tokenizer.piece(8191) == b""


def test_sentencepiece_spelling_becomes_bytes(folder: Path) -> None:
    def respell(root: dict[str, Any]) -> None:
        vocab = {"<unk>": 0, "<0x0A>": 1, "▁the": 2, "é": 3}
        root["model"] = {"type": "WordLevel", "vocab": vocab, "unk_token": "<unk>"}
        root["decoder"] = {"type": "ByteFallback"}
        root["post_processor"] = root["pre_tokenizer"] = None
        root["added_tokens"] = []

    change_json(folder / "tokenizer.json", respell)
    tokenizer = open_model(folder / "onnx/model.onnx", ONE_THREAD).tokenizer
    assert [tokenizer.piece(token) for token in (1, 2, 3)] == [b"\n", b" the", "é".encode()]


def test_metadata_is_read(model: Model, gguf: Model) -> None:
    key = "tokenizer.chat_template"
    assert model.metadata[key] == gguf.metadata[key]
    assert model.metadata["general.architecture"] == "llama"


# What cannot be used.


def change_json(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    root = json.loads(file.read_text("utf-8"))
    change(root)
    file.write_text(json.dumps(root), "utf-8")


def change_graph(folder: Path, change: Callable[[onnx.ModelProto], object]) -> None:
    path = folder / "onnx/model.onnx"
    graph = onnx.load(path, load_external_data=False)
    change(graph)
    onnx.save(graph, path)


def refusal(folder: Path) -> str:
    with pytest.raises(ModelFileError) as caught:
        open_model(folder / "onnx/model.onnx", ONE_THREAD)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_a_file_of_the_folder_is_missing(folder: Path, name: str) -> None:
    (folder / name).unlink()
    message = refusal(folder)
    assert f"{name} is missing" in message
    assert "download the whole model" in message


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
@pytest.mark.parametrize("text", ["", "[]", "{", "\xff" * 9, "[" * 100_000])
def test_a_file_of_the_folder_is_broken(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text, "latin-1")
    assert name in refusal(folder)


def test_a_tokenizer_of_another_model(folder: Path) -> None:
    change_json(
        folder / "tokenizer.json",
        lambda root: root["model"]["vocab"].update({f"word{n}": 8192 + n for n in range(9)}),
    )
    message = refusal(folder)
    assert "8201 tokens" in message
    assert "8192 logits" in message


def test_weights_cut_short(folder: Path) -> None:
    data = folder / "onnx/model.onnx_data"
    data.write_bytes(data.read_bytes()[:-4096])
    assert "does not load" in refusal(folder)


def test_a_graph_that_is_none(folder: Path) -> None:
    (folder / "onnx/model.onnx").write_bytes(b"garbage")
    assert "does not load" in refusal(folder)


def _without_cache(graph: onnx.ModelProto) -> None:
    inputs = [port for port in graph.graph.input if not port.name.startswith("past")]
    layers = [port for port in graph.graph.input if port.name.startswith("past")]
    for port in layers:
        kind = port.type.tensor_type.elem_type
        empty = onnx.helper.make_tensor(port.name, kind, [1, 1, 0, 64], [])
        graph.graph.initializer.append(empty)
    del graph.graph.input[:]
    graph.graph.input.extend(inputs)


def _more_inputs(graph: onnx.ModelProto) -> None:
    info = onnx.helper.make_tensor_value_info("encoder_hidden_states", TensorProto.FLOAT, [1])
    graph.graph.input.append(info)
    node = onnx.helper.make_node("Identity", ["encoder_hidden_states"], ["copied"])
    graph.graph.node.append(node)


def _another_name(graph: onnx.ModelProto) -> None:
    for port in graph.graph.output:
        if port.name == "logits":
            port.name = "scores"
    for node in graph.graph.node:
        node.output[:] = ["scores" if name == "logits" else name for name in node.output]


def _unknown_operator(graph: onnx.ModelProto) -> None:
    graph.graph.node[0].op_type = "GatherTheStars"


def _wrong_type(graph: onnx.ModelProto) -> None:
    for port in graph.graph.input:
        if port.name.startswith("past"):
            port.type.tensor_type.elem_type = TensorProto.FLOAT16


def _double_mask(graph: onnx.ModelProto) -> None:
    [mask] = [port for port in graph.graph.input if port.name == "attention_mask"]
    mask.type.tensor_type.elem_type = TensorProto.DOUBLE
    graph.graph.node.insert(
        0, onnx.helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.INT64)
    )
    for node in graph.graph.node[1:]:
        node.input[:] = ["mask" if name == "attention_mask" else name for name in node.input]


def _no_sizes(graph: onnx.ModelProto) -> None:
    for port in graph.graph.input:
        if port.name.startswith("past"):
            port.type.tensor_type.shape.dim[1].dim_param = "heads"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_without_cache, "exported without a cache"),
        (_more_inputs, "asks for the input 'encoder_hidden_states'"),
        (_another_name, "does not turn input_ids into logits"),
        (_unknown_operator, "GatherTheStars"),
        (_wrong_type, "does not load"),
        (_double_mask, r"'attention_mask' is of type tensor(double)"),
        (_no_sizes, "has the shape"),
    ],
)
def test_a_graph_that_is_no_decoder(
    folder: Path, change: Callable[[onnx.ModelProto], object], words: str
) -> None:
    change_graph(folder, change)
    assert words in refusal(folder)


def test_a_grammar_is_refused(model: Model) -> None:
    with pytest.raises(InvalidInput, match="grammar"):
        model.grammar('root ::= "a"')
    with pytest.raises(InvalidInput, match="grammar"):
        model.json_schema_grammar("{}")


def test_loading_stops_when_progress_says_so(onnx_graphs: dict[str, Path]) -> None:
    with pytest.raises(ModelFileError, match="loading was stopped"):
        open_model(onnx_graphs["grouped"], ONE_THREAD, lambda done: False)


def test_failures_are_silent(
    folder: Path, context: Context, capfd: pytest.CaptureFixture[str]
) -> None:
    context.abort()
    with pytest.raises(Aborted):
        context.decode([1], 0, outputs=1)
    change_graph(folder, _unknown_operator)
    refusal(folder)
    assert capfd.readouterr() == ("", "")


def test_a_run_that_fails_is_an_error_of_the_engine(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    context.decode([1, 2], 0, outputs=0)
    monkeypatch.setattr(context, "n_vocab", 10**6)
    with pytest.raises(BackendError, match=r"decoding failed: .*indices"):
        context.decode([10**5], 2, outputs=1)
    assert context.length() == 2
    monkeypatch.undo()
    context.decode([3], 2, outputs=1)
    rows = context.logits(0).copy()
    np.testing.assert_allclose(rows, fresh(context, [1, 2, 3]), atol=ROUNDING)
