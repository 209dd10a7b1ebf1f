"""What can be told without loading a model."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.process import edgespec, environment

COMMANDS = [
    *("batch", "bench", "chat", "completion", "doctor", "models", "pair"),
    *("plan", "pull", "run", "serve", "simulate", "worker"),
]


def test_version() -> None:
    done = edgespec("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("edgespec ")


def test_starting_costs_little() -> None:
    def seconds(*arguments: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], env=environment(), check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    plain = min(seconds("-c", "pass") for _ in range(3))
    assert min(seconds("-m", "edgespec", "--version") for _ in range(3)) < plain + 0.1


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_names_every_command(arguments: list[str]) -> None:
    done = edgespec(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(f"  {command} " in done.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    done = edgespec(command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Usage: edgespec {command}" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ("nonsense", "No such command 'nonsense'"),
        ("--nonsense", "No such option"),
        ("run --nonsense hi", "No such option"),
        ("run", "the prompt is empty"),
        ("run -", "the prompt is empty"),
        ("run hi there", "unexpected extra argument"),
        ("run hi --max-tokens 0", "--max-tokens"),
        ("run hi --context -1", "--context"),
        ("run hi --threads 0", "--threads"),
        ("run hi --draft-length 0", "--draft-length"),
        ("run hi --seed -1", "seed = -1"),
        ("run hi --top-k many", "--top-k"),
        ("run hi --top-k -1", "top_k"),
        ("run hi --top-p 0", "top_p"),
        ("run hi --min-p 1", "min_p"),
        ("run hi --temperature -0.1", "temperature"),
        ("run hi --temperature nan", "temperature"),
        ("run hi --repeat-penalty 0", "repeat_penalty"),
        ("run hi --raw --system x", "exclude each other"),
        ("run hi --grammar missing.gbnf", "No such file"),
        ("run hi --json-schema .", "Is a directory"),
        ("chat --temperature -1", "temperature"),
        ("completion tcsh", "tcsh"),
    ],
)
def test_bad_usage_is_one_line_and_code_2(arguments: str, part: str) -> None:
    done = edgespec(*arguments.split())
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("edgespec: error: ")
    assert done.stderr.count("\n") == 1
    assert part in done.stderr


def test_a_grammar_and_a_schema_exclude_each_other(tmp_path: Path) -> None:
    grammar = tmp_path / "a.gbnf"
    grammar.write_text('root ::= "a"')
    done = edgespec("run", "hi", "--grammar", str(grammar), "--json-schema", "{}")
    assert done.returncode == 2
    assert "exclude each other" in done.stderr


def test_a_grammar_that_is_no_text(tmp_path: Path) -> None:
    grammar = tmp_path / "a.gbnf"
    grammar.write_bytes(b"\xff\xfe")
    done = edgespec("run", "hi", "--grammar", str(grammar))
    assert done.returncode == 2
    assert "not UTF-8" in done.stderr


def test_options_come_from_the_environment() -> None:
    done = edgespec("run", "hi", EDGESPEC_TEMPERATURE="-3")
    assert done.returncode == 2
    assert "temperature = -3" in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell: str) -> None:
    done = edgespec("completion", shell)
    assert (done.returncode, done.stderr) == (0, "")
    assert "_EDGESPEC_COMPLETE" in done.stdout


def test_the_script_s_callback_completes() -> None:
    done = edgespec(
        _EDGESPEC_COMPLETE="bash_complete", COMP_WORDS="edgespec run --max", COMP_CWORD="2"
    )
    assert (done.returncode, done.stdout) == (0, "plain,--max-tokens\n")


def test_models_list() -> None:
    done = edgespec("models", "list")
    assert (done.returncode, done.stderr) == (0, "")
    assert "nano" in done.stdout


def test_models_list_as_json() -> None:
    done = edgespec("models", "list", "--json")
    assert done.returncode == 0
    names = [entry["name"] for entry in json.loads(done.stdout)]
    assert "nano" in names
