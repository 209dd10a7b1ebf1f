"""Every head-to-head benchmark, one after the other: `python bench/all.py [TARGET] [--quick]`.

Without TARGET: the nano pair and, unless --quick, its twin at the cost of 1.1B parameters, which
is made first. Each part leaves a JSON file in OUT/MODEL, of which `bench/tables.py` makes what
docs/benchmarks.md shows. --quick asks for so little that the numbers mean nothing: it shows that
all parts run. A part that fails is named at the end, the others go on.
"""

import argparse
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import machine
import peer
import subject

BENCH = Path(__file__).resolve().parent
RESULTS = peer.CACHE / "results"


@dataclass(frozen=True, slots=True)
class Part:
    """One script: what it is always given, and what makes it quick."""

    name: str
    options: str
    quick: str


PARTS = (
    Part("plain", "", "--repetitions 1 --answers 1 --tokens 16"),
    Part(
        "speculation",
        "--n-max 1 2 3 4 6 8",
        "--sets code chat --temperatures 0 --n-max 3 --prompts 2 --sweep-prompts 1 --tokens 16",
    ),
    Part("latency", "", "--repetitions 1 --depths 128 --tokens 16"),
    Part(
        "batch",
        "",
        "--prompts 4 --tokens 8 --slots 2 --active 1 --tail-prompts 1 --rounds 1",
    ),
    Part("serve", "", "--streams 1 2 --answers 1 --least 1 --rounds 1 --tokens 8 --n-max 2"),
    Part("startup", "", "--repetitions 1"),
)


def run(part: Part, target: Path, options: argparse.Namespace) -> bool:
    """Run one part on one target; whether it succeeded."""
    command = [sys.executable, str(BENCH / f"{part.name}.py")]
    command += ["--model", str(target)] if part.name == "plain" else [str(target)]
    command += shlex.split(part.quick if options.quick else part.options)
    command += ["--threads", str(options.threads)]
    command += ["--json", str(options.out / target.stem / f"{part.name}.json")]
    if part.name != "plain":
        command += ["--drafter", str(options.drafter)]
    if options.peer_dir:
        command += ["--peer-dir", str(options.peer_dir)]
    print(f"\n$ {shlex.join(command)}", flush=True)
    return subprocess.run(command, check=False).returncode == 0


def twin() -> Path:
    """The nano target at the cost of 1.1B parameters, made if it is not there yet."""
    path = peer.CACHE / "twin-1.1b.gguf"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, BENCH / "inflate.py", subject.NANO / "target-q8_0.gguf"]
        subprocess.run([*map(str, command), str(path), "--like", "1.1b"], check=True)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path, nargs="?")
    parser.add_argument("--drafter", type=Path, default=subject.NANO / "drafter-q8_0.gguf")
    parser.add_argument("--threads", type=int, default=machine.cores())
    parser.add_argument("--parts", nargs="+", choices=[part.name for part in PARTS])
    parser.add_argument("--quick", action="store_true", help="see above")
    parser.add_argument("--out", type=Path, default=RESULTS)
    peer.add_option(parser)
    options = parser.parse_args()
    peer.ensure(options.peer_dir)
    nano = subject.NANO / "target-q8_0.gguf"
    targets = [options.target or nano]
    if not options.target and not options.quick:
        targets.append(twin())
    parts = [part for part in PARTS if not options.parts or part.name in options.parts]
    runs = [(part, target) for target in targets for part in parts]
    failed = [f"{p.name} {t.stem}" for p, t in runs if not run(p, t, options)]
    print(f"\nresults: {options.out}; python bench/tables.py makes tables of them")
    if failed:
        sys.exit(f"error: failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
