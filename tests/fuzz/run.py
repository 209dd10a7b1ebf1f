"""Fuzzes the parsers: `python tests/fuzz/run.py [--minutes M] [TARGET...]`.

Guided by coverage where atheris is installed (Linux, `pip install atheris`), else by dice. What
crashes is kept in tests/data/fuzz/TARGET, from where the test suite replays it.
"""

import argparse
import subprocess
import sys
import time
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]
for folder in ("tui", "backends", "."):
    sys.path.insert(0, str(ROOT / folder))

_LONGEST_INPUT = 1 << 16


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz the parsers.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="default: all of them")
    parser.add_argument("--minutes", type=float, default=1.0, help="for all of them together")
    parser.add_argument("--cases", type=int, help="so many inputs, chosen by dice, without atheris")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        _guided(options.targets[0], options.minutes)
    from tests.fuzz.targets import TARGETS

    chosen = options.targets or list(TARGETS)
    for name in chosen:
        if name not in TARGETS:
            parser.error(f"there is no target {name}; there are {', '.join(TARGETS)}")
    guided = find_spec("atheris") is not None and options.cases is None
    minutes = options.minutes / len(chosen)
    crashed = [
        name
        for name in chosen
        if not (_outside(name, minutes) if guided else _by_dice(name, minutes, options.cases))
    ]
    print(
        f"fuzz: crashes in {', '.join(crashed)}" if crashed else f"fuzz: {len(chosen)} came through"
    )
    return 1 if crashed else 0


def _outside(name: str, minutes: float) -> bool:
    """Fuzz in a process of its own, which a crash ends; whether there was none."""
    command = [sys.executable, __file__, name, "--inside", "--minutes", str(minutes)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    last = [line for line in done.stderr.splitlines() if line.startswith(("#", "stat::", "Done"))]
    print(f"{name}: {last[-1] if last else 'nothing ran'}", flush=True)
    if done.returncode:
        print("\n".join(done.stderr.splitlines()[-30:]), flush=True)
    return done.returncode == 0


def _guided(name: str, minutes: float) -> None:
    """Let libFuzzer, which does not return, choose the inputs by what they reach."""
    import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore]

    with atheris.instrument_imports(include=["edgespec"]):
        from tests.fuzz.targets import CORPORA, TARGETS
    target = TARGETS[name]
    with TemporaryDirectory(prefix="edgespec-corpus-") as found:
        dictionary = Path(found) / "words"
        escaped = ("".join(f"\\x{byte:02x}" for byte in word) for word in target.words)
        dictionary.write_text("".join(f'"{word}"\n' for word in escaped))
        (Path(found) / "inputs").mkdir()
        arguments = [
            sys.argv[0],
            f"{found}/inputs",
            str(CORPORA / name),
            f"-dict={dictionary}",
            f"-max_total_time={max(int(60 * minutes), 1)}",
            f"-max_len={_LONGEST_INPUT}",
            f"-artifact_prefix={CORPORA / name}/",
            "-timeout=20",
            "-rss_limit_mb=3000",
        ]
        atheris.Setup(arguments, target.parse)
        atheris.Fuzz()


def _by_dice(name: str, minutes: float, cases: int | None) -> bool:
    """Fuzz in this process; whether nothing crashed."""
    from tests.fuzz.mutations import mutated
    from tests.fuzz.targets import CORPORA, TARGETS, corpus

    target, inputs, dice = TARGETS[name], corpus(name), Random(cases)
    end, done = time.monotonic() + 60 * minutes, 0
    while done < cases if cases is not None else time.monotonic() < end:
        data = mutated(inputs, target.words, dice)
        done += 1
        if target.native:  # It may end the process: then this is what did it.
            (CORPORA / name / "crash-last").write_bytes(data)
        try:
            target.parse(data)
        except Exception as error:
            file = CORPORA / name / f"crash-{sha256(data).hexdigest()[:16]}"
            file.write_bytes(data)
            print(f"{name}: {error!r}; the input is in {file}")
            return False
    (CORPORA / name / "crash-last").unlink(missing_ok=True)
    print(f"{name}: {done} inputs", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
