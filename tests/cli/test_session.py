"""Answers of a scripted engine."""

import json
import signal
from collections.abc import Iterator
from typing import cast

import pytest

from edgespec.catalog import Pair
from edgespec.cli import session
from edgespec.cli.interrupts import Interrupts
from edgespec.cli.options import ModelSettings
from edgespec.cli.output import Output
from edgespec.cli.run import _json
from edgespec.cli.session import Reply, answer, open_engine
from edgespec.engine import Engine
from edgespec.events import Finish, FinishReason, Notice, Request, Source, Stats, StepEvent, Token
from edgespec.loading import LoadOptions, OnNote, OnProgress

STATS = Stats(
    prompt_tokens=1,
    cached_tokens=0,
    tokens=2,
    rounds=1,
    drafted=0,
    accepted=0,
    ties=0,
    prefill=0.1,
    ttft=0.2,
    decode=0.3,
    plain_step=None,
)
FINISH = Finish(FinishReason.EOG, "!", STATS)
SETTINGS = ModelSettings(
    model=None, drafter=None, context=None, threads=2, draft_length=5, no_speculate=True
)


def word(text: str) -> Token:
    return Token(id=1, piece=text, source=Source.TARGET, position=1, round=0, tie=False)


class Script:
    """Plays events in place of an engine; None stands for Ctrl+C."""

    def __init__(self, *events: StepEvent | None) -> None:
        self._events = events
        self.aborted = False
        self.closed = False

    def generate(self, _request: Request, _on_round: None) -> Iterator[StepEvent]:
        try:
            for event in self._events:
                if event is None:
                    signal.raise_signal(signal.SIGINT)
                else:
                    yield event
        finally:
            self.closed = True

    def abort(self) -> None:
        self.aborted = True


def play(script: Script, output: Output | None = None) -> Reply:
    with Interrupts() as interrupts:
        return answer(cast(Engine, script), Request(prompt=(1,)), interrupts, output)


def test_an_answer_is_shown_piece_by_piece(capsys: pytest.CaptureFixture[str]) -> None:
    assert play(Script(word("a"), word("b"), FINISH), Output()) == Reply("ab!", FINISH)
    assert capsys.readouterr() == ("ab!", "")


def test_without_an_output_nothing_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert play(Script(word("a"), FINISH)).text == "a!"
    assert capsys.readouterr() == ("", "")


def test_notices_do_not_interrupt_the_text(capsys: pytest.CaptureFixture[str]) -> None:
    play(Script(word("a"), Notice("the drafter failed"), word("b"), FINISH), Output())
    assert capsys.readouterr() == ("ab!", "edgespec: note: the drafter failed\n")


def test_ctrl_c_ends_the_answer_and_keeps_what_there_is() -> None:
    script = Script(word("a"), None, word("b"), word("c"), FINISH)
    assert play(script) == Reply("ab", None)
    assert script.aborted
    assert script.closed


def test_an_engine_that_stops_by_itself_on_ctrl_c_leaves_no_finish_either() -> None:
    assert play(Script(word("a"), None)) == Reply("a", None)


def test_json_of_an_interrupted_answer() -> None:
    assert json.loads(_json(Reply("a", None), 7)) == {
        "text": "a",
        "finish_reason": "interrupted",
        "seed": 7,
        "stats": None,
    }


def test_the_settings_reach_the_loader_and_its_notes_the_user(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[tuple[Pair, LoadOptions]] = []

    def load(pair: Pair, options: LoadOptions, on_progress: OnProgress, on_note: OnNote) -> Engine:
        seen.append((pair, options))
        on_note("it drafts through text")
        return cast(Engine, None)

    monkeypatch.setattr(session, "load", load)
    open_engine(SETTINGS, Interrupts())
    assert capsys.readouterr().err == "edgespec: note: it drafts through text\n"
    [(pair, options)] = seen
    assert pair.drafter is None
    assert options == LoadOptions(n_ctx=0, threads=2, draft_length=5, speculate=False)


def test_ctrl_c_ends_the_loading_at_its_next_report(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(
        _pair: Pair, _options: LoadOptions, on_progress: OnProgress, _on_note: OnNote
    ) -> Engine:
        assert on_progress("target", 0.1)
        signal.raise_signal(signal.SIGINT)
        on_progress("target", 0.2)
        raise AssertionError("the loading went on")

    monkeypatch.setattr(session, "load", load)
    with Interrupts() as interrupts, pytest.raises(KeyboardInterrupt):
        open_engine(SETTINGS, interrupts)
