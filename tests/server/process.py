"""`edgespec serve` as a process on loopback."""

import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx2

from tests.cli.process import COMMAND, PATIENCE, environment

KEY = "test-key"


class Serving:
    """A running server. What it says on stderr is in the file `log`."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.process = process
        self.log = log
        self.port = self._port()
        self.url = f"http://127.0.0.1:{self.port}"
        headers = {"Authorization": f"Bearer {KEY}"}
        limits = httpx2.Limits(max_connections=None)
        self.client = httpx2.Client(
            base_url=self.url, headers=headers, timeout=PATIENCE, limits=limits, trust_env=False
        )
        self.until(self._healthy)

    def ask(self, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        """The status and the JSON of a request."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        method = "GET" if body is None else "POST"
        response = self.client.request(method, path, json=body, headers=named)
        return response.status_code, response.json()

    def chat(self, text: str, **options: object) -> dict[str, Any]:
        """The reply to one question."""
        body = {"model": "nano", "messages": [{"role": "user", "content": text}], **options}
        status, reply = self.ask("/v1/chat/completions", body)
        assert status == 200, reply
        assert isinstance(reply, dict)
        return reply

    def metric(self, name: str) -> float:
        """One value of /metrics."""
        text = self.client.get("/metrics").text
        found = re.search(rf"^edgespec_{name} (\S+)$", text, re.MULTILINE)
        assert found, text
        return float(found[1])

    def idle(self) -> None:
        """Wait until nothing is under way."""
        self.until(lambda: self.metric("active") == 0 and self.metric("queue") == 0)

    def until(self, reached: Callable[[], object]) -> None:
        """Wait until something is the case."""
        end = time.monotonic() + PATIENCE
        while not reached():
            assert time.monotonic() < end, self.log.read_text()
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.02)

    def stop(self) -> int:
        """End it in good order; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def _port(self) -> int:
        pattern = re.compile(r" at http://\S+:(\d+)/v1")
        self.until(lambda: pattern.search(self.log.read_text()))
        found = pattern.search(self.log.read_text())
        assert found
        return int(found[1])

    def _healthy(self) -> bool:
        try:
            return self.client.get("/health").status_code == 200
        except httpx2.TransportError:
            return False


@contextmanager
def serving(folder: Path, home: Path, *arguments: str, **variables: str) -> Iterator[Serving]:
    """A server with these arguments on any free port. Measurements are kept in `home`."""
    command = [*COMMAND, "serve", "--port", "0", "--threads", "1", *arguments]
    variables = {"EDGESPEC_HOME": str(home), **variables}
    log = folder / "server.log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            command,
            env=environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
        )
    try:
        running = Serving(process, log)
        with closing(running.client):
            yield running
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
