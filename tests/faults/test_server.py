"""A server that is told to end, or that the system gives too little: nobody waits for nothing."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import psutil
import pytest

from tests.backends.test_rpc import Worker, needs_rpc
from tests.cli.process import ENDLESS, PATIENCE
from tests.faults import surroundings as around
from tests.faults.matrix import Cell, cell
from tests.faults.stages import PLAIN
from tests.server.process import Serving, serving

pytestmark = pytest.mark.native

Record = Callable[[Cell], None]
OPEN = ("--no-api-key", "--no-speculate")
ASKED = {"model": "nano", "prompt": "def main():", "max_tokens": 4}


def last_line(server: Serving) -> str:
    """What it said beside where it is, which is one line at most."""
    told = server.log.read_text().splitlines()
    said = [line for line in told if line.startswith("edgespec: ")]
    assert len(said) <= 1, told
    assert len(told) == 1 + len(said), told
    return said[0] if said else ""


@pytest.mark.parametrize(
    ("name", "code"), [("SIGINT", 130), ("SIGTERM", 0), ("SIGHUP", 129), ("SIGKILL", -9)]
)
def test_told_to_end(name: str, code: int, record: Record, tmp_path: Path) -> None:
    asked = {**ASKED, "max_tokens": 300, "grammar": ENDLESS, "stream": True}
    with serving(tmp_path, tmp_path, *OPEN) as server:
        with server.client.stream("POST", "/v1/completions", json=asked) as response:
            lines = response.iter_lines()
            while '"text": ' not in next(lines):
                pass
            os.killpg(server.process.pid, getattr(signal, name))
            try:
                whole = [line for line in lines if line][-1] == "data: [DONE]"
            except httpx2.TransportError:
                whole = False
        assert server.process.wait(PATIENCE) == code
        said = last_line(server)
    assert whole is (name != "SIGKILL")
    then = "the answer under way is finished" if whole else "the answer under way breaks off"
    record(Cell(name, "serve", code, said, then))


def test_few_open_files(record: Record, tmp_path: Path) -> None:
    with serving(tmp_path, tmp_path, *OPEN) as server:
        process = psutil.Process(server.process.pid)
        assert server.ask("/v1/completions", ASKED)[0] == 200
        process.rlimit(psutil.RLIMIT_NOFILE, (process.num_fds() + 8,) * 2)
        idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(40)]
        assert server.ask("/v1/completions", ASKED)[0] == 200  # On a connection that was there.
        server.until(lambda: "Too many open files" in server.log.read_text())
        time.sleep(2.5)  # It tries again each second, and says nothing more.
        for connection in idle:
            connection.close()
        server.until(lambda: _answers_anew(server.url))
        said = last_line(server)
        done = subprocess.CompletedProcess((), server.stop(), "", said)
    assert done.returncode == 0
    then = "who has a connection is answered; others are once there are more"
    record(cell("few open files", "serve, 40 idle connections", done, then))


def _answers_anew(url: str) -> bool:
    try:
        return httpx2.post(f"{url}/v1/completions", json=ASKED, timeout=5).status_code == 200
    except httpx2.TransportError:
        return False


@pytest.mark.skipif(not around.can_mount(), reason="no namespaces here")
def test_a_home_that_cannot_be_written(edgespec_home: Path, record: Record, tmp_path: Path) -> None:
    edgespec_home.mkdir()
    done = around.run("serve", "--port", "0", *PLAIN, around=around.read_only(edgespec_home))
    assert done.returncode == 1
    assert "Read-only file system; give one with --api-key" in done.stderr
    assert done.stderr.count("\n") == 1
    record(cell("read-only home", "serve", done, "nothing listens", tmp_path))


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker()
    with made.process:
        yield made
        made.process.kill()


@needs_rpc
def test_a_worker_that_goes_away(worker: Worker, record: Record, tmp_path: Path) -> None:
    """Layers of the target are there."""
    asked = {**ASKED, "temperature": 0}
    with serving(tmp_path, tmp_path, *OPEN, *worker.options) as server:
        before = server.ask("/v1/completions", asked)
        assert before[0] == 200
        worker.end(signal.SIGKILL)
        for _ in range(2):  # Who finds out, and who comes while there is no worker.
            status, reply = server.ask("/v1/completions", asked)
            assert status == 503
            assert "see whether edgespec worker still runs there" in reply["error"]["message"]
        again = Worker(worker.endpoint)
        with again.process:
            after = server.ask("/v1/completions", asked)
            assert after[1]["choices"] == before[1]["choices"]
            assert server.stop() == 0
            again.process.kill()
        said = last_line(server).replace(worker.endpoint, "…")
    then = "status 503 as long as it is gone; the same text once it is back"
    record(Cell("device disappears", "of a server's target, on a worker", 0, said, then))
