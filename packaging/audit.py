"""Looks for known vulnerabilities of what is installed here: `python packaging/audit.py`.

pip-audit asks PyPI. Where that cannot be reached, nothing is known; that is said and no failure.
"""

import subprocess
import sys

FOUND = "known vulnerabilit"


def main() -> int:
    options = ["--local", "--skip-editable", "--timeout", "10", "--progress-spinner", "off"]
    command = [sys.executable, "-m", "pip_audit", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
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
