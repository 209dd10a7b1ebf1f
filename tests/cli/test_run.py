"""`edgespec run` on the built-in pair."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.cli.process import COMMAND, PATIENCE, Terminal, edgespec, environment

pytestmark = pytest.mark.native

SHORT = ("--threads", "1", "--max-tokens", "12")
STATS = re.compile(
    r"12 tokens, \d+\.\d tok/s, \d+\.\d\dx plain, TTFT \d+\.\d\d s, acceptance \d+%, "
    r"mean accepted length \d+\.\d\d(, ties \d+)?, seed 5\n"
)


def answer(*arguments: str, stdin: bytes | None = None) -> str:
    done = edgespec("run", *SHORT, "--seed", "5", *arguments, stdin=stdin)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_answer_alone_is_on_stdout_and_statistics_are_on_stderr() -> None:
    done = edgespec("run", *SHORT, "-k", "3", "--seed", "5", "--stats", "What does len do?")
    assert done.returncode == 0
    assert done.stdout == answer("What does len do?") != ""
    assert STATS.fullmatch(done.stderr), done.stderr


def test_speculation_does_not_change_the_answer() -> None:
    assert answer("What does len do?") == answer("What does len do?", "--no-speculate")


def test_json_holds_the_answer_and_what_is_needed_to_get_it_again() -> None:
    done = edgespec("run", *SHORT, "--json", "What does len do?")
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    again = edgespec("run", *SHORT, "--seed", str(result["seed"]), "What does len do?")
    assert result["text"] == again.stdout
    assert result["finish_reason"] in {"length", "eog"}
    assert result["stats"]["tokens"] <= 12
    assert result["stats"]["prompt_tokens"] > 0


def test_without_a_seed_every_run_has_its_own() -> None:
    runs = [edgespec("run", *SHORT, "--json", "def main():") for _ in range(2)]
    seeds = {json.loads(done.stdout)["seed"] for done in runs}
    assert len(seeds) == 2


@pytest.mark.parametrize("arguments", [(), ("-",)])
def test_the_prompt_can_be_piped_in(arguments: tuple[str, ...]) -> None:
    piped = answer(*arguments, stdin=b"What does len do?\n")
    assert piped == answer("What does len do?")


def test_what_is_piped_in_goes_before_the_prompt() -> None:
    assert answer("Explain.", stdin=b"x = 1\n") == answer("x = 1\n\nExplain.")


def test_a_raw_prompt_is_taken_to_the_letter() -> None:
    assert answer("--raw", stdin=b"def f(x):\n") == answer("--raw", "def f(x):\n")
    template = "<|im_start|>user\nWhat does len do?<|im_end|>\n<|im_start|>assistant\n"
    assert answer("--raw", template) == answer("What does len do?")


def test_bytes_that_are_no_text_are_no_error() -> None:
    assert answer(stdin=b"\xff\x00\xfe") != ""


def test_stop_strings_end_the_answer() -> None:
    text = answer("What does len do?")
    assert answer("What does len do?", "--stop", "zzz", "--stop", text[3:6]) == text[:3]


def test_a_grammar_gives_the_answer_its_form(tmp_path: Path) -> None:
    grammar = tmp_path / "digits.gbnf"
    grammar.write_text('root ::= [0-9] [0-9] "." [0-9]')
    assert re.fullmatch(r"\d\d\.\d", answer("How much?", "--grammar", str(grammar)))


@pytest.mark.parametrize("inline", [True, False])
def test_a_json_schema_gives_the_answer_its_form(tmp_path: Path, inline: bool) -> None:
    schema = '{"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}'
    path = tmp_path / "schema.json"
    path.write_text(schema)
    given = schema if inline else str(path)
    text = answer("Is it?", "--json-schema", given, "--max-tokens", "60")
    assert isinstance(json.loads(text)["ok"], bool)


def test_a_full_context_is_told(endless: str) -> None:
    done = edgespec("run", "--threads", "1", "--context", "256", "--grammar", endless, "a")
    assert done.returncode == 0
    assert done.stderr == (
        "edgespec: note: the context of 256 tokens is full; --context makes it larger\n"
    )


def test_a_reader_that_goes_away_ends_it_quietly(endless: str) -> None:
    command = [*COMMAND, "run", "--threads", "1", "--raw", "a", "--grammar", endless]
    done = subprocess.run(
        ["bash", "-c", 'set -o pipefail; "$@" | head -c 5', "-", *command],
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(done.stdout) == 5


def test_a_full_disk_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, "run", *SHORT, "hi"],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=PATIENCE,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.decode() == (
        "edgespec: error: stdout cannot be written: No space left on device\n"
    )


def test_a_terminal_gets_the_answer_on_lines_of_its_own() -> None:
    with Terminal("run", *SHORT, "--seed", "5", "What does len do?") as terminal:
        assert terminal.finish() == (0, answer("What does len do?").rstrip("\n") + "\n")


def test_without_a_prompt_a_terminal_gets_a_hint_and_nothing_waits() -> None:
    with Terminal("run") as terminal:
        code, text = terminal.finish()
    assert code == 2
    assert text.count("\n") == 1
    assert "edgespec chat" in text
