"""Claims to be first, made and lost by real processes."""

import subprocess
import sys
from pathlib import Path

import pytest

from edgespec import priority

CLAIM = """
from edgespec.priority import claimed

with claimed():
    print("claimed", flush=True)
    input()
"""


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGESPEC_HOME", str(tmp_path))


def claimant() -> "subprocess.Popen[str]":
    """A process that has a claim."""
    process = subprocess.Popen(
        [sys.executable, "-c", CLAIM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "claimed\n"
    return process


def test_a_claim_lasts_as_long_as_it_is_held() -> None:
    assert not priority.is_claimed()
    with priority.claimed():
        assert priority.is_claimed()
        with priority.claimed():
            pass
        assert priority.is_claimed()
    assert not priority.is_claimed()
    assert list(priority.folder().iterdir()) == []


def test_another_process_is_seen() -> None:
    with claimant() as process:
        assert priority.is_claimed()
        process.communicate("\n")
    assert not priority.is_claimed()


def test_the_claim_of_a_killed_process_is_gone() -> None:
    with claimant() as process:
        process.kill()
    assert len(list(priority.folder().iterdir())) == 1
    assert not priority.is_claimed()
    assert list(priority.folder().iterdir()) == []


def test_where_nothing_can_be_written_nothing_is_claimed(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    with priority.claimed():
        assert not priority.is_claimed()
