"""The parts of the plain chat that need no terminal."""

from pathlib import Path

import pytest

from edgespec.cli.plain.commands import Command, Commands
from edgespec.cli.plain.figures import marked
from edgespec.cli.plain.folding import Folding
from edgespec.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Hello", "Hello"),
        ("<think>\nHm.\n</think>\n\nHello", "(thinking) Hello"),
        ("<think>\n\n</think>\n\nHello", "Hello"),
        (" <think>Hm.</think>Hello</think>", "(thinking) Hello</think>"),
        ("<think>Hm.", "(thinking) "),
        ("<thin", "<thin"),
        ("<thing> is a tag", "<thing> is a tag"),
        ("a <think> b </think> c", "a <think> b </think> c"),
        ("", ""),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_thought_is_a_word(text: str, shown: str, size: int) -> None:
    folding = Folding()
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    assert "".join([*map(folding.push, pieces), folding.finish()]) == shown


@pytest.mark.parametrize(
    ("begun", "more", "shown"),
    [
        ("<think>Hm", ", well.</think>\nHello", "Hello"),
        ("<think>Hm.</think>Hello", " there", " there"),
        ("Hello", " <think>", " <think>"),
    ],
)
def test_an_answer_is_gone_on_with(begun: str, more: str, shown: str) -> None:
    folding = Folding(begun)
    assert "".join([*map(folding.push, more), folding.finish()]) == shown


@pytest.fixture
def asked() -> list[str]:
    return []


@pytest.fixture
def commands(asked: list[str]) -> Commands:
    return Commands(
        [
            Command("go", "", "goes", lambda _: asked.append("go")),
            Command("goto", "N", "goes there", asked.append),
            Command("use", "[NAME]", "uses", asked.append, lambda _: ["warm", "cold"]),
        ]
    )


def test_commands_take_what_they_say(commands: Commands, asked: list[str]) -> None:
    commands.run("goto", "7")
    commands.run("use", "")
    assert asked == ["7", ""]
    for word, argument, what in (
        ("go", "on", "/go takes nothing"),
        ("goto", "", "/goto needs a number"),
        ("went", "", "there is no command /went"),
    ):
        with pytest.raises(InvalidInput, match=what):
            commands.run(word, argument)
    assert list(commands.help) == ["/go", "/goto N", "/use [NAME]"]


@pytest.mark.parametrize(
    ("line", "completions"),
    [
        ("/", ["/go", "/goto ", "/use "]),
        ("/got", ["/goto "]),
        ("/use ", ["warm", "cold"]),
        ("/use w", ["warm"]),
        ("/use warm w", []),
        ("/none w", []),
        ("hello w", []),
        (" w", []),
        ("see @not", ["@notes.md"]),
        ("", ["/go", "/goto ", "/use "]),
    ],
)
def test_completion(
    commands: Commands,
    line: str,
    completions: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "notes.md").touch()
    monkeypatch.chdir(tmp_path)
    assert commands.complete(line) == completions


def test_sources_are_marked() -> None:
    runs = [("target", 2), ("drafter", 3), ("suffix", 1)]
    assert marked("ab cd.ef", runs) == "ab« cd»««.»»ef"
    assert marked("", runs[:0]) == ""
