"""The stages of the program's work, each as a process that can be met in the middle of it."""

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from select import select

from edgespec import paths
from tests.cli.process import COMMAND, ENDLESS, PATIENCE, edgespec, environment
from tests.hubserver import HubServer

Process = subprocess.Popen[bytes]
PLAIN = ("--threads", "1", "--no-speculate")
NAMES = ("loading", "prefill", "decode", "download", "batch")
REPOSITORY = "hf:me/tiny-GGUF"
ROWS = 16
_ENOUGH = 1 << 19
"""Bytes of a download that hold the model's header, which is not fetched again then."""


@dataclass(frozen=True, slots=True)
class Stage:
    """`arguments` start a process which is in the stage as soon as `reached` says so.

    `check` looks at what is left when it has ended, given its stdout, and tells what it found.
    """

    arguments: tuple[str, ...]
    reached: Callable[[Process], bool]
    check: Callable[[bytes], str]
    variables: Mapping[str, str] = field(default_factory=dict)
    stdin: bytes = b""

    def start(self, **more: str) -> Process:
        """A process that will come to the stage."""
        process = subprocess.Popen(
            [*COMMAND, *self.arguments],
            env=environment(**self.variables, **more),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdin
        process.stdin.write(self.stdin)
        process.stdin.close()
        process.stdin = None
        return process

    def wait(self, process: Process) -> None:
        """Return as soon as the process is in the stage."""
        end = time.monotonic() + PATIENCE
        while not self.reached(process):
            assert process.poll() is None, f"{self.arguments} was over too soon"
            assert time.monotonic() < end, f"{self.arguments} did not come so far"
            time.sleep(0.01)


def has_begun(process: Process) -> bool:
    """Whether there is something on stdout; it is not read."""
    assert process.stdout
    return bool(select([process.stdout.fileno()], [], [], 0)[0])


def stages(folder: Path, model: Path, hub: HubServer) -> dict[str, Stage]:
    """All stages, working in `folder`."""
    found = _loading(), _prefill(model), _decode(folder, model), _download(folder, hub)
    return dict(zip(NAMES, (*found, _batch(folder)), strict=True))


def _loading() -> Stage:
    def reached(process: Process) -> bool:
        maps = Path(f"/proc/{process.pid}/maps")
        return sys.platform != "linux" or "libllama" in maps.read_text(errors="replace")

    def check(stdout: bytes) -> str:
        assert stdout == b""
        assert edgespec("run", *PLAIN, "-n", "2", "hi").returncode == 0
        return "the same command works"

    # Speculation has the machine measured, which takes seconds.
    return Stage(("run", "--threads", "1", "-n", "2", "hi"), reached, check)


def _prefill(model: Path) -> Stage:
    def reached(_: Process) -> bool:
        return any((paths.cache_dir() / "measurements").glob("*.json"))

    def check(stdout: bytes) -> str:
        assert stdout == b""
        return "nothing was printed"

    arguments = ("run", *PLAIN, "--raw", "-m", str(model), "-n", "2")
    return Stage(arguments, reached, check, stdin=b"hello there " * 960)


def _decode(folder: Path, model: Path) -> Stage:
    endless = folder / "endless.gbnf"
    endless.write_text(ENDLESS)

    def check(stdout: bytes) -> str:
        assert stdout
        return "what was printed stays"

    arguments = ("run", *PLAIN, "--raw", "the words", "--grammar", str(endless), "-m", str(model))
    return Stage(arguments, has_begun, check)


def _download(folder: Path, hub: HubServer) -> Stage:
    variables = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(folder / "hf"), "HF_TOKEN": ""}
    [data] = hub.repos["me/tiny-GGUF"].files.values()

    def part() -> int:
        sizes = [file.stat().st_size for file in paths.models_dir().glob(".partial/*.part")]
        return max(sizes, default=0)

    def check(_: bytes) -> str:
        assert (kept := part())
        hub.bytes_per_second = 0
        assert edgespec("pull", REPOSITORY, stdin=None, **variables).returncode == 0
        assert hub.sent[-1].start == kept
        [file] = paths.models_dir().glob("me/**/*.gguf")
        assert hashlib.sha256(file.read_bytes()).digest() == hashlib.sha256(data).digest()
        return "the same command goes on where it was"

    return Stage(("pull", REPOSITORY), lambda _: part() > _ENOUGH, check, variables)


def _batch(folder: Path) -> Stage:
    rows, output = folder / "rows.jsonl", folder / "answers.jsonl"
    lines = [{"id": n, "prompt": "def main():", "max_tokens": 20 + n} for n in range(ROWS)]
    rows.write_text("\n".join(map(json.dumps, lines)))
    arguments = ("batch", str(rows), "-o", str(output), *PLAIN, "--seed", "5")

    def reached(_: Process) -> bool:
        return output.exists() and output.stat().st_size > 0

    def check(_: bytes) -> str:
        before = output.read_bytes()
        assert edgespec(*arguments).returncode == 0
        after = output.read_bytes()
        assert after.startswith(before)
        assert [json.loads(line)["id"] for line in after.splitlines()] == list(range(ROWS))
        return "the same command goes on; no row is lost, repeated or torn"

    return Stage(arguments, reached, check)
