"""`edgespec serve`: models for programs that speak OpenAI's API."""

import signal
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from edgespec.cli import diagnostics
from edgespec.cli.interrupts import Interrupts
from edgespec.cli.options import ENVIRONMENT, ModelSettings, model_options

if TYPE_CHECKING:
    from edgespec.server.metrics import Metrics
    from edgespec.server.served import Served

_PORT = 8642


@click.command(context_settings=ENVIRONMENT)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=_PORT,
    show_default=True,
    help="Port to listen on; 0 takes any.",
)
@click.option(
    "--api-key", metavar="KEY", show_default="one that is made and kept", help="Key to ask for."
)
@click.option("--no-api-key", is_flag=True, help="Ask for no key; on a loopback address only.")
@click.option(
    "--allow-host",
    multiple=True,
    metavar="NAME",
    help="Name under which it may be reached, besides localhost; repeatable.",
)
@click.option(
    "--also",
    multiple=True,
    metavar="NAME|FILE",
    help="Further model, loaded in place of the other when it is asked for; repeatable.",
)
@click.option(
    "--parallel",
    type=click.IntRange(1, 64),
    default=16,
    metavar="N",
    show_default=True,
    help="Answers at a time.",
)
@click.option(
    "--queue",
    type=click.IntRange(min=0),
    default=256,
    metavar="N",
    show_default=True,
    help="Requests that may wait beyond those.",
)
@model_options
def serve(
    host: str,
    port: int,
    api_key: str | None,
    no_api_key: bool,
    allow_host: tuple[str, ...],
    also: tuple[str, ...],
    parallel: int,
    queue: int,
    model: ModelSettings,
) -> None:
    """Serve a model to programs that speak OpenAI's API, until Ctrl+C."""
    try:
        from edgespec.server.app import App
        from edgespec.server.metrics import Metrics
        from edgespec.server.serving import Doors, bind, is_loopback
        from edgespec.server.serving import serve as run
        from edgespec.server.shelf import Shelf
    except ImportError as error:
        raise click.ClickException(
            f'serving needs {error.name}; pip install "edgespec[server]"'
        ) from error

    if no_api_key and (api_key or not is_loopback(host)):
        raise click.UsageError("--no-api-key goes with a loopback --host and without --api-key")
    with closing(bind(host, port)) as listener:
        key = None if no_api_key else api_key or _key()
        metrics, interrupts = Metrics(), Interrupts()
        names = [model, *(replace(model, model=name, drafter=None) for name in also)]
        loads = dict(_load(settings, parallel, queue, metrics, interrupts) for settings in names)
        address = listener.getsockname()
        shown = f"[{address[0]}]" if ":" in address[0] else address[0]
        diagnostics.say(f"{', '.join(loads)} at http://{shown}:{address[1]}/v1")
        if not is_loopback(host):
            diagnostics.note(
                "whoever reaches this address and has the key can use the models, unencrypted"
            )
        with interrupts:
            loaded = next(iter(loads.values()))()
        with closing(loaded):
            # uvicorn hands the signal on once it is done; it was obeyed by then.
            signal.signal(signal.SIGTERM, lambda number, frame: None)
            app = App(Shelf(loads, loaded), metrics, _failed)
            run(app, listener, Doors(key, (host, *allow_host)))


def _key() -> str:
    from edgespec import paths
    from edgespec.server.key import kept_key

    key, file = kept_key(paths.state_dir())
    diagnostics.say(f"API key {key} (kept in {file})")
    return key


def _load(
    settings: ModelSettings,
    parallel: int,
    queue: int,
    metrics: "Metrics",
    interrupts: Interrupts,
) -> "tuple[str, Callable[[], Served]]":
    """A model's name, and how to load it. Raises ModelUnavailable if there is no such model."""
    from edgespec.cli.session import open_parts
    from edgespec.matchmaking import best_pair
    from edgespec.server.served import Served

    speculate = not settings.no_speculate
    name = best_pair(settings.model, settings.drafter, speculate=speculate).name

    def load() -> Served:
        parts = open_parts(settings, interrupts, parallel, alone=True)
        return Served(name, parts, parallel, queue, metrics, speculate=speculate)

    return name, load


def _failed(error: Exception) -> str:
    """Log a failure that nobody foresaw; what to tell the client."""
    known = diagnostics.logged(error)
    diagnostics.error(known.what, known.hint)
    return "an unexpected failure; the server's log has the details"
