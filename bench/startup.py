"""From nothing to the first token, and the memory it takes: each run is a process of its own.

edgespec: `edgespec run --max-tokens 1`, with the pair and with the target alone. llama-server: from
its start until it has answered with one token. The file is in the page cache; memory is the most
that was resident, the file's pages included.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median

import machine
import peer
import report
import subject
from server import serving

PROMPT = "def main():"


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds from the start of the process to the end of a one-token answer, and MiB."""

    side: str
    seconds: float
    memory: float


def ours(options: argparse.Namespace, drafts: bool) -> Start:
    """`edgespec run`, measured as a process. What steps cost is known from the run before."""
    command = [sys.executable, "-m", "edgespec", "run", "--raw", "--max-tokens", "1"]
    command += ["--model", str(options.target), "--threads", str(options.threads)]
    command += ["--context", str(options.n_ctx)]
    command += ["--drafter", str(options.drafter)] if drafts else ["--no-speculate"]
    begin = time.perf_counter()
    process = subprocess.Popen([*command, PROMPT], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - begin
    if process.returncode:
        raise SystemExit(f"edgespec run failed with status {process.returncode}")
    side = "edgespec" if drafts else "edgespec plain"
    return Start(side, seconds, usage.ru_maxrss / 1024)


def theirs(options: argparse.Namespace, program: Path) -> Start:
    """llama-server, without a drafter."""
    begin = time.perf_counter()
    with serving(program, options.target, options.n_ctx, options.threads, []) as server:
        server.answer([1, 2, 3], 1, temperature=0, seed=0)
        seconds = time.perf_counter() - begin
        status = Path(f"/proc/{server.process}/status").read_text()
    [peak] = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    return Start("llama-server", seconds, int(peak) / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path)
    parser.add_argument("--drafter", type=Path, default=subject.NANO / "drafter-q8_0.gguf")
    parser.add_argument("--threads", type=int, default=machine.cores())
    parser.add_argument("--n-ctx", type=int, default=2048)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--no-server", action="store_true", help="edgespec alone")
    parser.add_argument("--json", type=Path)
    peer.add_option(parser)
    options = parser.parse_args()
    sides: list[Callable[[], Start]] = [partial(ours, options, True), partial(ours, options, False)]
    if not options.no_server:
        sides.append(partial(theirs, options, peer.ensure(options.peer_dir).server))
    facts = machine.describe()
    for side in sides[:2]:
        side()
    starts = [side() for _ in range(options.repetitions) for side in sides]
    found = []
    for name in dict.fromkeys(start.side for start in starts):
        mine = [start for start in starts if start.side == name]
        figures = (median(start.seconds for start in mine), median(start.memory for start in mine))
        found.append((name, *figures))
    print(report.table(("side", "s to an answer", "MiB"), found))
    print(machine.headline(facts))
    kept = {"machine": facts, "model": options.target.stem, "starts": [asdict(s) for s in starts]}
    report.save(options.json, kept)


if __name__ == "__main__":
    main()
