"""Uses edgespec for long and sees what grows: `python tests/soak/run.py [--minutes M]`."""

import argparse
import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]
for folder in ("tui", "backends", "."):
    sys.path.insert(0, str(ROOT / folder))

LEAST = 60
"""Cycles; some of them go by before memory is settled."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Use edgespec for long and see what grows.")
    parser.add_argument("--minutes", type=float, default=0.0, help=f"{LEAST} cycles at least")
    options = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from tests.soak.soak import SETTLED, Look, Soak, complaints

    end = time.monotonic() + 60 * options.minutes
    seen: list[Look] = []
    with TemporaryDirectory(prefix="edgespec-soak-") as folder, ExitStack() as stack:
        os.environ["EDGESPEC_HOME"] = folder
        soak = Soak(Path(folder), stack)
        while len(seen) < LEAST or time.monotonic() < end:
            seen.append(soak.cycle())
    settled, last = seen[int(SETTLED * len(seen))], seen[-1]
    print(f"{len(seen)} cycles\nsettled: {settled}\nlast:    {last}")
    wrong = complaints(settled, last)
    for line in wrong:
        print(f"soak: {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
