"""llama-server as a side of a benchmark: started, asked over HTTP on loopback, stopped."""

import json
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from time import monotonic, perf_counter, sleep
from typing import IO, Any

from measured import Measured

_START_SECONDS = 300
_HOST = "127.0.0.1"


class Server:
    """A running llama-server."""

    def __init__(self, port: int, process: int) -> None:
        self.port = port
        self.process = process

    def answer(
        self,
        prompt: Sequence[int],
        tokens: int,
        *,
        temperature: float,
        seed: int,
        resume: bool = False,
    ) -> Measured:
        """One answer by the server's own clock, sampled by the same cuts as edgespec's default.

        With `resume`, what its cache holds of the prompt is not read again.
        """
        body = {
            "prompt": list(prompt),
            "n_predict": tokens,
            "temperature": temperature,
            "seed": seed,
            "top_k": 40,
            "top_p": 0.95,
            "min_p": 0.05,
            "samplers": ["top_k", "top_p", "min_p", "temperature"],
            "cache_prompt": resume,
        }
        begin = perf_counter()
        timings = self._ask("/completion", body)["timings"]
        wall = perf_counter() - begin
        drafted, accepted = timings.get("draft_n", 0), timings.get("draft_n_accepted", 0)
        seconds = timings["predicted_ms"] / 1e3
        return Measured(timings["predicted_n"], seconds, wall, drafted, accepted)

    def healthy(self) -> bool:
        """Whether the model is loaded."""
        try:
            return bool(self._ask("/health").get("status") == "ok")
        except (OSError, HTTPException, ValueError):
            return False

    def _ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        connection = HTTPConnection(_HOST, self.port, timeout=600)
        try:
            data = json.dumps(body) if body else None
            headers = {"Content-Type": "application/json"}
            connection.request("POST" if body else "GET", path, data, headers)
            response = connection.getresponse()
            reply: dict[str, Any] = json.loads(response.read())
        finally:
            connection.close()
        if body and response.status != 200:
            raise SystemExit(f"llama-server answered {response.status}: {reply}")
        return reply


@contextmanager
def serving(
    program: Path, model: Path, n_ctx: int, threads: int, mode: Sequence[str]
) -> Iterator[Server]:
    """A llama-server with one slot and the flags of `mode`, as long as the context lasts."""
    port = _free_port()
    flags = {
        "--model": model,
        "--ctx-size": n_ctx,
        "--threads": threads,
        "--parallel": 1,
        "--device": "none",
        "--fit": "off",
        "--cache-ram": 0,
        "--host": _HOST,
        "--port": port,
    }
    command = [str(program), *(str(part) for flag in flags.items() for part in flag), *mode]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            server = Server(port, process.pid)
            _wait(server, process, log)
            yield server
        finally:
            _stop(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


def _wait(server: Server, process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    limit = monotonic() + _START_SECONDS
    while not server.healthy():
        if process.poll() is not None or monotonic() > limit:
            log.seek(0)
            last_words = log.read().decode(errors="replace")[-2000:]
            raise SystemExit(f"llama-server did not start:\n{last_words}")
        sleep(0.1)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
