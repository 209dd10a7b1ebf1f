"""`edgespec bench`: the table of costs, and answers with and without speculation."""

import json
from pathlib import Path

import pytest

from tests.cli.process import edgespec

pytestmark = [pytest.mark.native, pytest.mark.slow]
ONE = ("--threads", "1")


def test_calibrate_draws_every_size_and_what_the_drafter_costs(tmp_path: Path) -> None:
    done = edgespec("bench", "nano", "--calibrate", *ONE, EDGESPEC_HOME=str(tmp_path))
    assert done.returncode == 0
    head, *rows = done.stdout.splitlines()
    assert head.split() == ["n", "ms", "ms/token"]
    sizes = [int(row.split()[0]) for row in rows if "█" in row]
    assert sizes == list(range(1, 18))[: len(sizes)]
    assert len(sizes) > 8
    assert any(line.startswith("a step of the drafter: ") for line in rows)
    longest = max(rows, key=lambda row: row.count("█"))
    assert longest.count("█") == 40


def test_answers_are_compared_prompt_by_prompt(tmp_path: Path) -> None:
    done = edgespec("bench", "--tokens", "8", "--json", *ONE, EDGESPEC_HOME=str(tmp_path))
    assert done.returncode == 0
    result = json.loads(done.stdout)
    assert result["model"] == "nano"
    assert "1" in result["costs"]["verify"]["0"]
    answers = [(row["prompt"], row["temperature"]) for row in result["answers"]]
    assert answers == [(name, t) for name in ("code", "prose", "facts") for t in (0.0, 0.8)]
    for row in result["answers"]:
        assert row["gain"] is None or row["gain"] == row["speculating"] / row["plain"]
    assert any(row["plain"] for row in result["answers"])


def test_calibrate_measures_again_what_is_known(tmp_path: Path) -> None:
    def measured() -> float:
        [file] = (tmp_path / "cache" / "measurements").glob("*.json")
        return float(json.loads(file.read_text())["measured"])

    times = []
    for _ in range(2):
        edgespec("bench", "--calibrate", *ONE, EDGESPEC_HOME=str(tmp_path))
        times.append(measured())
    assert times[1] > times[0]


def test_an_unknown_model_is_one_line() -> None:
    done = edgespec("bench", "nope")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("edgespec: error: there is no model 'nope'")
    assert done.stderr.count("\n") == 1


def test_a_page_to_show_to_others(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    asked = ("bench", "nano", "--calibrate", "--report", str(page), *ONE)
    done = edgespec(*asked, EDGESPEC_HOME=str(tmp_path))
    assert done.returncode == 0
    text = page.read_text()
    assert "<dd>target-q8_0</dd>" in text
    assert text.count('<td class="bar">') == sum("█" in line for line in done.stdout.splitlines())
    assert str(tmp_path) not in text


@pytest.mark.parametrize("name", ["page.pdf", "nowhere/page.md"])
def test_a_page_that_cannot_be_written_is_refused_before_measuring(
    tmp_path: Path, name: str
) -> None:
    done = edgespec("bench", "--report", str(tmp_path / name))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
