"""`edgespec serve`: models for programs that speak OpenAI's API."""

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import click

from edgespec.cli import diagnostics
from edgespec.cli.interrupts import ENDINGS, Interrupted, Interrupts
from edgespec.cli.options import ENVIRONMENT, ModelSettings, model_options

if TYPE_CHECKING:
    from socket import socket

    from edgespec.embedder import Embedder
    from edgespec.server.app import App
    from edgespec.server.served import Served
    from edgespec.server.shelf import Loaded

    _Loaded = TypeVar("_Loaded", bound=Loaded)

_PORT = 8642
_SHARE = 4
"""Part of the free memory, as a divisor, that earlier conversations may take."""
_KNOWN = (signal.SIGINT, signal.SIGTERM)
"""Signals that the server ends on by itself."""


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
    default=4,
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
@click.option(
    "--recall",
    type=click.IntRange(min=0),
    metavar="MIB",
    show_default="a quarter of what is free",
    help="Memory for earlier conversations, which then are not read again; 0 for none.",
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
    recall: int | None,
    model: ModelSettings,
) -> None:
    """Serve a model to programs that speak OpenAI's API, until Ctrl+C."""
    try:
        from edgespec.server.serving import Doors, bind, is_loopback
        from edgespec.server.serving import serve as run
    except ImportError as error:
        raise click.ClickException(
            f'serving needs {error.name}; pip install "edgespec[server]"'
        ) from error

    if no_api_key and (api_key or not is_loopback(host)):
        raise click.UsageError("--no-api-key goes with a loopback --host and without --api-key")
    with closing(bind(host, port)) as listener:
        doors = Doors(None if no_api_key else api_key or _key(), (host, *allow_host))
        models = [model, *(replace(model, model=name, drafter=None) for name in also)]
        stock = _Stock(parallel, queue, recall)
        for settings in models:
            stock.add(settings)
        _announce(", ".join(stock.names), listener, exposed=not is_loopback(host))
        with stock.opened() as app:
            _until_told(lambda: run(app, listener, doors))


def _announce(names: str, listener: "socket", *, exposed: bool) -> None:
    host, port = listener.getsockname()[:2]
    diagnostics.say(f"{names} at http://{f'[{host}]' if ':' in host else host}:{port}/v1")
    if exposed:
        diagnostics.note(
            "whoever reaches this address and has the key can use the models, unencrypted"
        )


def _until_told(run: Callable[[], None]) -> None:
    """Run a server until it is told to end.

    It obeys SIGINT and SIGTERM, and hands them on here once it is done.
    """
    obeyed: list[int] = []

    def obey(number: int, _: object) -> None:
        obeyed.append(number)
        if number not in _KNOWN:
            signal.raise_signal(signal.SIGTERM)

    for number in {*_KNOWN, *ENDINGS}:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, obey)
    run()
    if told := [number for number in obeyed if number != signal.SIGTERM]:
        raise Interrupted(told[0])


def _key() -> str:
    from edgespec import paths
    from edgespec.server.key import kept_key

    key, file = kept_key(paths.state_dir())
    diagnostics.say(f"API key {key} (kept in {file})")
    return key


class _Stock:
    """The models to serve, by name: those that answer, and those that make embeddings."""

    def __init__(self, parallel: int, queue: int, recall: int | None) -> None:
        from edgespec.server.metrics import Metrics
        from edgespec.server.turns import Turns

        self._parallel = parallel
        self._queue = queue
        self._recall = recall
        self._metrics = Metrics()
        self._turns = Turns()
        self._interrupts = Interrupts()
        self._answering: dict[str, Callable[[], Served]] = {}
        self._embedding: dict[str, Callable[[], Embedder]] = {}

    @property
    def names(self) -> list[str]:
        """Of all models."""
        return [*self._answering, *self._embedding]

    def add(self, settings: ModelSettings) -> None:
        """Find a model. Raises ModelUnavailable if there is no such model."""
        from edgespec.embedder import load_embedder, look_at
        from edgespec.matchmaking import best_pair

        name, embeds = look_at(settings.model)
        if embeds:
            if settings.drafter:
                raise click.UsageError(f"{name} makes embeddings, for which nothing is drafted")
            self._embedding[name] = lambda: load_embedder(
                settings.model,
                context=settings.context or 0,
                threads=settings.threads or 0,
                cpus=settings.cpus or "",
                turn=self._turns,
            )
            return
        speculate = not settings.no_speculate
        best_pair(settings.model, settings.drafter, speculate=speculate)
        self._answering[name] = lambda: self._served(name, settings)

    @contextmanager
    def opened(self) -> "Iterator[App]":
        """With the first model of either kind loaded."""
        from edgespec.server.app import App
        from edgespec.server.embedding import Embeddings
        from edgespec.server.shelf import Shelf

        with ExitStack() as stack:
            with self._interrupts:
                served = _first(self._answering, stack)
                embedder = _first(self._embedding, stack)
                self._interrupts.check()
            answering = Shelf(self._answering, served)
            embeddings = Embeddings(Shelf(self._embedding, embedder), self._parallel + self._queue)
            yield App(answering, embeddings, self._metrics, _Failures())

    def _served(self, name: str, settings: ModelSettings) -> "Served":
        from edgespec import memory
        from edgespec.cli.session import open_parts
        from edgespec.recall import Recall
        from edgespec.server.served import Served

        with self._turns:  # Loading may measure.
            parts = open_parts(settings, self._interrupts, self._parallel, alone=True)
        spare = memory.available() // _SHARE if self._recall is None else self._recall << 20
        return Served(
            name,
            parts,
            self._parallel,
            self._queue,
            self._metrics,
            self._turns,
            lambda why: diagnostics.note(f"{why}; {name} is loaded anew for the next request"),
            diagnostics.note,
            Recall(spare),
            speculate=not settings.no_speculate,
        )


def _first(loads: "Mapping[str, Callable[[], _Loaded]]", stack: ExitStack) -> "_Loaded | None":
    """The first of the models, loaded until the end, if there is one."""
    for load in loads.values():
        return stack.enter_context(closing(load()))
    return None


class _Failures:
    """Failures that nobody foresaw; one that goes on and on is said once."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, error: Exception) -> str:
        """Log one; what to tell the client."""
        known = diagnostics.logged(error)
        if str(known) != self._last:
            diagnostics.error(known.what, known.hint)
        self._last = str(known)
        return "an unexpected failure; the server's log has the details"
