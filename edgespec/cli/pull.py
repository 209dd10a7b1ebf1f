"""`edgespec pull`: gets a model from the Hub."""

from threading import Event
from typing import TYPE_CHECKING

import click

from edgespec.cli import diagnostics
from edgespec.cli.options import ENVIRONMENT

if TYPE_CHECKING:
    from edgespec.cli.progress import Display
    from edgespec.library import Installed


@click.command(context_settings=ENVIRONMENT)
@click.argument("model", metavar="MODEL")
@click.option("--quant", metavar="QUANT", help="This quantization, not the largest that fits.")
@click.option(
    "--context",
    type=click.IntRange(min=1),
    metavar="TOKENS",
    show_default="the model's own, at most 8192",
    help="Choose a quantization that has room for so many.",
)
@click.option("--force", is_flag=True, help="Pull it even if this machine cannot run it.")
@click.option("--json", "as_json", is_flag=True, help="Print an object per event, on lines.")
def pull(model: str, quant: str | None, context: int | None, force: bool, as_json: bool) -> None:
    """Get MODEL, hf:owner/repository[:QUANT], from the Hugging Face Hub.

    Without a quantization, it is the largest one that fits this machine. What was fetched stays if
    the pull is cut off, and the same command goes on from there.
    """
    from edgespec.cli.progress import display
    from edgespec.errors import Cancelled
    from edgespec.hub.patience import KEPT

    try:
        with display(as_json) as show:
            installed = _pull(model, quant, context, force, show)
            show.finished(installed)
    except KeyboardInterrupt:
        diagnostics.end_line()
        raise Cancelled("stopped", KEPT) from None


def _pull(
    model: str, quant: str | None, context: int | None, force: bool, show: "Display"
) -> "list[Installed]":
    from dataclasses import replace

    from edgespec.hub.choice import CONTEXT, Chooser, Room, this_machine
    from edgespec.hub.client import Hub, is_offline
    from edgespec.hub.install import install
    from edgespec.hub.names import parse
    from edgespec.library import Library

    wish = parse(model)
    if quant:
        wish = replace(wish, choice=quant)
    library, stop = Library(), Event()
    here = library.find(wish.name)
    if is_offline() and here and here.complete:
        return [here]
    hub = Hub()
    room = Room(this_machine(), context or CONTEXT, not force)
    chosen = Chooser(hub, library, stop).choose(wish, room)
    show.chosen(chosen)
    return install(hub, library, [chosen], show.progress, stop)
