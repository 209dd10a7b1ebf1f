import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgespec.messages import Role
from edgespec.store.records import Crashed
from edgespec.store.session import Session
from edgespec.store.store import Store
from tests.cli.process import environment

DIE = """
import os, sys
from pathlib import Path
from edgespec.messages import Role
from edgespec.store.session import Session
from edgespec.store.store import Store

store = Store(Path(sys.argv[1]))
session = Session(store)
conversation = store.create("Cut short")
store.add(conversation, None, Role.USER, "Are you")
session.remember(conversation, "still th")
if sys.argv[2] == "politely":
    session.goodbye()
os._exit(9)
"""


def die(file: Path, how: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DIE, str(file), how], env=environment(), check=False
    )
    assert done.returncode == 9


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "conversations.db"


def test_a_session_that_was_killed_is_found_once(file: Path) -> None:
    die(file, "suddenly")
    with Store(file) as store:
        assert Session(store).crashed == Crashed(1, "still th")
        assert store.load(1).path()[0].text == "Are you"
        assert Session(store).crashed is None


def test_a_killed_process_that_nobody_asked_for_is_dead(file: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", DIE, str(file), "suddenly"], env=environment()
    )
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    with Store(file) as store:
        assert Session(store).crashed == Crashed(1, "still th")
    process.wait()


def test_a_session_that_said_goodbye_is_not(file: Path) -> None:
    die(file, "politely")
    with Store(file) as store:
        assert Session(store).crashed is None


def test_a_session_that_still_runs_has_not_crashed(file: Path) -> None:
    with Store(file) as store, Store(file) as other:
        running = Session(store)
        running.remember(store.create("Running"), "")
        assert Session(other).crashed is None


def test_the_number_of_a_dead_process_can_be_given_to_another(file: Path) -> None:
    with Store(file) as store:
        Session(store).remember(7, "old")
        store.execute("UPDATE session SET started = started - 100")
        assert Session(store).crashed == Crashed(7, "old")


def test_an_empty_session_leaves_nothing_to_come_back_to(file: Path) -> None:
    with Store(file) as store:
        Session(store)
        store.execute("UPDATE session SET started = started - 100")
        assert Session(store).crashed is None
        assert store.add(store.create("a"), None, Role.USER, "b").id == 1
