import io
from pathlib import Path

import pytest

from edgespec.cli import diagnostics
from edgespec.cli.diagnostics import Progress
from edgespec.events import Stats


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def progress(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, *times: float) -> str:
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(diagnostics, "_columns", lambda: 20)
    ticks = iter([0.0, *times])
    with Progress(clock=lambda: next(ticks)) as shown:
        for number, _ in enumerate(times):
            shown.show("loading the target", number / 10)
    return stream.getvalue()


def test_what_is_quick_shows_no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    assert progress(monkeypatch, Screen(), 0.1, 0.4) == ""


def test_progress_rewrites_one_line_and_erases_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    text = progress(monkeypatch, Screen(), 0.1, 0.6, 0.7)
    assert text == "\r\x1b[Kloading the target \r\x1b[K"


@pytest.mark.parametrize(("stream", "term"), [(io.StringIO(), "xterm"), (Screen(), "dumb")])
def test_progress_is_for_terminals_that_can_erase(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, term: str
) -> None:
    monkeypatch.setenv("TERM", term)
    assert progress(monkeypatch, stream, 1.0, 2.0) == ""


def test_a_failure_that_nobody_foresaw_is_one_line_and_a_log(
    capsys: pytest.CaptureFixture[str], edgespec_home: Path
) -> None:
    diagnostics.unexpected(ValueError("two\nlines"))
    log = edgespec_home / "log" / "edgespec.log"
    assert capsys.readouterr().err == (
        f"edgespec: error: unexpected ValueError: two lines; the details are in {log}\n"
    )
    assert "ValueError: two\nlines" in log.read_text()


def test_without_a_log_the_line_is_all(
    capsys: pytest.CaptureFixture[str], edgespec_home: Path
) -> None:
    edgespec_home.write_text("no folder")
    diagnostics.unexpected(ValueError("what"))
    assert capsys.readouterr().err == "edgespec: error: unexpected ValueError: what\n"


def test_notes_cannot_drive_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    diagnostics.note("\x1b[2J")
    assert capsys.readouterr().err == "edgespec: note: ␛[2J\n"


def stats(**changes: float | None) -> Stats:
    values: dict[str, float | None] = {
        **{"prompt_tokens": 8, "cached_tokens": 0, "tokens": 31, "rounds": 10},
        **{"drafted": 40, "accepted": 20, "ties": 0},
        **{"prefill": 0.2, "ttft": 0.25, "decode": 2.0, "plain_step": 0.1},
    }
    return Stats(**(values | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {},
            "31 tokens, 15.0 tok/s, 1.50x plain, TTFT 0.25 s, acceptance 50%, "
            "mean accepted length 3.00, seed 7",
        ),
        (
            {"ties": 2, "plain_step": None, "drafted": 0},
            "31 tokens, 15.0 tok/s, TTFT 0.25 s, mean accepted length 3.00, ties 2, seed 7",
        ),
        (
            {"tokens": 11, "drafted": 0, "accepted": 0, "decode": 1.0},
            "11 tokens, 10.0 tok/s, 1.00x plain, TTFT 0.25 s, "
            "nothing drafted, since it would not have paid, mean accepted length 1.00, seed 7",
        ),
        (
            {"tokens": 1, "rounds": 0, "drafted": 0, "plain_step": None},
            "1 token, TTFT 0.25 s, seed 7",
        ),
    ],
)
def test_the_line_of_statistics(changes: dict[str, float | None], line: str) -> None:
    assert diagnostics.stats_line(stats(**changes), 7) == line
