"""Ctrl+C ends an answer in good order; what was printed stays."""

import signal

import pytest

from edgespec.cli.interrupts import Interrupts
from tests.cli.process import PATIENCE, interrupt, start


def press() -> None:
    signal.raise_signal(signal.SIGINT)


def test_the_first_press_asks() -> None:
    asked: list[bool] = []
    with Interrupts(lambda: asked.append(True)) as interrupts:
        assert not interrupts.pressed
        press()
        assert interrupts.pressed
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()
    assert asked == [True]


def test_the_third_press_insists() -> None:
    with Interrupts():
        press()
        press()
        with pytest.raises(KeyboardInterrupt):
            press()


def test_outside_all_is_as_before() -> None:
    with Interrupts() as interrupts:
        pass
    with pytest.raises(KeyboardInterrupt):
        press()
    assert not interrupts.pressed


def test_a_process_that_ignores_it_goes_on_doing_so(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            press()
        assert not interrupts.pressed
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.native
def test_in_mid_answer_what_was_printed_stays(endless: str) -> None:
    arguments = ("run", "--threads", "1", "--raw", "the words are ", "--grammar", endless)
    with start(*arguments, "--no-speculate") as process:
        assert process.stdout
        first = process.stdout.read(1)
        interrupt(process)
        rest, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert first + rest
    assert errors == b""
