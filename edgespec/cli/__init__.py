"""The command line. This file is what starts it; `app` is the group of commands."""

import signal
import sys


def main() -> None:
    """Run the command line of this process, and exit."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:
        # A Ctrl+C while modules load, or while all is tidied up, needs no traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from edgespec.cli.app import run

    signal.signal(signal.SIGINT, handler)
    code = run(sys.argv[1:])
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(code)
