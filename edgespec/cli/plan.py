"""`edgespec plan`: who would run where on this machine or another, and why."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgespec.cli.options import ENVIRONMENT, ModelSettings, model_options, names_and_files
from edgespec.cli.output import Output, printable

if TYPE_CHECKING:
    from edgespec.machines import Machine
    from edgespec.placement.question import Question


@click.command(context_settings=ENVIRONMENT)
@click.argument("name", required=False, metavar="[NAME|FILE]", shell_complete=names_and_files)
@model_options
@click.option(
    "--for-machine", type=click.Path(path_type=Path), metavar="FILE",
    help="Plan for the machine that a TOML file describes.",
)  # fmt: skip
@click.option("--explain", is_flag=True, help="Tell what was compared and assumed, too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def plan(
    name: str | None, model: ModelSettings, for_machine: Path | None, explain: bool, as_json: bool
) -> None:
    """Tell where target, drafter and caches would go, how fast that is, and why.

    Nothing is loaded; the memory's bandwidth is measured, which takes less than a second. Of a
    model of the Hub that was not pulled, only the beginning of its file is read.
    """
    if name and model.model:
        raise click.UsageError("name the model once, as an argument or with --model")

    from edgespec import machines
    from edgespec.cli.session import pins
    from edgespec.matchmaking import best_pair, on_hub
    from edgespec.placement import ask, choose
    from edgespec.placement import explain as words

    wanted, threads, known = name or model.model, model.threads or 0, None
    machine = machines.load(for_machine) if for_machine else machines.here(measure_again=True)
    if wanted and on_hub(wanted):
        question = _remote(wanted, model, machine)
    else:
        pair = best_pair(wanted, model.drafter, speculate=not model.no_speculate)
        question = ask.question(pair, model.context or 0, model.kv_type)
        attending = ask.attends(question, model.attention)
        if not for_machine:
            known = ask.known(pair, threads, question.outputs, attending, pins(model))
    found = choose.choose(machine, question, pins(model), known, threads)
    if as_json:
        text = json.dumps(words.as_json(found, machine, question), indent=2)
    else:
        text = words.summary(found, machine, question)
        text += "\n\n" + words.explanation(found, machine, question) if explain else ""
    Output().write(printable(text) + "\n")


def _remote(name: str, model: ModelSettings, machine: "Machine") -> "Question":
    """About a model that is still on the Hub: its largest quantization for which there is room."""
    from edgespec.errors import NotEnoughMemory
    from edgespec.hub.choice import CONTEXT, Room, look_up
    from edgespec.matchmaking import find_target, usual_drafter
    from edgespec.placement import ask

    room = Room(machine, model.context or CONTEXT)
    other = "" if model.no_speculate else model.drafter or usual_drafter(name)
    try:
        target = find_target(name, lambda source: look_up(source, room))
        drafter = find_target(other, lambda source: look_up(source, room)).header if other else None
    except NotEnoughMemory as error:
        hint = "what fits is a smaller --context, or a smaller model"
        raise NotEnoughMemory(error.what, hint) from error
    return ask.question_of(target.name, target.header, drafter, model.context or 0, model.kv_type)
