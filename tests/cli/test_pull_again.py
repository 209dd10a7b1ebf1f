"""`edgespec pull` that is killed, stopped, short of room or not alone, and goes on from there."""

import hashlib
import random
import signal
import subprocess
import time
from itertools import pairwise
from pathlib import Path
from threading import Event

import pytest

from tests import hubserver
from tests.cli.conftest import Run
from tests.cli.process import COMMAND, PATIENCE, Terminal, environment
from tests.cli.process import edgespec as execute
from tests.hubserver import HubServer, Repo, serving

TINY = "hf:me/tiny-GGUF:Q8_0"


def test_a_disk_that_is_full(
    server: HubServer, variables: dict[str, str], edgespec: Run, data: bytes, edgespec_home: Path
) -> None:
    # A file may have 200 blocks of 1 KiB: what a write beyond does is like a full disk.
    done = subprocess.run(
        ["bash", "-c", 'ulimit -f 200; exec "$@"', "bash", *COMMAND, "pull", TINY],
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    line = done.stderr.splitlines()[-1]
    assert line.startswith("edgespec: error: there is no room for tiny-Q8_0.gguf of me/tiny-GGUF")
    assert "free some and pull it again; what was fetched is kept" in line
    (part,) = edgespec_home.rglob("*.part")
    assert part.stat().st_size == 200 << 10
    server.sent.clear()
    assert edgespec("pull", TINY).returncode == 0
    assert server.sent[-1].start == 200 << 10


def test_ctrl_c_keeps_what_was_fetched(
    server: HubServer, variables: dict[str, str], edgespec: Run, edgespec_home: Path
) -> None:
    server.bytes_per_second = 500_000
    with Terminal("pull", TINY, **variables) as terminal:
        terminal.until("10 %")
        terminal.type("\x03")
        code, screen = terminal.finish()
    assert code == 130
    assert "stopped; what was fetched is kept, and the same command goes on" in screen
    assert "Traceback" not in screen
    (part,) = edgespec_home.rglob("*.part")
    size = part.stat().st_size
    assert size > 0
    server.bytes_per_second = 0
    server.sent.clear()
    assert edgespec("pull", TINY).returncode == 0
    assert server.sent[-1].start == size


def test_a_closed_lid(
    server: HubServer, variables: dict[str, str], edgespec_home: Path, data: bytes
) -> None:
    asleep = Event()

    def forget(handler: hubserver.Handler, content: bytes) -> bool:
        """The connection does not outlive the sleep."""
        start, _ = handler.begin(content)
        handler.pour(content[start : start + 300_000])
        asleep.wait(PATIENCE)
        handler.hang_up()
        return True

    server.faults = [lambda *_: False, forget]
    pull = subprocess.Popen([*COMMAND, "pull", TINY], env=environment(**variables))
    while not any(part.stat().st_size for part in edgespec_home.rglob("*.part")):
        assert pull.poll() is None
        time.sleep(0.01)
    pull.send_signal(signal.SIGSTOP)
    asleep.set()
    time.sleep(0.2)
    pull.send_signal(signal.SIGCONT)
    assert pull.wait(PATIENCE) == 0
    (file,) = edgespec_home.rglob("*.gguf")
    assert file.read_bytes() == data


def test_two_processes_fetch_it_once(
    server: HubServer, variables: dict[str, str], data: bytes
) -> None:
    server.bytes_per_second = 1_000_000
    both = [
        subprocess.Popen(
            [*COMMAND, "pull", TINY], env=environment(**variables), stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    said = [one.communicate()[1] for one in both]
    assert [one.returncode for one in both] == [0, 0]
    assert sum(b"another edgespec is fetching it" in text for text in said) == 1
    assert _fetched(server) == len(data)


@pytest.mark.slow
def test_killed_twenty_times(
    tmp_path: Path, data: bytes, variables: dict[str, str], edgespec_home: Path
) -> None:
    """At most 1 MiB is fetched twice for each kill."""
    size, kills, dice = 200 << 20, 20, random.Random(0)
    padding = b"\0" * (size - len(data))
    digest = hashlib.sha256(data + padding).hexdigest()
    repos = {"me/big": Repo({"big-Q8_0.gguf": data + padding})}
    with serving(repos, bytes_per_second=60_000_000) as server:
        variables["HF_ENDPOINT"] = server.endpoint
        for _ in range(kills):
            running = subprocess.Popen(
                [*COMMAND, "pull", "hf:me/big"],
                env=environment(**variables),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            if dice.random() < 0.8:
                _until_content(server, running)
                time.sleep(dice.uniform(0, 0.15))
            else:
                time.sleep(dice.uniform(0, 0.8))
            running.send_signal(signal.SIGKILL)
            running.wait()
            time.sleep(0.05)  # The server's thread sees the end of its connection.
        done = execute("pull", "hf:me/big", stdin=None, **variables)
        assert (done.returncode, done.stdout[:9]) == (0, "hf:me/big")
        asked = [sent for sent in server.sent if sent.to_the_end]
        twice = [one.start + one.length - next_.start for one, next_ in pairwise(asked)]
    (file,) = edgespec_home.rglob("*.gguf")
    assert hashlib.sha256(file.read_bytes()).hexdigest() == digest
    assert len(twice) >= kills // 2
    assert max(twice) <= 1 << 20


def _fetched(server: HubServer) -> int:
    """Bytes that went out to fetch the file; headers are asked for by blocks."""
    return sum(sent.length for sent in server.sent if sent.to_the_end)


def _until_content(server: HubServer, running: "subprocess.Popen[bytes]") -> None:
    before = len([sent for sent in server.sent if sent.to_the_end])
    while running.poll() is None:
        if len([sent for sent in server.sent if sent.to_the_end]) > before:
            return
        time.sleep(0.01)
