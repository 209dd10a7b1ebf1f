"""Layers on another machine, which is a process here; what happens when it goes away."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgespec.cli.worker import _is_loopback
from edgespec.errors import BackendUnavailable, InvalidInput
from edgespec_backends.llamacpp import rpc
from edgespec_backends.llamacpp.ggml import function
from tests.cli.process import COMMAND, ENDLESS, PATIENCE, edgespec, environment

pytestmark = pytest.mark.native
PLAIN = ("--threads", "1", "-t", "0", "--seed", "1")


def has_rpc() -> bool:
    try:
        function("ggml_backend_rpc_add_server", None)
    except AttributeError:
        return False
    return True


needs_rpc = pytest.mark.skipif(not has_rpc(), reason="this build of llama.cpp has no RPC backend")


def _free() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


class Worker:
    """`edgespec worker`, on a port of its own unless `endpoint` names one."""

    def __init__(self, endpoint: str = "") -> None:
        self.endpoint = endpoint or _free()
        self.process = subprocess.Popen(
            [*COMMAND, "worker", "--listen", self.endpoint, "--threads", "1"],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert self.process.stderr
        self.said = self.process.stderr.readline().decode()
        self._wait()

    @property
    def options(self) -> tuple[str, ...]:
        """Half of the built-in target's layers go there."""
        return ("--rpc", self.endpoint, "--device", "RPC0", "--gpu-layers", "4")

    def end(self, number: int) -> int:
        """The exit code, after a signal."""
        os.killpg(self.process.pid, number)
        return self.process.wait(PATIENCE)

    def _wait(self) -> None:
        host, port = self.endpoint.split(":")
        end = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection((host, int(port)), 1).close()
            except OSError:
                assert time.monotonic() < end, "the worker did not start"
                time.sleep(0.1)
            else:
                return


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker()
    with made.process:
        yield made
        made.process.kill()


def texts(output: Path) -> list[Any]:
    lines = map(json.loads, output.read_text(encoding="utf-8").splitlines())
    return [(line["id"], line["text"], line["finish_reason"]) for line in lines]


@needs_rpc
def test_texts_are_the_same_and_a_lost_worker_is_one_line(worker: Worker, tmp_path: Path) -> None:
    assert worker.said == (
        f"edgespec: note: the worker listens on {worker.endpoint}; Ctrl+C ends it\n"
    )
    rows, here, there = (tmp_path / name for name in ("in.jsonl", "here.jsonl", "there.jsonl"))
    prompts = [{"id": n, "prompt": f"def area_{n}(a):", "max_tokens": 12} for n in range(8)]
    rows.write_text("\n".join(map(json.dumps, prompts)))
    assert edgespec("batch", str(rows), "-o", str(here), *PLAIN).returncode == 0
    done = edgespec("batch", str(rows), "-o", str(there), *PLAIN, *worker.options)
    assert (done.returncode, done.stderr) == (0, "")
    assert texts(there) == texts(here)
    grammar = tmp_path / "endless.gbnf"
    grammar.write_text(ENDLESS)
    endless = ("run", *PLAIN, *worker.options, "--grammar", str(grammar), "tell me")
    with subprocess.Popen(
        [*COMMAND, *endless], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stdout.read(20)
        worker.end(signal.SIGKILL)
        stderr = process.communicate(timeout=PATIENCE)[1].decode()
    assert process.returncode == 1
    assert stderr.startswith(f"edgespec: error: the layers on RPC0 ({worker.endpoint}) are lost")
    assert len(stderr.splitlines()) == 1
    done = edgespec("run", *worker.options, "hello")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith(f"edgespec: error: there is no worker at {worker.endpoint}")


@needs_rpc
def test_a_worker_ends_on_ctrl_c_and_its_port_is_its_own(worker: Worker) -> None:
    second = edgespec("worker", "--listen", worker.endpoint)
    assert (second.returncode, second.stdout) == (2, "")
    assert f"nobody can listen at {worker.endpoint}" in second.stderr
    assert worker.end(signal.SIGINT) == 130
    assert worker.process.stdout
    assert worker.process.stdout.read() == b""


@needs_rpc
@pytest.mark.parametrize("crew", [("--workers", "2"), ("--ray", "auto")])
def test_a_worker_serves_one_process(worker: Worker, tmp_path: Path, crew: tuple[str, str]) -> None:
    rows, output = tmp_path / "in.txt", tmp_path / "out.jsonl"
    rows.write_text("hello\n")
    done = edgespec("batch", str(rows), "-o", str(output), *worker.options, *crew)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--rpc is for a batch in one process" in done.stderr
    assert not output.exists()


@needs_rpc
def test_a_worker_lost_in_a_batch_is_one_line(worker: Worker, tmp_path: Path) -> None:
    rows, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    prompts = [{"id": n, "prompt": f"def area_{n}(a):", "max_tokens": 150} for n in range(8)]
    rows.write_text("\n".join(map(json.dumps, prompts)))
    command = ("batch", str(rows), "-o", str(output), *PLAIN)
    with subprocess.Popen(
        [*COMMAND, *command, *worker.options, "--parallel", "2"],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        while not (output.exists() and output.read_bytes()):
            assert process.poll() is None
            time.sleep(0.01)
        worker.end(signal.SIGKILL)
        stderr = process.communicate(timeout=PATIENCE)[1].decode()
    assert process.returncode == 1
    assert stderr.startswith(f"edgespec: error: the layers on RPC0 ({worker.endpoint}) are lost")
    assert len(stderr.splitlines()) == 1
    assert edgespec(*command).returncode == 0
    assert [row for row, _, _ in texts(output)] == list(range(8))


@needs_rpc
def test_two_workers_can_be_used_as_one(worker: Worker) -> None:
    other = Worker()
    with other.process:
        both = ("--rpc", f"{worker.endpoint},{other.endpoint}", "--device", "RPC0+RPC1")
        prompt = ("run", *PLAIN, "-n", "12", "def main():")
        done = edgespec(*prompt, *both, "--gpu-layers", "-1")
        assert done.returncode == 0, done.stderr
        assert done.stdout == edgespec(*prompt).stdout
        other.process.kill()


@needs_rpc
def test_a_worker_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc, "_PATIENCE", 3.0)
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(BackendUnavailable, match="does not answer; it serves one program"),
    ):
        rpc.connect([f"127.0.0.1:{silent.getsockname()[1]}"])


def test_a_build_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any) -> None:
        raise AttributeError

    monkeypatch.setattr(rpc, "function", missing)
    with pytest.raises(BackendUnavailable, match="CMAKE_ARGS=-DGGML_RPC=on"):
        rpc.connect(["127.0.0.1:1"])
    with pytest.raises(BackendUnavailable, match="CMAKE_ARGS=-DGGML_RPC=on"):
        rpc.serve("127.0.0.1:1", 1, print)


@pytest.mark.parametrize("text", ["", "host", "host:", ":1", "host:0", "host:65536", "a:b"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(InvalidInput, match="is no address"):
        rpc.address(text)


@pytest.mark.parametrize(
    ("listen", "safe"),
    [("127.0.0.1:1", True), ("[::1]:1", True), ("localhost:1", True), ("0.0.0.0:1", False),
     ("192.0.2.1:1", False), ("example.org:1", False)],
)  # fmt: skip
def test_who_can_reach_a_worker(listen: str, safe: bool) -> None:
    assert _is_loopback(listen) is safe
