"""`edgespec pull`: gets a model from the Hub."""

from threading import Event

import click

from edgespec.cli import diagnostics
from edgespec.cli.interrupts import exit_code
from edgespec.cli.options import ENVIRONMENT


@click.command(context_settings=ENVIRONMENT)
@click.argument("model", metavar="MODEL")
@click.option("--quant", metavar="QUANT", help="This quantization, not the largest that fits.")
@click.option(
    "--drafter",
    metavar="MODEL",
    show_default="the catalogue's",
    allow_from_autoenv=False,  # EDGESPEC_DRAFTER is what `run` and `chat` draft with.
    help="Drafter to pull with it, hf:owner/repository[:QUANT]; none for no drafter.",
)
@click.option(
    "--context",
    type=click.IntRange(min=1),
    metavar="TOKENS",
    show_default="the model's own, at most 8192",
    help="Choose a quantization that has room for so many.",
)
@click.option("--force", is_flag=True, help="Pull it even if this machine cannot run it.")
@click.option("--json", "as_json", is_flag=True, help="Print an object per event, on lines.")
def pull(
    model: str,
    quant: str | None,
    drafter: str | None,
    context: int | None,
    force: bool,
    as_json: bool,
) -> None:
    """Get MODEL, a name of the catalogue or hf:owner/repository[:QUANT], and its drafter.

    Without a quantization, it is the largest one that fits this machine. What was fetched stays if
    the pull is cut off, and the same command goes on from there.
    """
    from edgespec import pulling
    from edgespec.cli.progress import display
    from edgespec.hub.choice import CONTEXT
    from edgespec.hub.patience import KEPT

    options = pulling.PullOptions(quant, context or CONTEXT, drafter, force)
    try:
        with display(as_json) as show:
            show.finished(pulling.pull(model, options, show.plan, show.progress, Event()))
    except KeyboardInterrupt as interrupted:
        diagnostics.end_line()
        diagnostics.error("stopped", KEPT)
        raise click.exceptions.Exit(exit_code(interrupted)) from None
