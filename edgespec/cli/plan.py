"""`edgespec plan`: who would run where on this machine or another, and why."""

import json
from pathlib import Path

import click

from edgespec.cli.options import ENVIRONMENT, names_and_files
from edgespec.cli.output import Output, printable


@click.command(context_settings=ENVIRONMENT)
@click.argument("model", required=False, metavar="[NAME|FILE]", shell_complete=names_and_files)
@click.option(
    "--drafter", metavar="NAME|FILE", shell_complete=names_and_files,
    help="Drafter in place of the model's own.",
)  # fmt: skip
@click.option("--no-speculate", is_flag=True, help="Without a drafter.")
@click.option(
    "--context", type=click.IntRange(min=1), metavar="TOKENS",
    show_default="the model's own, at most 8192", help="Size of the context.",
)  # fmt: skip
@click.option(
    "--kv-type", type=click.Choice(("f16", "q8_0", "q4_0")), default="f16", show_default=True,
    help="Type of the cache.",
)  # fmt: skip
@click.option("--threads", type=click.IntRange(1, 1024), metavar="N", help="Threads of the target.")
@click.option("--device", metavar="NAME", help="The target's device, CPU for none.")
@click.option(
    "--gpu-layers", type=click.IntRange(-1), metavar="N",
    help="Layers of the target on its device; -1 = all.",
)  # fmt: skip
@click.option("--drafter-device", metavar="NAME", help="The drafter's device, CPU for none.")
@click.option(
    "--for-machine", type=click.Path(path_type=Path), metavar="FILE",
    help="Plan for the machine that a TOML file describes.",
)  # fmt: skip
@click.option("--explain", is_flag=True, help="Tell what was compared and assumed, too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def plan(
    model: str | None,
    drafter: str | None,
    no_speculate: bool,
    context: int | None,
    kv_type: str,
    threads: int | None,
    device: str | None,
    gpu_layers: int | None,
    drafter_device: str | None,
    for_machine: Path | None,
    explain: bool,
    as_json: bool,
) -> None:
    """Tell where target, drafter and caches would go, how fast that is, and why.

    Nothing is loaded; the memory's bandwidth is measured, which takes less than a second.
    """
    from edgespec import machines
    from edgespec.catalog import resolve
    from edgespec.placement import ask, choose
    from edgespec.placement import explain as words
    from edgespec.placement.enumerate import Pins

    pair = resolve(model, drafter, speculate=not no_speculate)
    question = ask.question(pair, context or 0, kv_type)
    machine = machines.load(for_machine) if for_machine else machines.here(measure_again=True)
    known = None if for_machine else ask.known(pair, threads or 0, question.outputs)
    pins = Pins(device, gpu_layers, drafter_device)
    found = choose.choose(machine, question, pins, known, threads or 0)
    if as_json:
        text = json.dumps(words.as_json(found, machine, question), indent=2)
    else:
        text = words.summary(found, machine, question)
        text += "\n\n" + words.explanation(found, machine, question) if explain else ""
    Output().write(printable(text) + "\n")
