"""The llama.cpp backend by itself: text and tokens, grammars, loading, aborting, silence."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Timer
from time import perf_counter, thread_time

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Quant
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from edgespec.cache import Cache
from edgespec.errors import Aborted, InvalidInput, ModelFileError
from edgespec.protocols import ContextOptions, Grammar, Model, ModelOptions
from edgespec.text import TextStream
from edgespec_backends.llamacpp import open_model
from edgespec_backends.llamacpp.lib import llama as llama_cpp
from tests.backends.nano import DRAFTER
from tests.ggufs import SPECIALS, llama_gguf

pytestmark = pytest.mark.native

ROOT = Path(__file__).resolve().parents[2]
ONE_THREAD = ModelOptions(threads=1)
shared_model = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module", params=["random", "nano"])
def vocabulary(request: pytest.FixtureRequest, ggufs: dict[str, Path]) -> Iterator[Model]:
    path = {"random": ggufs["llama"], "nano": DRAFTER}[request.param]
    model = open_model(path, ONE_THREAD)
    yield model
    model.close()


@pytest.fixture(scope="module")
def nano() -> Iterator[Model]:
    model = open_model(DRAFTER, ONE_THREAD)
    yield model
    model.close()


def encode(model: Model, text: str, *, parse_special: bool = False) -> list[int]:
    return model.tokenizer.encode(text, add_special=False, parse_special=parse_special)


def run_python(code: str, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    """Run in a process of its own what may end it."""
    path = os.pathsep.join(str(ROOT / folder) for folder in (".", "backends"))
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        check=False,
        timeout=240,
    )


# Text and tokens.


@shared_model
@given(text=st.text(max_size=40))
@example(text="")
@example(text="a\0b")
@example(text="\0")
@example(text="naïve 😀👩‍👩‍👧 e\u0301 \u200b \ufeff\r\n\t ")
@example(text="<|end|><|user|>")
@example(text=" " * 300)
def test_text_survives_tokens(vocabulary: Model, text: str) -> None:
    pieces = [vocabulary.tokenizer.piece(token) for token in encode(vocabulary, text)]
    assert b"".join(pieces) == text.encode()
    stream = TextStream()
    assert "".join(stream.push(piece) for piece in pieces) + stream.finish() == text


def test_half_a_surrogate_pair_becomes_a_question_mark(vocabulary: Model) -> None:
    tokens = encode(vocabulary, "a\ud800b")
    assert b"".join(vocabulary.tokenizer.piece(token) for token in tokens) == b"a?b"


def test_every_byte_is_a_piece_of_some_token(vocabulary: Model) -> None:
    tokenizer = vocabulary.tokenizer
    pieces = {tokenizer.piece(token) for token in range(tokenizer.n_vocab)}
    assert {bytes([byte]) for byte in range(256)} <= pieces


@pytest.mark.parametrize("parse_special", [False, True])
def test_control_tokens_in_a_text_are_recognised_only_on_demand(
    ggufs: dict[str, Path], parse_special: bool
) -> None:
    model = open_model(ggufs["llama"], ONE_THREAD)
    tokens = encode(model, f"a{SPECIALS[1]}b", parse_special=parse_special)
    special = model.tokenizer.n_vocab - len(SPECIALS) + 1
    assert (special in tokens) == parse_special
    assert model.tokenizer.piece(special) == b""
    assert model.tokenizer.piece(special, special=True) == SPECIALS[1].encode()
    model.close()


def test_special_tokens_are_added_as_the_model_asks(nano: Model, llama: Model) -> None:
    tokens = nano.tokenizer.encode("a", add_special=True, parse_special=False)
    assert tokens == [nano.tokenizer.bos, *encode(nano, "a")]
    assert llama.tokenizer.encode("a", add_special=True, parse_special=False) == encode(llama, "a")


def test_only_the_end_tokens_end_an_answer(llama: Model) -> None:
    tokenizer = llama.tokenizer
    ends = [token for token in range(tokenizer.n_vocab) if tokenizer.is_eog(token)]
    assert ends == [tokenizer.eos] == [tokenizer.n_vocab - len(SPECIALS)]


@pytest.mark.parametrize("token", [-1, 320, 2**31 - 1])
def test_a_token_outside_the_vocabulary_has_no_piece(llama: Model, token: int) -> None:
    with pytest.raises(ValueError, match="outside the vocabulary"):
        llama.tokenizer.piece(token)


def test_the_vocabulary_lists_every_id(llama: Model) -> None:
    texts = llama.tokenizer.vocabulary()
    assert len(texts) == llama.tokenizer.n_vocab == 320
    assert [text.decode() for text in texts[-len(SPECIALS) :]] == list(SPECIALS)


def test_metadata_is_read(nano: Model) -> None:
    assert nano.metadata["general.architecture"] == "llama"
    assert "messages" in nano.metadata["tokenizer.chat_template"]
    assert nano.n_ctx_train == int(nano.metadata["llama.context_length"])


# Grammars.

WORDS = ("ab", "abc", "é€", "éa", "x😀y")
GBNF = "root ::= " + " | ".join(f'"{word}"' for word in WORDS)


def allowed(grammar: Grammar, model: Model) -> set[int]:
    ids = np.arange(model.tokenizer.n_vocab, dtype=np.int32)
    return set(ids[grammar.mask(ids)].tolist())


def may_follow(written: bytes, model: Model) -> set[int]:
    """The tokens after which one of WORDS can still be reached; ends, where one is complete."""
    words = [word.encode() for word in WORDS]
    return {
        token
        for token in range(model.tokenizer.n_vocab)
        if (
            written in words
            if model.tokenizer.is_eog(token)
            else (piece := model.tokenizer.piece(token))
            and any(word.startswith(written + piece) for word in words)
        )
    }


@shared_model
@given(data=st.data())
def test_a_mask_allows_exactly_what_the_grammar_does(
    vocabulary: Model, data: st.DataObject
) -> None:
    grammar, written = vocabulary.grammar(GBNF), b""
    while True:
        tokens = allowed(grammar, vocabulary)
        assert tokens == may_follow(written, vocabulary)
        token = data.draw(st.sampled_from(sorted(tokens)))
        grammar.accept(token)
        if vocabulary.tokenizer.is_eog(token):
            break
        written += vocabulary.tokenizer.piece(token)
    assert written.decode() in WORDS


def test_a_mask_answers_in_the_order_of_its_ids(llama: Model) -> None:
    grammar = llama.grammar('root ::= "a"')
    a, b = encode(llama, "a")[0], encode(llama, "b")[0]
    assert grammar.mask(np.array([b, a, b, a], np.int32)).tolist() == [False, True, False, True]
    assert grammar.mask(np.array([], np.int32)).tolist() == []


def test_a_clone_goes_its_own_way(llama: Model) -> None:
    grammar = llama.grammar(GBNF)
    start = allowed(grammar, llama)
    twin = grammar.clone()
    twin.accept(encode(llama, "x")[0])
    assert allowed(grammar, llama) == start
    assert allowed(twin, llama) == may_follow(b"x", llama)
    third = twin.clone()
    del twin
    assert allowed(third, llama) == may_follow(b"x", llama)


@pytest.mark.parametrize("text", ["b", "aa", SPECIALS[0]])
def test_a_token_that_the_grammar_forbids_is_refused(llama: Model, text: str) -> None:
    grammar = llama.grammar('root ::= "a" "c"')
    token = llama.tokenizer.encode(text, add_special=False, parse_special=True)[0]
    grammar.accept(encode(llama, "a")[0])
    with pytest.raises(ValueError, match="does not allow"):
        grammar.accept(token)
    assert allowed(grammar, llama) == {encode(llama, "c")[0]}


@pytest.mark.parametrize(
    ("gbnf", "words"),
    [
        ('root ::= "abc', "unexpected end of input"),
        ("root ::= nothing", "Undefined rule identifier 'nothing'"),
        ('begin ::= "a"', "'root'"),
        ('root ::= root "a" | "b"', "left recursion"),
        ('root ::= "\\d"', "unknown escape"),
        ('root ::= "a\0"', "NUL"),
        ('root ::= "\ud800"', "surrogate"),
        ('root ::= "a"{5,1}', "from 5 up to 1"),
        ("root ::= " + '("a" ' * 501 + ")?" * 501, "501 deep"),
    ],
)
def test_a_grammar_that_does_not_parse_says_why_and_only_in_the_error(
    llama: Model, gbnf: str, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InvalidInput, match=words) as caught:
        llama.grammar(gbnf)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "gbnf",
    [
        'root ::= "(((" [(({5,1}] # {5,1} ((((',
        "root ::= " + '("a" ' * 500 + ")?" * 500,
        'root ::= "a"{2} "b"{1,} "c"{0,3}',
    ],
)
def test_a_grammar_that_only_looks_dangerous_is_compiled(llama: Model, gbnf: str) -> None:
    assert allowed(llama.grammar(gbnf), llama)


def test_what_others_write_to_stderr_while_a_grammar_fails_is_kept(
    llama: Model, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = llama_cpp.llama_sampler_init_grammar

    def compile_slowly(*arguments: object) -> object:
        os.write(2, b"a line of another thread\n")
        return compiled(*arguments)

    monkeypatch.setattr(llama_cpp, "llama_sampler_init_grammar", compile_slowly)
    with pytest.raises(InvalidInput, match="unexpected end"):
        llama.grammar('root ::= "')
    assert capfd.readouterr().err == "a line of another thread\n"


@pytest.mark.parametrize(
    "schema",
    [
        "",
        "{",
        "[]",
        "null",
        '{"type": "strange"}',
        '{"$ref": "#/nowhere"}',
        '{"$ref": "https://example.com/schema.json"}',
        '{"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}',
        '{"type": "string", "pattern": "("}',
        '{"type": "string", "pattern": "^+$"}',
        '{"type": "object", "properties": []}',
        '{"type": "array", "items": {}, "minItems": "two"}',
        '{"items":' * 3000 + "{}" + "}" * 3000,
    ],
)
def test_a_json_schema_that_is_no_grammar_is_refused(llama: Model, schema: str) -> None:
    with pytest.raises(InvalidInput, match="the JSON schema"):
        llama.json_schema_grammar(schema)


def test_a_json_schema_has_no_line_ends_inside_of_strings(llama: Model) -> None:
    grammar = llama.grammar(llama.json_schema_grammar('{"type": "string"}'))
    for token in encode(llama, '"'):
        grammar.accept(token)
    assert encode(llama, "\n")[0] not in allowed(grammar, llama)
    assert encode(llama, "n")[0] in allowed(grammar, llama)


def test_extreme_limits_in_a_json_schema_end_no_process(llama: Model) -> None:
    gbnf = llama.json_schema_grammar('{"type": "string", "maxLength": 100000}')
    with pytest.raises(InvalidInput, match="100000 deep"):
        llama.grammar(gbnf)


@pytest.mark.parametrize("value", [{"a": 1, "b": [True, None]}, {"a": -3, "b": []}])
def test_a_json_schema_accepts_what_matches_it(llama: Model, value: object) -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "array"}},
        "required": ["a", "b"],
    }
    grammar = llama.grammar(llama.json_schema_grammar(json.dumps(schema)))
    assert encode(llama, "[")[0] not in allowed(grammar, llama)
    for token in encode(llama, json.dumps(value)):
        assert token in allowed(grammar, llama)
        grammar.accept(token)
    assert llama.tokenizer.eos in allowed(grammar, llama)


# Loading.


def test_loading_reports_growing_progress(ggufs: dict[str, Path]) -> None:
    seen: list[float] = []

    def progress(done: float) -> bool:
        seen.append(done)
        return True

    open_model(ggufs["llama"], ONE_THREAD, progress).close()
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_loading_stops_when_progress_says_so(ggufs: dict[str, Path]) -> None:
    with pytest.raises(ModelFileError, match="loading was stopped"):
        open_model(ggufs["llama"], ONE_THREAD, lambda done: False)
    open_model(ggufs["llama"], ONE_THREAD).close()


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_what_progress_raises_comes_out_of_the_load(
    ggufs: dict[str, Path], error: type[BaseException]
) -> None:
    def progress(done: float) -> bool:
        raise error

    with pytest.raises(error):
        open_model(ggufs["llama"], ONE_THREAD, progress)
    open_model(ggufs["llama"], ONE_THREAD).close()


@pytest.mark.parametrize("name", ["ein Modell.gguf", "模型😀.gguf"])
def test_a_model_is_found_whatever_its_name(tmp_path: Path, name: str) -> None:
    open_model(llama_gguf(tmp_path / name), ONE_THREAD).close()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have text for file names")
def test_a_name_that_is_no_text_is_found_too(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"mod\xe8le.gguf")
    open_model(llama_gguf(tmp_path / "plain.gguf").rename(path), ONE_THREAD).close()


LOAD_ALL = """
import sys
from pathlib import Path
import numpy as np
from edgespec.errors import EdgespecError
from edgespec.gguf_header import read_header
from edgespec.protocols import ContextOptions, ModelOptions
from edgespec_backends.llamacpp import open_model
from edgespec_backends.llamacpp.lib import llama as llama_cpp

for path in sorted(Path(sys.argv[1]).glob("*.gguf")):
    print(path.name, end=" ", flush=True)
    try:
        read_header(path)
        model = open_model(path, ModelOptions(threads=1))
        context = model.context(ContextOptions(n_ctx=64, n_batch=16, max_outputs=1))
        context.decode([1, 2, 3], 0, outputs=1)
        print("ran", np.isfinite(context.logits(0)).all())
        context.close()
        model.close()
    except EdgespecError as error:
        print(type(error).__name__, error)
"""


def damaged(data: bytes, header: int) -> Iterator[tuple[str, bytes]]:
    """Copies of a model file with something wrong in it."""
    random = np.random.default_rng(3)
    yield "noise", data[:header] + random.bytes(len(data) - header)
    yield "ones", data[:header] + b"\xff" * (len(data) - header)
    for share in (0.3, 0.9, 0.999):
        yield f"cut {share}", data[: int(len(data) * share)]
    for number in range(60):
        flipped = bytearray(data)
        for place in random.integers(0, header, 2):
            flipped[place] ^= 1 << random.integers(0, 8)
        yield f"flip {number:02}", bytes(flipped)


def test_damaged_files_run_or_are_refused_in_one_line(
    tmp_path: Path, ggufs: dict[str, Path]
) -> None:
    data = ggufs["llama"].read_bytes()
    copies = dict(damaged(data, data.index(b"blk.0.ffn_down.weight") + 200))
    for name, content in copies.items():
        (tmp_path / f"{name}.gguf").write_bytes(content)
    done = run_python(LOAD_ALL, tmp_path)
    lines = done.stdout.decode().splitlines()
    assert done.returncode == 0, (lines[-1:], done.stderr[-500:])
    assert len(lines) == len(copies)
    assert sum("ran" in line for line in lines) < len(lines)
    assert all("ModelFileError" in line for line in lines if line.startswith("cut"))
    assert done.stderr == b""


QUIET = """
import sys
from pathlib import Path
from edgespec.errors import EdgespecError
from edgespec.protocols import ContextOptions, ModelOptions
from edgespec_backends.llamacpp import open_model, system_info

model = open_model(Path(sys.argv[1]), ModelOptions(threads=1))
context = model.context(ContextOptions(n_ctx=64, n_batch=16))
context.decode([1, 2, 3], 0, outputs=1)
for attempt in (
    lambda: open_model(Path(sys.argv[2]), ModelOptions(threads=1)),
    lambda: model.grammar("root ::= ("),
):
    try:
        attempt()
    except EdgespecError as error:
        print(error)
context.close()
model.close()
"""


def test_libllama_writes_nothing(tmp_path: Path, ggufs: dict[str, Path]) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(100))
    done = run_python(QUIET, ggufs["llama"], broken)
    refusals = done.stdout.decode().splitlines()
    assert done.stderr == b""
    assert ["broken.gguf" in refusals[0], "grammar" in refusals[1]] == [True, True]


HUGE_CONTEXT = """
import resource, sys
from pathlib import Path
from edgespec.errors import NotEnoughMemory
from edgespec.protocols import ContextOptions, ModelOptions
from edgespec_backends.llamacpp import open_model
from edgespec_backends.llamacpp.lib import llama as llama_cpp

resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
model = open_model(Path(sys.argv[1]), ModelOptions(threads=1))
try:
    model.context(ContextOptions(n_ctx=1 << 27))
except NotEnoughMemory as error:
    print(error)
model.context(ContextOptions(n_ctx=64)).close()
model.close()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is a Linux one")
def test_a_context_that_does_not_fit_is_refused(ggufs: dict[str, Path]) -> None:
    done = run_python(HUGE_CONTEXT, ggufs["llama"])
    assert done.returncode == 0, done.stderr[-500:]
    assert b"134217728 tokens could not be made" in done.stdout
    assert done.stderr == b""


# Contexts.


def test_close_is_idempotent(ggufs: dict[str, Path]) -> None:
    model = open_model(ggufs["llama"], ONE_THREAD)
    context = model.context(ContextOptions(n_ctx=64))
    for closable in (context, context, model, model):
        closable.close()


def test_logits_are_rows_of_the_whole_vocabulary(llama: Model) -> None:
    context = llama.context(ContextOptions(n_ctx=64, n_batch=16, max_outputs=4))
    context.decode([1, 2, 3, 4], 0, outputs=2)
    rows = [context.logits(row).copy() for row in range(2)]
    assert [row.shape for row in rows] == [(320,)] * 2
    assert [row.dtype for row in rows] == [np.float32] * 2
    assert not np.array_equal(rows[0], rows[1])
    with pytest.raises(IndexError):
        context.logits(2)
    context.close()


def test_lengths_are_counted_and_cut(llama: Model) -> None:
    context = llama.context(ContextOptions(n_ctx=64, n_batch=16))
    assert context.length() == 0
    context.decode([1, 2, 3, 4], 0, outputs=0)
    assert context.length() == 4
    assert context.truncate(1)
    assert context.length() == 1
    context.clear()
    assert context.length() == 0
    context.close()


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    path = tmp_path_factory.mktemp("big") / "big.gguf"
    llama_gguf(path, n_layer=4, d=512, heads=8, ff=2048, context=4096, quant=Quant.Q8_0)
    model = open_model(path, ONE_THREAD)
    yield model
    model.close()


def test_an_abort_stops_a_long_prefill_and_the_cache_stays_right(big: Model) -> None:
    options = ContextOptions(n_ctx=2048, n_batch=2048)
    cache, undisturbed = Cache(big.context(options)), Cache(big.context(options))
    prompt = [n * 7 % 300 for n in range(1500)]
    for each in (cache, undisturbed):
        each.prefill(prompt[:100])
    whole, seconds = costs(lambda: undisturbed.prefill(prompt))
    for _ in range(10):  # A machine that has just become faster may finish before the abort.
        timer = Timer(seconds / 5, cache.context.abort)
        timer.start()
        spent, _ = costs(lambda: prefill_until_aborted(cache, prompt))
        timer.join()
        cache.context.resume()
        if len(cache.tokens) == 100:
            break
        cache.truncate(100)
    assert cache.tokens == prompt[:100]
    assert 0 < spent < 0.7 * whole
    assert cache.prefill(prompt) == 100
    np.testing.assert_array_equal(cache.logits(0), undisturbed.logits(0))
    assert cache.context.length() == len(prompt)
    for each in (cache, undisturbed):
        each.context.close()


def prefill_until_aborted(cache: Cache, prompt: Sequence[int]) -> None:
    with suppress(Aborted):
        cache.prefill(prompt)


def costs(action: Callable[[], object]) -> tuple[float, float]:
    """Seconds of this thread's processor, and of the clock on the wall."""
    begin = thread_time(), perf_counter()
    action()
    return thread_time() - begin[0], perf_counter() - begin[1]
