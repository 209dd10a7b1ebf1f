"""`edgespec simulate`: what it prints, and what it refuses."""

import json

import pytest

from tests.cli.process import edgespec

SHORT = ("simulate", "--tokens", "200")


def test_the_table_names_every_way_of_decoding() -> None:
    done = edgespec(*SHORT)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    names = [line.split()[0] for line in lines]
    assert names == ["edgespec", "plain", "sequential", "PEARL", "oracle"]
    assert all(line.split()[1].endswith("x") for line in lines)
    assert "1.00x" in lines[1]


def test_json_is_one_object_with_the_same_numbers() -> None:
    table, done = edgespec(*SHORT), edgespec(*SHORT, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    assert set(result) == {
        "edgespec", "plain", "sequential", "sequential_draft_length", "pearl",
        "pearl_draft_length", "oracle",
    }  # fmt: skip
    assert result["plain"] == 1.0
    assert result["oracle"] >= max(result["edgespec"], result["sequential"])
    assert f"{result['edgespec']:.2f}x" in table.stdout.splitlines()[0]
    assert f"K = {result['sequential_draft_length']}" in table.stdout


def test_a_seed_decides_everything() -> None:
    first = edgespec(*SHORT, "--json", "--seed", "3")
    assert edgespec(*SHORT, "--json", "--seed", "3").stdout == first.stdout
    assert edgespec(*SHORT, "--json", "--seed", "4").stdout != first.stdout


def test_steps_that_were_measured_replace_the_slope() -> None:
    flat = json.loads(edgespec(*SHORT, "--json", "--verify", "15,15,15,15").stdout)
    steep = json.loads(edgespec(*SHORT, "--json", "--verify", "15,30,45,60").stdout)
    assert flat["edgespec"] > 1.5
    assert flat["sequential_draft_length"] == 3
    assert steep["edgespec"] < 1.1
    scaled = json.loads(edgespec(*SHORT, "--json", "--verify", "0.15,0.15,0.15,0.15").stdout)
    assert scaled == pytest.approx(flat)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ("--verify 15,many", "'15,many' is not a list of numbers"),
        ("--verify 15,,20", "is not a list of numbers"),
        ("--verify 15", "at least two times"),
        ("--verify 15,-20", "above 0"),
        ("--verify 15,0", "above 0"),
        ("--verify 15,nan", "--verify"),
        ("--verify 15,inf", "--verify"),
        ("--acceptance 1.1", "--acceptance"),
        ("--draft 0", "--draft"),
        ("--contention 0.5", "--contention"),
        ("--tokens 3", "--tokens"),
    ],
)
def test_numbers_that_make_no_sense_are_one_line_and_code_2(arguments: str, part: str) -> None:
    done = edgespec("simulate", *arguments.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("edgespec: error: ")
    assert done.stderr.count("\n") == 1
    assert part in done.stderr
