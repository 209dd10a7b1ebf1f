"""Looks for known vulnerabilities of what is installed here: `python packaging/audit.py`.

pip-audit asks PyPI. What that does not know, or all if it cannot be reached, is said and no
failure.
"""

import json
import subprocess
import sys


def main() -> int:
    options = ["--local", "--skip-editable", "--timeout", "10", "--progress-spinner", "off"]
    command = [sys.executable, "-m", "pip_audit", *options, "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except ValueError:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        print(f"audit: not done: {last}")
        return 0
    judged = [package for package in packages if "vulns" in package]
    bad = [package for package in judged if package["vulns"]]
    for package in bad:
        names = ", ".join(found["id"] for found in package["vulns"])
        print(f"audit: {package['name']} {package['version']}: {names}")
    unknown = len(packages) - len(judged)
    print(f"audit: {len(bad)} of {len(judged)} packages are known to be vulnerable", end="")
    print(f"; of {unknown} nothing is known" if unknown else "")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
