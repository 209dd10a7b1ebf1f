"""`edgespec batch` on the built-in pair, run, killed and run again as a user would."""

import json
import os
import re
import resource
import signal
import subprocess
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.cli.process import (
    COMMAND,
    PATIENCE,
    Terminal,
    edgespec,
    environment,
    interrupt,
    start,
)
from tests.ggufs import lfm2_gguf

pytestmark = pytest.mark.native

FAST = ("--threads", "1", "--no-speculate", "--seed", "5")
QUESTIONS = ["What does len do?", "def main():", "What is a list?", "import os", "Hello!"]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """A few rows, one of which cannot be used."""
    path = tmp_path / "in.jsonl"
    lines: list[dict[str, Any]] = [
        {"id": number, "prompt": question, "max_tokens": 6 + number}
        for number, question in enumerate(QUESTIONS)
    ]
    path.write_text("\n".join(json.dumps(line) for line in [*lines[:3], {"promt": ""}, *lines[3:]]))
    return path


def answers(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]


def test_every_row_says_what_run_says_alone(rows: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    done = edgespec("batch", str(rows), "-o", str(output), *FAST)
    note = "edgespec: note: 1 row has no answer; their lines say why\n"
    assert (done.returncode, done.stdout, done.stderr) == (5, "", note)
    found = [row.get("text") for row in answers(output)]
    assert found[3] is None
    for number in (0, 4):
        row = number + (number > 2)
        alone = edgespec(
            "run", *FAST[:3], "--seed", str(5 + row), "-n", str(6 + number), QUESTIONS[number]
        )
        assert found[row] == alone.stdout != ""
    again = edgespec("batch", str(rows), "-o", str(output), *FAST[:3])
    assert (again.returncode, again.stdout) == (5, "")
    assert "all 6 rows were answered before" in again.stderr


def test_stdin_to_stdout() -> None:
    done = edgespec(
        "batch", "-", *FAST, "--max-tokens", "3", stdin=b"What does len do?\n\nimport os\n"
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["line"] for row in found] == [1, 3]
    assert all(row["stats"]["tokens"] <= 3 for row in found)


def test_openais_requests_are_answered_in_their_format(tmp_path: Path) -> None:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}
    request = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body}
    (tmp_path / "in.jsonl").write_text(
        f'{json.dumps(request)}\n{{"custom_id": "b", "body": {{}}}}\n'
    )
    done = edgespec("batch", str(tmp_path / "in.jsonl"), *FAST)
    assert done.returncode == 5
    good, bad = (json.loads(line) for line in done.stdout.splitlines())
    assert (good["custom_id"], good["error"], good["response"]["status_code"]) == ("a", None, 200)
    answer = good["response"]["body"]
    assert answer["choices"][0]["message"]["role"] == "assistant"
    assert answer["choices"][0]["message"]["content"] != ""
    assert answer["usage"]["completion_tokens"] == 4
    assert (bad["custom_id"], bad["response"]["status_code"]) == ("b", 400)
    assert "messages is missing" in bad["response"]["body"]["error"]["message"]


def test_strict_names_every_row_that_cannot_be_used(rows: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    done = edgespec("batch", str(rows), "-o", str(output), "--strict")
    assert done.returncode == 2
    assert f"{rows}:4:11: 'promt' is not known here" in done.stderr
    assert "1 of 6 rows" in done.stderr
    assert not output.exists()


def test_json_tells_how_far_it_is(rows: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    done = edgespec("batch", str(rows), "-o", str(output), *FAST, "--json", "--stats")
    *_, last = (json.loads(line) for line in done.stdout.splitlines())
    assert (last["event"], last["rows"], last["done"], last["failed"]) == ("progress", 6, 6, 1)
    assert last["eta"] == 0
    assert "6 rows, " in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("missing.jsonl",), "No such file"),
        (("-", "--json"), "-o"),
        (("-", "-o", "missing/out.jsonl"), "no folder"),
        (("-", "-o", "/dev/null"), "leave out -o"),
        (("-", "--raw", "--system", "x"), "exclude each other"),
        (("-", "--vote", "("), "unterminated"),
    ],
)
def test_what_cannot_be_done_is_one_line(arguments: tuple[str, ...], message: str) -> None:
    done = edgespec("batch", *arguments)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert message in done.stderr


def long_batch(folder: Path) -> tuple[str, ...]:
    """A batch of some seconds, in which rows finish all the time."""
    lines = [{"prompt": QUESTIONS[n % 5], "max_tokens": 20 + n % 7} for n in range(120)]
    (folder / "in.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    return ("batch", str(folder / "in.jsonl"), "-o", str(folder / "out.jsonl"), *FAST)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The answers of a long batch that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    assert edgespec(*long_batch(folder)).returncode == 0
    return answers(folder / "out.jsonl")


def assert_same(found: list[dict[str, Any]], whole: list[dict[str, Any]]) -> None:
    """The first rows of `whole`; where rounding could decide, the text may be another one."""
    assert [row["line"] for row in found] == [row["line"] for row in whole[: len(found)]]
    certain = [
        (mine["text"], other["text"])
        for mine, other in zip(found, whole, strict=False)
        if not (mine["stats"]["ties"] or other["stats"]["ties"])
    ]
    assert [mine for mine, _ in certain] == [other for _, other in certain]
    assert len(certain) >= len(found) // 4


@pytest.mark.slow
def test_killed_ten_times_no_row_is_lost_repeated_or_torn(
    tmp_path: Path, whole: list[dict[str, Any]]
) -> None:
    command, output, random = long_batch(tmp_path), tmp_path / "out.jsonl", Random(4)
    drafting = tuple(option for option in command if option != "--no-speculate")
    for number in range(10):
        width = ("1", "2", "7", "32")[number % 4]
        process = start(*random.choice([command, drafting]), "--parallel", width)
        target = (output.stat().st_size if output.exists() else 0) + random.randint(1, 4000)
        limit = time.monotonic() + PATIENCE
        while process.poll() is None and time.monotonic() < limit:
            if output.exists() and output.stat().st_size >= target:
                break
            time.sleep(0.001)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        # Who is fast enough may have finished it.
        assert process.returncode in (0, -signal.SIGKILL)
        if output.exists():
            assert_same(answers(output), whole)
    assert edgespec(*command).returncode == 0
    assert len(answers(output)) == len(whole)
    assert_same(answers(output), whole)


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_it_goes_on_exactly(
    tmp_path: Path, whole: list[dict[str, Any]]
) -> None:
    command, output = long_batch(tmp_path), tmp_path / "out.jsonl"
    for size in (20_000, 31_001):
        done = subprocess.run(
            [*COMMAND, *command],
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
            preexec_fn=lambda size=size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),  # type: ignore[misc]
        )
        assert done.returncode == 1
        assert done.stderr.decode().count("\n") == 1
        assert "File too large" in done.stderr.decode()
        assert_same(answers(output), whole)
    assert edgespec(*command).returncode == 0
    assert len(answers(output)) == len(whole)
    assert_same(answers(output), whole)


def test_a_terminal_shows_a_bar(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"prompt": "a", "max_tokens": 200}\n' * 8)
    files = ("batch", str(tmp_path / "in.jsonl"), "-o", str(tmp_path / "out.jsonl"))
    with Terminal(*files, *FAST, "--parallel", "2", TERM="xterm", COLUMNS="80") as terminal:
        code, screen = terminal.finish()
    assert code == 0
    assert re.search(r"━.*\d/8 rows  ETA \d+:\d\d:\d\d", screen)
    assert re.search(r"[\d.]+ rows/s, \d+ tok/s, 2 active, K 0.0", screen)
    assert len(answers(tmp_path / "out.jsonl")) == 8


def test_ctrl_c_says_how_to_go_on(tmp_path: Path, endless: str) -> None:
    lines = [{"prompt": "a", "max_tokens": 3}, {"prompt": "a", "max_tokens": 100_000}]
    (tmp_path / "in.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    output = tmp_path / "out.jsonl"
    files = ("batch", str(tmp_path / "in.jsonl"), "-o", str(output))
    process = start(*files, *FAST, "--grammar", endless)
    limit = time.monotonic() + PATIENCE
    while not (output.exists() and output.stat().st_size) and time.monotonic() < limit:
        time.sleep(0.01)
    interrupt(process)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    note = "edgespec: note: 1 of 2 rows are done; the same command goes on from there\n"
    assert errors.decode() == note


def test_models_that_cannot_take_tokens_back_answer_one_row_after_the_other(tmp_path: Path) -> None:
    model = lfm2_gguf(tmp_path / "hybrid.gguf")
    arguments = ("--model", str(model), *FAST, "--max-tokens", "4")
    done = edgespec("batch", "-", *arguments, stdin=b"a\nb\nc\n")
    assert done.returncode == 0
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["line"] for row in found] == [1, 2, 3]
    alone = edgespec("run", "a", "--model", str(model), *FAST, "--max-tokens", "4")
    assert found[0]["text"] == alone.stdout


@pytest.mark.parametrize("width", ["1", "3"])
def test_as_many_rows_at_a_time_as_asked_for(rows: Path, width: str) -> None:
    done = edgespec("batch", str(rows), *FAST, "--parallel", width)
    assert done.returncode == 5
    assert len(done.stdout.splitlines()) == 6


def test_samples_differ_by_chance_alone(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"prompt": "def main():", "n": 3, "max_tokens": 12}\n')
    done = edgespec("batch", str(tmp_path / "in.jsonl"), *FAST, "--temperature", "1.5")
    assert done.returncode == 0
    row = json.loads(done.stdout)
    samples = row["samples"]
    assert len({sample["text"] for sample in samples}) > 1
    likely = [sample["mean_logprob"] for sample in samples]
    assert row["best"]["sample"] == likely.index(max(likely))
    assert row["best"]["text"] == samples[row["best"]["sample"]]["text"]
    alone = edgespec("run", "def main():", *FAST, "-t", "1.5", "-n", "12")
    assert samples[0]["text"] == alone.stdout
