"""Looks for known vulnerabilities of installed packages: `python packaging/audit.py [FOLDER]`.

FOLDER is a site-packages, by default this Python's own. pip-audit asks PyPI. Where that cannot be
reached, nothing is known, which is said and is no failure.
"""

import argparse
import subprocess
import sys
from pathlib import Path

FOUND = "known vulnerabilit"


def main() -> int:
    parser = argparse.ArgumentParser(description="Look for packages with known vulnerabilities.")
    parser.add_argument("folder", nargs="?", type=Path, help="a site-packages to look into")
    folder = parser.parse_args().folder
    where = ["--path", str(folder)] if folder else ["--local"]
    command = [sys.executable, "-m", "pip_audit", *where, "--skip-editable", "--timeout", "10"]
    done = subprocess.run(
        [*command, "--progress-spinner", "off"], capture_output=True, text=True, check=False
    )
    print(done.stdout, end="")
    if done.returncode == 0:
        print("audit: no known vulnerabilities")
        return 0
    last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    if FOUND in done.stderr:
        print(f"audit: {last}")
        return 1
    print(f"audit: not done: {last}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
