"""Whatever is wrong with models and prompts: one line, the documented exit code, no traceback."""

from pathlib import Path

import pytest

from tests.cli.process import edgespec
from tests.ggufs import llama_gguf

pytestmark = pytest.mark.native


def fails(code: int, *arguments: str, prompt: str = "hi") -> str:
    done = edgespec("run", "--threads", "1", prompt, *arguments)
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("edgespec: error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    return llama_gguf(tmp_path / "tiny.gguf")


def test_an_unknown_model() -> None:
    message = fails(3, "--model", "no-such-model")
    assert "no-such-model" in message
    assert "edgespec models list" in message


def test_a_missing_file() -> None:
    assert "missing.gguf" in fails(3, "--model", "./missing.gguf")


def test_a_directory(tmp_path: Path) -> None:
    assert str(tmp_path) in fails(3, "--model", str(tmp_path))


def test_garbage(tmp_path: Path) -> None:
    path = tmp_path / "garbage.gguf"
    path.write_bytes(b"garbage" * 1000)
    assert "garbage.gguf" in fails(3, "--model", str(path))


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty.gguf"
    path.touch()
    assert "empty.gguf" in fails(3, "--model", str(path))


def test_a_truncated_file(tmp_path: Path, gguf: Path) -> None:
    path = tmp_path / "half.gguf"
    path.write_bytes(gguf.read_bytes()[: gguf.stat().st_size // 2])
    assert "half.gguf" in fails(3, "--model", str(path))


def test_a_drafter_of_another_vocabulary_drafts_and_a_note_says_how(
    tmp_path: Path, gguf: Path
) -> None:
    other = llama_gguf(tmp_path / "other.gguf", variant=1)
    answer = ("run", "--threads", "1", "-t", "0", "-n", "8", "--raw", "hi", "--model", str(gguf))
    done = edgespec(*answer, "--drafter", str(other))
    assert done.returncode == 0
    assert done.stdout == edgespec(*answer, "--no-speculate").stdout
    assert done.stderr.startswith("edgespec: note: the drafter speaks another vocabulary")
    assert done.stderr.count("\n") == 1


def test_a_prompt_longer_than_the_context() -> None:
    assert "--context" in fails(2, "--context", "256", prompt="hello " * 400)


def test_a_grammar_that_does_not_parse(tmp_path: Path) -> None:
    path = tmp_path / "bad.gbnf"
    path.write_text("root ::= (")
    assert "grammar" in fails(2, "--grammar", str(path))


def test_a_schema_that_is_not_json() -> None:
    assert "JSON" in fails(2, "--json-schema", "{nonsense")


def test_more_context_than_memory(gguf: Path) -> None:
    assert "memory" in fails(3, "--model", str(gguf), "--context", "1000000000")


def test_a_model_without_a_chat_template_continues_the_prompt(gguf: Path) -> None:
    arguments = ("--model", str(gguf), "--threads", "1", "--max-tokens", "4", "--seed", "1")
    done = edgespec("run", "hello", *arguments)
    note = "edgespec: note: the model has no chat template: it continues the prompt\n"
    assert (done.returncode, done.stderr) == (0, note)
    assert edgespec("run", "hello", "--raw", *arguments).stdout == done.stdout
