"""A batch as a whole: every row once, whatever its neighbours are."""

import json
import tracemalloc
from pathlib import Path
from random import Random

import pytest

from edgespec.batch.answers import OpenAIAnswers
from edgespec.batch.formats import FORMATS, FormatName
from edgespec.batch.output import Order
from edgespec.batch.progress import Progress
from edgespec.batch.rows import Settings
from edgespec.errors import BackendError
from tests.unit.batch.harness import STATS, Bench, EveryText, FakeExecutor


def test_rows_are_written_in_the_inputs_order(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [f'{{"prompt": "a", "id": {number}}}' for number in range(50)])
    last = bench.run(FakeExecutor(width=9))
    found = [json.loads(line) for line in bench.lines()]
    assert [row["id"] for row in found] == list(range(50))
    assert [row["seed"] for row in found] == list(range(50))
    assert (last.done, last.rows, last.failed, last.eta) == (50, 50, 0, 0.0)


def test_or_as_they_are_completed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [f'{{"prompt": "a", "id": {number}}}' for number in range(50)])
    bench.order = Order.COMPLETED
    executor = FakeExecutor(width=9)
    bench.run(executor)
    ids = [json.loads(line)["id"] for line in bench.lines()]
    assert ids == [task.row for task in executor.answered] != list(range(50))


def test_a_row_that_cannot_be_used_gets_a_line_and_the_others_go_on(tmp_path: Path) -> None:
    lines = ['{"prompt": "a"}', "nonsense", '{"prompt": "b", "n": "x", "id": 4}', '{"prompt": "c"}']
    bench = Bench(tmp_path, lines)
    last = bench.run()
    found = [json.loads(line) for line in bench.lines()]
    assert [row["error"] and row["error"]["column"] for row in found] == [None, 1, 22, None]
    assert [row["line"] for row in found] == [1, 2, 3, 4]
    assert found[2]["id"] == 4
    assert (last.done, last.failed) == (4, 2)


def test_an_answer_that_fails_concerns_its_row_alone(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ['{"prompt": "a", "n": 3}'] * 3)
    executor = FakeExecutor()
    executor.failing = {(1, 2)}
    last = bench.run(executor)
    found = [json.loads(line) for line in bench.lines()]
    assert [len(row.get("samples", ())) for row in found] == [3, 0, 3]
    assert found[1]["error"] == {"message": "the dog ate it", "line": 2, "column": None}
    assert last.failed == 1


def test_samples_vote(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ['{"prompt": "a", "n": 5}'])
    executor = FakeExecutor()
    executor.says = lambda request: ["x", " y", "y\n", "z", "x y"][request.choice]
    bench.run(executor)
    (row,) = [json.loads(line) for line in bench.lines()]
    assert row["vote"] == {"text": "y", "votes": 2}
    assert [sample["text"] for sample in row["samples"]] == ["x", " y", "y\n", "z", "x y"]


def test_the_likeliest_sample_is_the_best(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ['{"prompt": "a", "n": 4}', '{"prompt": "a"}'])
    executor = FakeExecutor()
    executor.says = lambda request: ["w", "x", "y", "z"][request.choice]
    # The first digits that a decode of another size would move decide nothing.
    executor.likes = lambda request: [-0.7, -0.30001, -0.3, -1.0][request.choice]
    bench.run(executor)
    four, one = [json.loads(line) for line in bench.lines()]
    assert four["best"] == {"text": "x", "sample": 1, "mean_logprob": -0.3}
    assert [sample["mean_logprob"] for sample in four["samples"]] == [-0.7, -0.3, -0.3, -1.0]
    assert not {"best", "vote"} & one.keys()


def test_openais_best_of(tmp_path: Path) -> None:
    body = {"prompt": "a", "n": 2, "best_of": 4}
    line = {"custom_id": "x", "method": "POST", "url": "/v1/completions", "body": body}
    bench = Bench(tmp_path, [json.dumps(line)], FORMATS[FormatName.OPENAI])
    bench.answers = OpenAIAnswers("a model", "a batch")
    executor = FakeExecutor()
    executor.says = lambda request: ["w", "x", "y", "z"][request.choice]
    executor.likes = lambda request: [-0.7, -0.3, -0.2, -1.0][request.choice]
    bench.run(executor)
    (answer,) = [json.loads(line)["response"]["body"] for line in bench.lines()]
    assert [(one["index"], one["text"]) for one in answer["choices"]] == [(0, "y"), (1, "x")]
    assert answer["usage"]["completion_tokens"] == 4 * STATS.tokens
    assert answer["edgespec"]["best"] == {"text": "y", "sample": 2, "mean_logprob": -0.2}


@pytest.mark.parametrize(
    ("pattern", "text", "votes"),
    [(r"is (\d+)", "7", 2), (r"\d+", "9", 2), (r"never", None, 0), (r"x|is( 7)", "7", 2)],
)
def test_a_part_of_the_text_votes(
    tmp_path: Path, pattern: str, text: str | None, votes: int
) -> None:
    bench = Bench(tmp_path, ['{"prompt": "a", "n": 4}'])
    bench.settings = Settings(vote=pattern)
    executor = FakeExecutor()
    said = ["3, so it is 7", "it is 7, not 9", "8 or 9", "who knows"]
    executor.says = lambda request: said[request.choice]
    bench.run(executor)
    (row,) = [json.loads(line) for line in bench.lines()]
    assert row["vote"] == {"text": text, "votes": votes}


def test_an_engine_that_fails_leaves_what_is_finished(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ['{"prompt": "a"}'] * 30)
    executor, calls = FakeExecutor(width=1), iter(range(10))

    def fail() -> None:
        if next(calls, None) is None:
            raise BackendError("the engine is on fire")

    executor.on_next = fail
    with pytest.raises(BackendError):
        bench.run(executor)
    assert len(bench.lines()) == 10
    again = FakeExecutor()
    bench.run(again)
    assert len(again.answered) == 20
    assert len(bench.lines()) == 30


def test_an_empty_input_has_an_empty_output(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [])
    assert bench.run().done == 0
    assert bench.lines() == []


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    peaks = []
    for rows in (1000, 11_000):
        (tmp_path / str(rows)).mkdir()
        bench = Bench(tmp_path / str(rows), ['{"prompt": "' + "a" * 500 + '"}'] * rows)
        bench.preparer = EveryText()
        executor = FakeExecutor()
        executor.on_next = executor.answered.clear
        tracemalloc.start()
        bench.run(executor)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # Four numbers of eight bytes a row, while an array that grows has its double for a moment.
    assert peaks[1] - peaks[0] < 10_000 * 4 * 8 * 2


def test_the_eta_is_right(tmp_path: Path) -> None:
    """Each answer takes a second of a pretended clock; a tenth of the rows tells the rest."""
    sizes = Random(0).choices(range(1, 90), k=400)
    bench = Bench(tmp_path, ['{"prompt": "' + "a" * size + '"}' for size in sizes])
    clock = iter(range(10_000_000))
    seen: list[Progress] = []
    bench.clock = lambda: next(clock) / 10
    bench.run(on_progress=lambda now, _: seen.append(now))
    total = seen[-1].seconds
    for now in seen[40:]:
        assert now.eta is not None
        assert now.seconds + now.eta == pytest.approx(total, rel=0.1)
