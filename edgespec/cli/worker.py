"""`edgespec worker`: this machine's memory and processors for models that run on another one."""

import ipaddress
import os
import threading

import click

from edgespec.cli import diagnostics
from edgespec.cli.options import ENVIRONMENT
from edgespec.errors import BackendError, EdgespecError, ExitCode

_MOMENT = 0.5


@click.command(context_settings=ENVIRONMENT)
@click.option(
    "--listen",
    default="127.0.0.1:50052",
    metavar="HOST:PORT",
    show_default=True,
    help="Where --rpc finds this machine.",
)
@click.option(
    "--threads",
    type=click.IntRange(1, 1024),
    metavar="N",
    show_default="one per core",
    help="Threads to compute with.",
)
def worker(listen: str, threads: int | None) -> None:
    """Hold layers of a model that runs on another machine, until Ctrl+C.

    Offers this machine's GPUs, or its processor if it has none, to one program at a time.
    """
    failures: list[EdgespecError] = []
    thread = threading.Thread(target=_serve, args=(listen, threads or 0, failures), daemon=True)
    thread.start()
    try:
        # The engine does not let a signal handler run while it waits.
        while thread.is_alive():
            thread.join(_MOMENT)
    except KeyboardInterrupt:
        diagnostics.end_line()
        os._exit(ExitCode.INTERRUPTED)
    raise failures[0] if failures else BackendError(f"the worker at {listen} has ended")


def _serve(listen: str, threads: int, failures: list[EdgespecError]) -> None:
    from edgespec import cpu_sets, devices
    from edgespec.topology import detect

    def ready() -> None:
        if not _is_loopback(listen):
            diagnostics.note(
                f"whoever reaches {listen} can read and change what this process holds: "
                "the protocol knows no passwords and no encryption; use a network of your own"
            )
        diagnostics.note(f"the worker listens on {listen}; Ctrl+C ends it")
        _hide_stdout()

    try:
        devices.serve(listen, cpu_sets.default(detect.here(), threads).threads, ready)
    except EdgespecError as error:
        failures.append(error)


def _is_loopback(listen: str) -> bool:
    host = listen.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _hide_stdout() -> None:
    """The engine reports every connection there."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
