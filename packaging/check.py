"""Runs every check of the project: `python3 packaging/check.py [--venv DIR] [PYTEST-ARGS...]`."""

import argparse
import subprocess
import sys
from pathlib import Path

from venv_setup import ROOT, ensure_environment, run_script, say

CHECKS = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy",),
    ("lint-imports", "--no-logo"),
    ("pytest",),
)


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Run every check; further arguments go to pytest.",
    )
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv", help="where to install")
    options, pytest_arguments = parser.parse_known_args()

    commands = ensure_environment(options.venv.absolute(), extra="dev")
    failed = []
    for check in CHECKS:
        say(f"$ {' '.join(check)}")
        arguments = [*check[1:], *(pytest_arguments if check[0] == "pytest" else ())]
        if subprocess.run([str(commands / check[0]), *arguments], cwd=ROOT, check=False).returncode:
            failed.append(" ".join(check))
    say(f"checks: FAILED: {', '.join(failed)}" if failed else f"checks: all {len(CHECKS)} passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(run_script(main))
