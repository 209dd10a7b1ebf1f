"""Sets edgespec up in this checkout and runs it: `python3 packaging/try.py [PROMPT...]`.

The first run makes `.venv` and compiles llama.cpp; later runs go straight to the answer. What is
set up is told on stderr, so that stdout holds the answer alone.
"""

import argparse
import shlex
import signal
import subprocess
import sys

from venv_setup import ROOT, ensure_environment, run_script, say

PROMPT = "What does os.path.join do?"


def main() -> int:
    parser = argparse.ArgumentParser(description="Set edgespec up in this checkout and run it.")
    parser.add_argument("prompt", nargs="*", help=f"what to ask (default: {PROMPT!r})")
    prompt = " ".join(parser.parse_args().prompt) or PROMPT

    edgespec = ensure_environment(ROOT / ".venv") / "edgespec"
    # At temperature 0 so small a model makes the most sense.
    command = [str(edgespec), "run", "--stats", "-t", "0", "--", prompt]
    say(f"$ {shlex.join(command)}")
    # Ctrl+C is for edgespec, which ends in good order; a handler, as opposed to SIG_IGN, is not
    # handed down to it.
    signal.signal(signal.SIGINT, lambda *_: None)
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(run_script(main))
