"""Asks a server many short requests and holds many streams at once, and sees what is lost or grows:
`python tests/soak/serve.py [--requests N] [--streams N]`.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import httpx2
import psutil

ROOT = Path(__file__).parents[2]
for folder in ("tui", "backends", "."):
    sys.path.insert(0, str(ROOT / folder))

if TYPE_CHECKING:
    from tests.server.process import Serving

CLIENTS = 8
ROUNDS = 10
SETTLED = 3
"""Rounds after which nothing may grow any more."""
MEMORY = 8 << 20
"""Bytes: allocators keep some."""
KEPT = 8
"""Connections that clients keep, and threads that were not needed before."""


@dataclass(frozen=True, slots=True)
class Look:
    """Bytes of memory that no file is behind, open files and threads of the server."""

    memory: int
    files: int
    threads: int


class Load:
    """What is asked of `server`, and what was lost."""

    def __init__(self, server: "Serving") -> None:
        self._server = server
        self._process = psutil.Process(server.process.pid)
        self.lost: list[str] = []

    def short(self, number: int) -> None:
        """One of four kinds of short requests."""
        path, body, expected = _kinds(number)
        with self._watched(path):
            status, reply = self._server.ask(path, body)
            if status != expected:
                self.lost.append(f"{path}: {status} {reply}")

    def stream(self, number: int) -> None:
        """One answer, to its end."""
        body = {"model": "nano", "prompt": "def", "max_tokens": 20, "seed": number, "stream": True}
        with self._watched("stream"):
            with self._server.client.stream("POST", "/v1/completions", json=body) as response:
                lines = [line for line in response.iter_lines() if line]
            if response.status_code != 200 or lines[-1] != "data: [DONE]":
                self.lost.append(f"stream: {response.status_code} {lines[-1:]}")

    @contextmanager
    def _watched(self, what: str) -> Iterator[None]:
        try:
            yield
        except httpx2.TransportError as error:
            self.lost.append(f"{what}: {error!r}")

    def repeat(self, what: Callable[[int], None], count: int, clients: int) -> Look:
        """Do it `count` times, by so many clients; what the server is like then."""
        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(what, range(count)))
        self._server.idle()
        memory = self._process.memory_info()
        private = memory.rss - memory.shared
        return Look(private, self._process.num_fds(), self._process.num_threads())


def _kinds(number: int) -> tuple[str, dict[str, object], int]:
    few: dict[str, object] = {"model": "nano", "max_tokens": 1 + number % 3, "seed": number}
    said = [{"role": "user", "content": f"Hello {number}"}]
    kinds: tuple[tuple[str, dict[str, object], int], ...] = (
        ("/v1/completions", {**few, "prompt": "def"}, 200),
        ("/v1/chat/completions", {**few, "messages": said}, 200),
        ("/v1/embeddings", {"model": "embedder", "input": f"text {number}"}, 200),
        ("/v1/completions", {**few, "prompt": "def", "temperature": -1}, 400),
    )
    return kinds[number % len(kinds)]


def main() -> int:
    parser = argparse.ArgumentParser(description="See what a busy server loses, and what grows.")
    parser.add_argument("--requests", type=int, default=10_000, help="short ones, in all")
    parser.add_argument("--streams", type=int, default=200, help="at once, ten times")
    options = parser.parse_args()
    from tests.ggufs import bert_gguf
    from tests.server.process import KEY, serving

    with TemporaryDirectory(prefix="edgespec-soak-") as name:
        folder = Path(name)
        embedder = str(bert_gguf(folder / "embedder.gguf"))
        limits = ("--parallel", "4", "--queue", str(options.streams))
        with serving(folder, folder, "--api-key", KEY, "--also", embedder, *limits) as server:
            load = Load(server)
            seen = []
            for number in range(1, ROUNDS + 1):
                load.repeat(load.stream, options.streams, options.streams)
                seen.append(load.repeat(load.short, options.requests // ROUNDS, CLIENTS))
                print(f"{number} of {ROUNDS}: {seen[-1]}", flush=True)
    wrong = [*load.lost, *complaints(seen[SETTLED - 1], seen[-1])]
    for line in wrong:
        print(f"soak: {line}")
    return 1 if wrong else 0


def complaints(settled: Look, last: Look) -> list[str]:
    """What grew."""
    found = {
        "memory grew": last.memory > settled.memory + MEMORY,
        "files stay open": last.files > settled.files + KEPT,
        "threads stay": last.threads > settled.threads + KEPT,
    }
    return [what for what, is_so in found.items() if is_so]


if __name__ == "__main__":
    sys.exit(main())
